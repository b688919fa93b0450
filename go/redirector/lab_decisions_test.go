// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

package redirector

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// next is the connection of the client to that server, whose connect waits for the decision about it.
func next(t *testing.T, r *Redirector, c *client, server string) Connection {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connection, err := r.NextConnection(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if connection.ID == 0 || connection.PID != c.pid() || connection.Destination != netip.MustParseAddrPort(server) ||
		connection.Client.Port() == 0 || connection.Client.Addr().Is4() != connection.Destination.Addr().Is4() {
		t.Fatalf("%s: asked about %+v", server, connection)
	}
	return connection
}

// O8: a connect ends as the proxy decides.
func TestLabDecisions(t *testing.T) {
	c, p := startClient(t), listen(t)
	r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, DecisionTimeout: time.Minute})
	for _, server := range servers {
		c.dial(server)
		connection := next(t, r, c, server)
		if err := r.Decide(connection.ID, Accept); err != nil {
			t.Fatal(err)
		}
		conn, peer := p.accept(server)
		want := Destination{Addr: connection.Destination, PID: c.pid(), ConnectionID: connection.ID}
		if got, ok := r.Destination(peer); !ok || got != want {
			t.Errorf("%s: Destination gave %+v, %v", server, got, ok)
		}
		fmt.Fprintln(conn, "welcome")
		if got := c.line(); got != server+" heard welcome" {
			t.Errorf("%s: the client says %q", server, got)
		}
		if err := r.Decide(connection.ID, Refuse); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: decided once more: %v", server, err)
		}

		flows := r.Stats().FlowsTotal
		for _, decision := range []Decision{Refuse, Pass} { // where it passes, the server itself refuses
			c.dial(server)
			if err := r.Decide(next(t, r, c, server).ID, decision); err != nil {
				t.Fatal(err)
			}
			if got := c.line(); len(got) < 6 || got[:6] != "error " {
				t.Errorf("%s: decision %d: the client says %q", server, decision, got)
			}
		}
		if s := r.Stats(); s.FlowsTotal != flows || s.DecisionTimeouts != 0 {
			t.Errorf("%s: %+v", server, s)
		}
	}
	waits := r.Stats().DecisionWaits
	if waits < 6 {
		t.Errorf("%d connections waited", waits)
	}
	ended := make(chan error)
	go func() {
		_, err := r.NextConnection(context.Background())
		ended <- err
	}()
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Stop: %v", err)
	}
}

// Nobody decides: connections are redirected when their time is up.
func TestLabNoDecision(t *testing.T) {
	c, p := startClient(t), listen(t)
	r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, DecisionTimeout: 100 * time.Millisecond})
	for i, server := range servers {
		c.dial(server)
		conn, peer := p.accept(server)
		if got, ok := r.Destination(peer); !ok || got.Addr != netip.MustParseAddrPort(server) || got.ConnectionID == 0 {
			t.Errorf("%s: Destination gave %+v, %v", server, got, ok)
		}
		fmt.Fprintln(conn, "welcome")
		if got := c.line(); got != server+" heard welcome" {
			t.Errorf("%s: the client says %q", server, got)
		}
		if s := r.Stats(); s.DecisionTimeouts != uint64(i+1) {
			t.Errorf("%s: %+v", server, s)
		}
	}
	without := mustStartWith(t, Config{ClientPID: startClient(t).pid(), ProxyPort: p.port})
	if _, err := without.NextConnection(context.Background()); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("without a DecisionTimeout: %v", err)
	}
}
