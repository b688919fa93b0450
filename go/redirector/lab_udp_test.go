// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

// UDP: what a program sends comes here with its destination, and it is answered as from there. lab_test.sh runs a DNS
// server on the lab's server host.

package redirector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sort"
	"strings"
	"testing"
	"time"
)

var dnsServers = []string{"10.77.0.2:53", "[fd77::2]:53"}

// udpWork is the worker's. "send" sends from one socket, to each address in turn, and waits for its answer; "resolve" asks a
// DNS server for a name, by Go's own resolver.
func udpWork(word string, arguments []string) {
	var said string
	var err error
	if word == "send" {
		said, err = sendFromOneSocket(arguments)
	} else {
		said, err = resolve(arguments[0], arguments[1])
	}
	if err != nil {
		said = fmt.Sprintf("error %v", err)
	}
	fmt.Println(said)
}

func sendFromOneSocket(addresses []string) (string, error) {
	network := "udp6"
	if netip.MustParseAddrPort(addresses[0]).Addr().Is4() {
		network = "udp4"
	}
	socket, err := net.ListenUDP(network, nil)
	if err != nil {
		return "", err
	}
	defer socket.Close()
	socket.SetDeadline(time.Now().Add(patience))
	var said []string
	b := make([]byte, 100)
	for _, address := range addresses {
		if _, err := socket.WriteToUDPAddrPort([]byte("to "+address), netip.MustParseAddrPort(address)); err != nil {
			return "", err
		}
		n, from, err := socket.ReadFromUDPAddrPort(b)
		if err != nil {
			return "", err
		}
		said = append(said, fmt.Sprintf("%v said %s", from, b[:n]))
	}
	return strings.Join(said, "; "), nil
}

func resolve(server, name string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	addresses, err := resolver.LookupNetIP(ctx, "ip", name)
	sort.Slice(addresses, func(i, j int) bool { return addresses[i].Less(addresses[j]) })
	return fmt.Sprint(addresses), err
}

// mustStartUDP redirects the client's datagrams to what it returns.
func mustStartUDP(t *testing.T, c *client) (*Redirector, *PacketConn) {
	t.Helper()
	inner := mustListenPacket(t)
	r := mustStartWith(t, Config{ClientPID: c.pid(), UDPPort: PacketPort(inner)})
	return r, r.PacketConn(inner)
}

// U1: each datagram has its destination, also of one socket that sends to several; answers come from where it sent to.
func TestLabPacketConn(t *testing.T) {
	c := startClient(t)
	r, conn := mustStartUDP(t, c)
	b := make([]byte, 2000)
	for i, host := range []string{"10.77.0.2", "[fd77::2]"} {
		stranger := mustSender(t, packetAddresses(conn)[i])
		mustSend(t, stranger, "stranger")
		to := []string{host + ":9", host + ":10", host + ":9"}
		fmt.Fprintln(c.stdin, "send", strings.Join(to, " "))
		peers := map[string]netip.AddrPort{}
		for _, address := range to {
			n, peer, where, err := conn.ReadFromDestination(b)
			want := Destination{Addr: netip.MustParseAddrPort(address), PID: c.pid()}
			if err != nil || where != want || string(b[:n]) != "to "+address {
				t.Fatalf("%q to %+v, %v, not to %+v", b[:n], where, err, want)
			}
			if known, ok := peers[address]; ok && known != peer {
				t.Errorf("%s: from %v, then from %v", address, known, peer)
			}
			peers[address] = peer
			if _, err := conn.WriteToUDPAddrPort(append([]byte("answer "), b[:n]...), peer); err != nil {
				t.Error(err)
			}
		}
		want := fmt.Sprintf("%s said answer to %[1]s; %s said answer to %[2]s; %[1]s said answer to %[1]s", to[0], to[1])
		if got := c.line(); got != want {
			t.Errorf("the client says %q, not %q", got, want)
		}
		if got := conn.Strangers(); got != uint64(i+1) {
			t.Errorf("%d strangers", got)
		}
		if s := r.Stats(); s.UDPFlowsTotal != uint64(2*i+2) || s.UDPPacketsRewritten < uint64(6*i+6) || s.FlowsTotal != 0 {
			t.Errorf("%+v", s)
		}
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if _, _, _, err := conn.ReadFromDestination(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Stop: %v", err)
	}
}

// S6: a UDP flow in the list; a lookup hardly allocates; the program is told of what cannot be reached.
func TestLabUDPFlow(t *testing.T) {
	for _, address := range []string{"10.77.0.2:9", "[fd77::2]:9"} {
		c := startClient(t)
		r, conn := mustStartUDP(t, c)
		fmt.Fprintln(c.stdin, "send", address)
		b := make([]byte, 2000)
		n, peer, _, err := conn.ReadFromDestination(b)
		if err != nil {
			t.Fatal(err)
		}
		flows, err := r.Flows()
		if err != nil || len(flows) != 1 {
			t.Fatalf("%d flows, %v", len(flows), err)
		}
		f, want := flows[0], Destination{Addr: netip.MustParseAddrPort(address), PID: c.pid()}
		if f.Destination != want || f.Protocol != UDP || f.Peer != peer || f.State != FlowOpening || f.BytesUp != uint64(n) ||
			f.PacketsUp != 1 || f.BytesDown != 0 || f.Client.Addr().IsLoopback() {
			t.Errorf("%s: %+v", address, f)
		}
		each := testing.AllocsPerRun(1000, func() {
			if _, ok := r.UDPDestination(peer); !ok {
				t.Error("gone")
			}
		})
		if each > 1 { // one by cgo; with the DLL there is none
			t.Errorf("%s: a lookup makes %v allocations", address, each)
		}
		if _, ok := r.Destination(peer); ok {
			t.Errorf("%s: a port of UDP is one of TCP", address)
		}
		if err := r.Unreachable(peer); err != nil {
			t.Error(err)
		}
		if err := r.Unreachable(netip.MustParseAddrPort("127.0.0.1:1")); !errors.Is(err, ErrNotFound) {
			t.Errorf("a stranger is told: %v", err)
		}
		if s := r.Stats(); s.UDPErrorsTranslated != 1 || s.UDPFlowsLive != 1 {
			t.Errorf("%s: %+v", address, s)
		}
		if _, err := conn.WriteToUDPAddrPort([]byte("late"), peer); err != nil {
			t.Error(err)
		}
		if got := c.line(); got != address+" said late" {
			t.Errorf("%s: the client says %q", address, got)
		}
		r.Stop()
	}
}

// forward leads datagrams on to their destinations, and the answers back, until the conn is closed.
func forward(t *testing.T, conn *PacketConn, seen chan<- Destination) {
	for {
		b := make([]byte, 2000)
		n, peer, where, err := conn.ReadFromDestination(b)
		if err != nil {
			return
		}
		seen <- where
		go func() {
			server, err := net.Dial("udp", where.Addr.String())
			if err != nil {
				t.Error(err)
				return
			}
			defer server.Close()
			server.SetDeadline(time.Now().Add(patience))
			server.Write(b[:n])
			if n, err = server.Read(b); err != nil {
				t.Error(err)
				return
			}
			conn.WriteToUDPAddrPort(b[:n], peer)
		}()
	}
}

// Go's own resolver, against a real server, through this process.
func TestLabResolver(t *testing.T) {
	c := startClient(t)
	r, conn := mustStartUDP(t, c)
	seen := make(chan Destination, 100)
	go forward(t, conn, seen)
	for i, server := range dnsServers {
		for _, q := range []struct{ name, want string }{
			{"yes.test", "[192.0.2.53 2001:db8::53]"},
			{"no.test", "error lookup no.test"},
		} {
			fmt.Fprintln(c.stdin, "resolve", server, q.name)
			if got := c.line(); !strings.HasPrefix(got, q.want) {
				t.Errorf("%s: %s is %q, not %q", server, q.name, got, q.want)
			}
		}
		want := Destination{Addr: netip.MustParseAddrPort(server), PID: c.pid()}
		if len(seen) < 2 {
			t.Errorf("%s: %d queries came this way", server, len(seen))
		}
		for len(seen) > 0 {
			if got := <-seen; got != want {
				t.Errorf("%d: %+v, not %+v", i, got, want)
			}
		}
	}
	if s := r.Stats(); s.UDPHoldTimeouts != 0 || s.UDPProxyNotListening != 0 || conn.Strangers() != 0 {
		t.Errorf("%d strangers, %+v", conn.Strangers(), s)
	}
}
