// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

// Who is redirected: rules and roots.

package redirector

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// I4: rules from the start and while running; the last one that matches wins. Connections that pass are refused by the
// server.
func TestLabRules(t *testing.T) {
	c, p := startClient(t), listen(t)
	bystander := startClient(t)
	name := filepath.Base(os.Args[0])
	r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, Rules: []Rule{{Pattern: name}}})
	redirected := func(c *client) {
		t.Helper()
		c.dial(servers[0])
		conn, peer := p.accept(servers[0])
		if got, ok := r.Destination(peer); !ok || got.PID != c.pid() {
			t.Errorf("Destination gave %+v, %v", got, ok)
		}
		fmt.Fprintln(conn, "welcome")
		c.line()
	}
	for i, step := range []struct {
		rules             []Rule
		client, bystander bool
	}{
		{[]Rule{{Pattern: name}}, false, false},
		{nil, true, false},
		{[]Rule{{Action: ActionRedirect, PID: bystander.pid()}}, true, true},
		{[]Rule{{Action: ActionRedirect, Pattern: `*\` + strings.ToUpper(name)}, {PID: c.pid()}}, false, true},
		{[]Rule{{PID: c.pid()}, {Action: ActionRedirect, Pattern: name[:4] + "*"}}, true, true},
	} {
		if i > 0 { // the first are those of the start
			if err := r.SetRules(step.rules); err != nil {
				t.Fatal(err)
			}
		}
		for who, want := range map[*client]bool{c: step.client, bystander: step.bystander} {
			if want {
				redirected(who)
			} else {
				who.wantLine(servers[0], "error ")
			}
		}
	}
	before := r.Stats().FlowsTotal
	if err := r.SetRules([]Rule{{PID: c.pid(), Pattern: name}}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("SetRules took a rule with a process id and a pattern: %v", err)
	}
	redirected(c) // the former rules stay
	if now := r.Stats().FlowsTotal; now != before+1 {
		t.Errorf("%d connections, then %d", before, now)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if err := r.SetRules(nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("SetRules after Stop: %v", err)
	}
}

// The agent as a root: what it starts is redirected, whoever started what, and the agent itself is not (I3).
func TestLabOwnProcessAsRoot(t *testing.T) {
	c, p := startClient(t), listen(t)
	mustStartWith(t, Config{Roots: []uint32{uint32(os.Getpid())}, ProxyPort: p.port})
	late := startClient(t)
	for _, client := range []*client{c, late} {
		client.dial(servers[0])
		conn, _ := p.accept(servers[0])
		conn.Close()
		client.line()
	}
	conn, err := net.DialTimeout("tcp", servers[0], patience)
	if err == nil {
		conn.Close()
		t.Error("the agent's own connection was led to its proxy")
	}
}

// Several roots, and their descendants alone.
func TestLabDescendantsOnly(t *testing.T) {
	one, two, p := startClient(t), startClient(t), listen(t)
	r := mustStartWith(t, Config{ClientPID: one.pid(), Roots: []uint32{two.pid()}, ProxyPort: p.port,
		DescendantsOnly: true})
	for _, c := range []*client{one, two} {
		c.wantLine(servers[0], "error ") // a root itself
		child := c.startAnother()
		c.dial(servers[0])
		conn, peer := p.accept(servers[0])
		if got, ok := r.Destination(peer); !ok || got.PID != child {
			t.Errorf("Destination gave %+v, %v; the child is %d", got, ok, child)
		}
		conn.Close()
		c.line()
	}
}

// R1, R2: by destination, one is blocked, one passes, and one, by its name, is redirected for an upstream.
func TestLabRulesByDestination(t *testing.T) {
	c, p, elsewhere := startClient(t), listen(t), startClient(t).listen()
	r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, Rules: []Rule{
		{Action: ActionBlock, Network: netip.MustParsePrefix("fd77::/64"), Protocol: TCP},
		{Network: netip.MustParsePrefix(ownAddress + "/32"), FirstPort: 1, LastPort: 65535},
		{Action: ActionBlock, Network: netip.MustParsePrefix("10.77.0.2/32"), Direction: Outgoing},
		{Action: ActionRedirect, Host: "db.*", FirstPort: 9, Upstream: 7},
	}})
	c.wantLine(servers[1], "error ")
	blocked := r.Stats().ConnectionsBlocked // Windows tries a refused connection several times
	c.wantLine(elsewhere, elsewhere+" heard the program itself, to "+ownAddress)
	if s := r.Stats(); blocked == 0 || s.ConnectionsBlocked != blocked || s.FlowsTotal != 0 {
		t.Errorf("%d were blocked, and later %+v", blocked, s)
	}
	c.wantLine(servers[0], "error ")
	if s := r.Stats(); s.ConnectionsBlocked == blocked || s.FlowsTotal != 0 {
		t.Errorf("without a name: %+v", s)
	}
	if err := r.TellName(netip.MustParseAddrPort(servers[0]).Addr(), "db.test."); err != nil {
		t.Fatal(err)
	}
	c.dial(servers[0])
	conn, peer := p.accept(servers[0])
	want := Destination{Addr: netip.MustParseAddrPort(servers[0]), PID: c.pid(), Upstream: 7}
	if got, ok := r.Destination(peer); !ok || got != want {
		t.Errorf("Destination gave %+v, %v", got, ok)
	}
	fmt.Fprintln(conn, "welcome")
	c.line()
	if err := r.SetRules([]Rule{{}, {Action: 3}}); !errors.Is(err, ErrInvalidArgument) ||
		!strings.Contains(err.Error(), "rule 1: its action is none of") {
		t.Errorf("SetRules of a rule that is not right: %v", err)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if err := r.TellName(netip.MustParseAddr("192.0.2.1"), "a"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("TellName after Stop: %v", err)
	}
}
