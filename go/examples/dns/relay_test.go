// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"bytes"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/windows-redirector/windows-redirector/go/redirector"
	"golang.org/x/net/dns/dnsmessage"
)

const patience = 30 * time.Second

// programs stands for a *redirector.PacketConn: what programs send, and what they are answered.
type programs struct {
	sent     chan sent
	answered chan sent
}

type sent struct {
	peer  netip.AddrPort
	where redirector.Destination
	data  []byte
}

func (p *programs) ReadFromDestination(b []byte) (int, netip.AddrPort, redirector.Destination, error) {
	s, ok := <-p.sent
	if !ok {
		return 0, s.peer, s.where, net.ErrClosed
	}
	return copy(b, s.data), s.peer, s.where, nil
}

func (p *programs) WriteToUDPAddrPort(b []byte, peer netip.AddrPort) (int, error) {
	p.answered <- sent{peer: peer, data: append([]byte(nil), b...)}
	return len(b), nil
}

// server is where datagrams were going. It answers with its name before what it was told.
func server(t *testing.T, name string) redirector.Destination {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, datagram)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(append([]byte(name), b[:n]...), from)
		}
	}()
	return redirector.Destination{Addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), PID: 4711}
}

func next[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patience):
		t.Fatal(what)
		panic("unreachable")
	}
}

func TestRelay(t *testing.T) {
	p := &programs{make(chan sent), make(chan sent, 10)}
	unreachable := make(chan netip.AddrPort, 10)
	r := newRelay(p, func(peer netip.AddrPort) error { unreachable <- peer; return nil }, &bytes.Buffer{})
	var served sync.WaitGroup
	served.Add(1)
	go func() { defer served.Done(); r.serve() }()
	one, two := server(t, "one "), server(t, "two ")
	peers := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1001"), netip.MustParseAddrPort("[::1]:1001")}
	for _, c := range []struct {
		peer       netip.AddrPort
		where      redirector.Destination
		said, want string
	}{
		{peers[0], one, "x", "one x"},
		{peers[1], one, "x", "one x"}, // the same port of the other family is another peer
		{peers[0], one, "", "one "},
		{peers[0], two, "x", "two x"}, // the peer has come again for another flow
	} {
		p.sent <- sent{c.peer, c.where, []byte(c.said)}
		if got := next(t, p.answered, "no answer"); got.peer != c.peer || string(got.data) != c.want {
			t.Errorf("%v: %q, not %q to %v", got.peer, got.data, c.want, c.peer)
		}
	}
	if runtime.GOOS != "windows" { // Wine does not tell a socket that nobody listens at its destination
		wantUnreachable(t, p, peers[0], unreachable)
	}
	close(p.sent)
	served.Wait()
	if len(r.sessions) != 0 {
		t.Errorf("%d sessions are left", len(r.sessions))
	}
}

// wantUnreachable sends to nobody.
func wantUnreachable(t *testing.T, p *programs, peer netip.AddrPort, told <-chan netip.AddrPort) {
	t.Helper()
	closed, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	nobody := redirector.Destination{Addr: closed.LocalAddr().(*net.UDPAddr).AddrPort()}
	closed.Close()
	p.sent <- sent{peer, nobody, []byte("x")}
	if got := next(t, told, "nobody is told that nobody listens there"); got != peer {
		t.Errorf("%v was told, not %v", got, peer)
	}
}

func TestRelayTells(t *testing.T) {
	var out bytes.Buffer
	r := newRelay(nil, nil, &out)
	dns := &session{where: redirector.Destination{Addr: netip.MustParseAddrPort("192.0.2.1:53"), PID: 7}}
	other := &session{where: redirector.Destination{Addr: netip.MustParseAddrPort("192.0.2.1:54")}}
	for _, s := range []*session{other, dns} {
		r.tell(s, "->", packed(t, dnsmessage.Header{}, dnsmessage.TypeA))
		r.tell(s, "<-", packed(t, answered, dnsmessage.TypeA, &dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}))
	}
	const want = "process 7 -> 192.0.2.1:53: A example.test.\nprocess 7 <- 192.0.2.1:53: A example.test. = 10.0.0.1\n"
	if out.String() != want {
		t.Errorf("it says\n%s", out.String())
	}
}
