// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

package redirector

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A connection that a stranger opens to a program of the tree goes to the incoming port, the agent's own to the
// program (N2, N3).
func TestLabIncoming(t *testing.T) {
	program, stranger := startClient(t), startClient(t)
	early := program.listen()
	everywhere, err := net.ListenTCP("tcp4", &net.TCPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t, everywhere.Addr().(*net.TCPAddr).Port, map[string]*net.TCPListener{early: everywhere}}
	t.Cleanup(func() { everywhere.Close() })
	r := mustStartWith(t, Config{ClientPID: program.pid(), IncomingPort: p.port})
	late := program.listen()
	p.listeners[late] = everywhere
	for _, address := range []string{early, late} {
		stranger.dial(address)
		conn, peer := p.accept(address)
		if peer.Addr().String() != ownAddress {
			t.Errorf("%s: the peer is %v", address, peer)
		}
		want := Destination{Addr: netip.MustParseAddrPort(address), PID: program.pid(), Incoming: true}
		if got, ok := r.Destination(peer); !ok || got != want {
			t.Errorf("%s: Destination gave %+v, %v", address, got, ok)
		}
		own, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			t.Fatal(err)
		}
		own.SetDeadline(time.Now().Add(patience))
		fmt.Fprintln(own, "hello")
		answer, err := bufio.NewReader(own).ReadString('\n')
		if err != nil || answer != "the program itself, to "+ownAddress+"\n" {
			t.Errorf("%s: the agent reached %q, %v", address, answer, err)
		}
		own.Close()
		fmt.Fprintln(conn, "the proxy")
		if got := stranger.line(); got != address+" heard the proxy" {
			t.Errorf("%s: the stranger says %q", address, got)
		}
	}
	if s := r.Stats(); s.FlowsTotal != 2 || s.ProxyNotListening != 0 {
		t.Errorf("%+v", s)
	}
}
