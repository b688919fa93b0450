// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

func mustDial(t *testing.T, to string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// dialKnown holds the engine while it dials, so that the connection is known before anybody asks.
func dialKnown(address string, e *fakeEngine, d Destination) (*net.TCPConn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	if e.peers == nil {
		e.peers = map[netip.AddrPort]Destination{}
	}
	e.peers[conn.LocalAddr().(*net.TCPAddr).AddrPort()] = d
	return conn.(*net.TCPConn), nil
}

func mustListen(t *testing.T) net.Listener {
	t.Helper()
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func loopbacks(l net.Listener) []string {
	port := strconv.Itoa(Port(l))
	return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
}

func TestListenBothFamilies(t *testing.T) {
	l := mustListen(t)
	for _, address := range loopbacks(l) {
		here := mustDial(t, address)
		there, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer there.Close()
		if there.LocalAddr().String() != address || there.RemoteAddr().String() != here.LocalAddr().String() {
			t.Errorf("%s: accepted %v to %v", address, there.RemoteAddr(), there.LocalAddr())
		}
	}
	if _, err := Listen(Port(l)); err == nil {
		t.Error("listens twice on one port")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	again, err := Listen(Port(l))
	if err != nil {
		t.Fatalf("Close left the port taken: %v", err)
	}
	again.Close()
}

// A port that is taken for IPv6 alone is not half listened on.
func TestListenPortTaken(t *testing.T) {
	v6, err := listenOn(net.IPv6loopback, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer v6.Close()
	if l, err := Listen(Port(v6)); err == nil {
		t.Errorf("listens on %v", l.Addr())
	}
	v4, err := listenOn(net.IPv4(127, 0, 0, 1), Port(v6))
	if err != nil {
		t.Fatalf("the failure left a listener: %v", err)
	}
	v4.Close()
}

// Those who wait are woken by Close, and connections that nobody took are cut.
func TestListenCloseWakes(t *testing.T) {
	l := mustListen(t)
	woken := make(chan error, 1)
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				woken <- err
				return
			}
		}
	}()
	mustDial(t, loopbacks(l)[0])
	l.Close()
	select {
	case err := <-woken:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Accept goes on waiting")
	}
	unseen := mustListen(t)
	conn := mustDial(t, loopbacks(unseen)[1])
	unseen.Close()
	wantReset(t, conn)
}

func TestListenerKnowsDestinations(t *testing.T) {
	e := &fakeEngine{}
	r := startFake(t, context.Background(), e)
	l := r.Listener(mustListen(t))
	for i, address := range loopbacks(l) {
		want := Destination{Addr: netip.MustParseAddrPort("192.0.2.1:443"), PID: uint32(i + 1), Incoming: i == 1}
		stranger := mustDial(t, address)
		here, err := dialKnown(address, e, want)
		if err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		peer := here.LocalAddr().(*net.TCPAddr).AddrPort()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if conn.RemoteAddr().(*net.TCPAddr).AddrPort() != peer {
			t.Fatalf("%s: accepted %v, not %v", address, conn.RemoteAddr(), peer)
		}
		for name, wrapped := range map[string]net.Conn{"itself": conn, "wrapped": wrapper{wrapper{conn}}} {
			if got, ok := OriginalDst(wrapped); !ok || got != want {
				t.Errorf("%s, %s: OriginalDst gave %+v, %v", address, name, got, ok)
			}
		}
		if got, ok := r.OriginalDst(conn); !ok || got != want || conn.(*Conn).OriginalDst() != want {
			t.Errorf("%s: asked again: %+v, %v", address, got, ok)
		}
		wantReset(t, stranger)
		if !r.Forget(peer) || r.Forget(peer) {
			t.Errorf("%s: Forget", address)
		}
		if got, ok := OriginalDst(conn); !ok || got != want { // it does not forget
			t.Errorf("%s: after Forget: %+v, %v", address, got, ok)
		}
		wantHalfClose(t, conn.(*Conn), here)
	}
}

// wantReset is content with any end under Wine, which makes an orderly one of each.
func wantReset(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Read(make([]byte, 1))
	if err == nil || os.IsTimeout(err) || (err == io.EOF && runtime.GOOS != "windows") {
		t.Errorf("%v was not reset: %v", conn.LocalAddr(), err)
	}
}

// wrapper is a connection on top of another, as tls.Conn is.
type wrapper struct{ net.Conn }

func (w wrapper) NetConn() net.Conn { return w.Conn }

func wantHalfClose(t *testing.T, conn *Conn, other *net.TCPConn) {
	t.Helper()
	if err := conn.CloseWrite(); err != nil {
		t.Error(err)
	}
	if n, err := other.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after CloseWrite the other end reads %d, %v", n, err)
	}
	other.Write([]byte("x"))
	other.Close()
	if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, []byte("x")) {
		t.Errorf("after CloseWrite this end reads %q, %v", got, err)
	}
}

func TestConnOfNoTCP(t *testing.T) {
	one, two := net.Pipe()
	defer one.Close()
	defer two.Close()
	if err := (&Conn{Conn: one}).CloseWrite(); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("CloseWrite of a pipe: %v", err)
	}
	if _, ok := OriginalDst(one); ok {
		t.Error("a pipe was going somewhere")
	}
	if _, ok := startFake(t, context.Background(), &fakeEngine{}).OriginalDst(one); ok {
		t.Error("a pipe was going somewhere, says the redirector")
	}
}

// A loop of Accept ends with the redirection, whatever ended it.
func TestListenerEndsWithRedirection(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, end := range map[string]func(*Redirector, net.Listener){
		"context":  func(*Redirector, net.Listener) { cancel() },
		"Stop":     func(r *Redirector, _ net.Listener) { r.Stop() },
		"Close":    func(_ *Redirector, l net.Listener) { l.Close() },
		"Close x2": func(_ *Redirector, l net.Listener) { l.Close(); l.Close() },
	} {
		scope := context.Background()
		if name == "context" {
			scope = ctx
		}
		r := startFake(t, scope, &fakeEngine{})
		l := r.Listener(mustListen(t))
		ended := make(chan error, 1)
		go func() {
			conn, err := l.Accept()
			if conn != nil {
				t.Errorf("%s: accepted %v", name, conn)
			}
			ended <- err
		}()
		end(r, l)
		select {
		case err := <-ended:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: Accept goes on waiting", name)
		}
	}
}

// Many at a time, for the race detector: connections, strangers, lookups, and an end in the middle of it.
func TestListenerUnderLoad(t *testing.T) {
	const dialers, each = 8, 25
	e := &fakeEngine{}
	r := startFake(t, context.Background(), e)
	l := r.Listener(mustListen(t))
	addresses := loopbacks(l)
	answered := make(chan Destination, dialers*each)
	go func() {
		for {
			conn, err := l.AcceptConn()
			if err != nil {
				close(answered)
				return
			}
			answered <- conn.OriginalDst()
			conn.Close()
		}
	}()
	var group sync.WaitGroup
	for i := 0; i < dialers; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			for j := 0; j < each; j++ {
				d := Destination{Addr: netip.MustParseAddrPort("192.0.2.1:80"), PID: uint32(i*each + j)}
				conn, err := dialKnown(addresses[j%2], e, d)
				if err != nil {
					t.Error(err)
					return
				}
				conn.Read(make([]byte, 1)) // until the other end is done with it
				conn.Close()
			}
		}(i)
	}
	group.Wait()
	r.Stop()
	seen := map[uint32]bool{}
	for d := range answered {
		seen[d.PID] = true
	}
	if len(seen) != dialers*each {
		t.Errorf("%d of %d connections were seen", len(seen), dialers*each)
	}
}
