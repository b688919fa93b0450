// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

package redirector

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestLabDestination(t *testing.T) {
	c, p := startClient(t), listen(t)
	r := mustStart(t, c, p, nil)
	for i, server := range servers {
		c.dial(server)
		conn, peer := p.accept(server)
		want := Destination{Addr: netip.MustParseAddrPort(server), PID: c.pid()}
		if got, ok := r.Destination(peer); !ok || got != want {
			t.Errorf("%s: Destination gave %+v, %v", server, got, ok)
		}
		fmt.Fprintln(conn, "welcome")
		if got := c.line(); got != server+" heard welcome" {
			t.Errorf("%s: the client says %q", server, got)
		}
		if s := r.Stats(); s.FlowsTotal != uint64(i+1) || s.LookupsHit != uint64(i+1) || s.LookupsMissed != 0 ||
			s.PacketsRewritten == 0 || s.SendErrors != 0 {
			t.Errorf("%s: %+v", server, s)
		}
	}
	if got, ok := r.Destination(netip.MustParseAddrPort("127.0.0.1:1")); ok {
		t.Errorf("a stranger was going to %+v", got)
	}
	if s := r.Stats(); s.LookupsMissed != 1 {
		t.Errorf("%d lookups missed", s.LookupsMissed)
	}
}

// A listener gives the connections of the tree with their destinations, and no stranger.
func TestLabListener(t *testing.T) {
	c, inner := startClient(t), mustListen(t)
	r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: Port(inner)})
	l := r.Listener(inner)
	for i, server := range servers {
		stranger := mustDial(t, loopbacks(l)[i])
		c.dial(server)
		conn, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		want := Destination{Addr: netip.MustParseAddrPort(server), PID: c.pid()}
		if got, ok := OriginalDst(conn); !ok || got != want {
			t.Errorf("%s: OriginalDst gave %+v, %v", server, got, ok)
		}
		fmt.Fprintln(conn, "welcome")
		if got := c.line(); got != server+" heard welcome" {
			t.Errorf("%s: the client says %q", server, got)
		}
		conn.Close()
		wantReset(t, stranger)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Stop: %v", err)
	}
}

// S6: live connections, each with its two ends, its owner, its bytes.
func TestLabFlows(t *testing.T) {
	const each = 12 // more than a first guess of the list's length holds
	c, p := startClient(t), listen(t)
	r := mustStart(t, c, p, nil)
	if flows, err := r.Flows(); err != nil || len(flows) != 0 {
		t.Errorf("before the first: %v, %v", flows, err)
	}
	began := time.Now()
	want := map[netip.AddrPort]string{} // by peer
	for _, server := range servers {
		for i := 0; i < each; i++ {
			c.dial(server)
			_, peer := p.accept(server)
			want[peer] = server
		}
	}
	flows, err := r.Flows()
	if err != nil || len(flows) != len(want) {
		t.Fatalf("%d flows, %v, want %d", len(flows), err, len(want))
	}
	for _, f := range flows {
		server := want[f.Peer]
		delete(want, f.Peer)
		destination := Destination{Addr: netip.MustParseAddrPort(server), PID: c.pid()}
		hello := uint64(len("hello from \n") + len(server))
		if f.Destination != destination || f.State != FlowOpen || f.Client.Port() != f.Peer.Port() ||
			f.Client.Addr().Is4() != destination.Addr.Addr().Is4() || f.Client.Addr().IsLoopback() ||
			f.BytesUp != hello || f.BytesDown != 0 || f.PacketsUp < 3 || f.PacketsDown < 1 {
			t.Errorf("%s: %+v", server, f)
		}
		if f.Age < 0 || f.Age > time.Since(began)+time.Second || f.Opened.Before(began.Add(-time.Second)) ||
			f.Opened.After(time.Now().Add(time.Second)) {
			t.Errorf("%s: opened at %v, %v ago; now %v, began %v", server, f.Opened, f.Age, time.Now(), began)
		}
	}
	if s := r.Stats(); s.FlowsLive != 2*each || s.QueueDelayMax < s.QueueDelayMean || s.QueueDelayMax == 0 {
		t.Errorf("%+v", s)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if flows, err := r.Flows(); len(flows) != 0 || !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Stop: %v, %v", flows, err)
	}
}

func TestLabForget(t *testing.T) {
	c, p := startClient(t), listen(t)
	r := mustStart(t, c, p, nil)
	for _, server := range servers {
		c.dial(server)
		conn, peer := p.accept(server)
		if !r.Forget(peer) {
			t.Errorf("%s: Forget found nothing", server)
		}
		if _, ok := r.Destination(peer); ok {
			t.Errorf("%s: there after Forget", server)
		}
		if r.Forget(peer) {
			t.Errorf("%s: Forget found it again", server)
		}
		fmt.Fprintln(conn, "still here")
		if got := c.line(); got != server+" heard still here" {
			t.Errorf("%s: the client says %q", server, got)
		}
	}
}

// Without a proxy, connections reach their program, or are refused although it is there.
func TestLabNoProxy(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		c, server, p := startClient(t), startClient(t), listen(t)
		address := server.listen()
		for _, l := range p.listeners {
			l.Close()
		}
		r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, FailClosed: refuse})
		if refuse {
			c.wantLine(address, "error ")
		} else {
			c.wantLine(address, address+" heard the program itself")
		}
		if s := r.Stats(); s.ProxyNotListening == 0 || s.FlowsTotal != 0 {
			t.Errorf("refuse %v: %+v", refuse, s)
		}
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// Steered by swapped addresses, the proxy sees the server as its peer.
func TestLabReflect(t *testing.T) {
	c := startClient(t)
	everywhere, err := net.ListenTCP("tcp", &net.TCPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { everywhere.Close() })
	p := &proxy{t, everywhere.Addr().(*net.TCPAddr).Port, map[string]*net.TCPListener{
		servers[0]: everywhere, servers[1]: everywhere}}
	r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, Reflect: true})
	for _, server := range servers {
		c.dial(server)
		conn, peer := p.accept(server)
		want := Destination{Addr: netip.MustParseAddrPort(server), PID: c.pid()}
		if got, ok := r.Destination(peer); !ok || got != want || peer.Addr().Unmap() != want.Addr.Addr() {
			t.Errorf("%s: from %v, Destination gave %+v, %v", server, peer, got, ok)
		}
		fmt.Fprintln(conn, "welcome")
		if got := c.line(); got != server+" heard welcome" {
			t.Errorf("%s: the client says %q", server, got)
		}
	}
}
