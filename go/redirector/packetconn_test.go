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
	"strconv"
	"sync"
	"testing"
	"time"
)

func mustListenPacket(t *testing.T) net.PacketConn {
	t.Helper()
	c, err := ListenPacket(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func packetAddresses(c net.PacketConn) []string {
	port := strconv.Itoa(PacketPort(c))
	return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
}

// mustSender is a program's socket.
func mustSender(t *testing.T, to string) *net.UDPConn {
	t.Helper()
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.UDPConn)
}

func addressOf(conn *net.UDPConn) netip.AddrPort { return conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func mustSend(t *testing.T, conn *net.UDPConn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func wantText(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	b := make([]byte, 100)
	if n, err := conn.Read(b); err != nil || string(b[:n]) != want {
		t.Errorf("received %q, %v, not %q", b[:n], err, want)
	}
}

func TestListenPacketBothFamilies(t *testing.T) {
	c := mustListenPacket(t)
	b := make([]byte, 100)
	for _, address := range packetAddresses(c) {
		here := mustSender(t, address)
		mustSend(t, here, "question")
		n, from, err := c.ReadFrom(b)
		if err != nil || string(b[:n]) != "question" || from.String() != here.LocalAddr().String() {
			t.Fatalf("%s: %q from %v, %v", address, b[:n], from, err)
		}
		if n, err := c.WriteTo([]byte("answer"), from); n != 6 || err != nil {
			t.Errorf("%s: wrote %d, %v", address, n, err)
		}
		wantText(t, here, "answer")
	}
	if _, err := c.WriteTo(b, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}); err != nil {
		t.Errorf("the address of a peer is its address, whatever its type: %v", err)
	}
	if _, err := c.WriteTo(b, &net.UnixAddr{Name: "x"}); err == nil {
		t.Error("wrote to a file")
	}
	if again, err := ListenPacket(PacketPort(c)); err == nil {
		again.Close()
		t.Error("listens twice on one port")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := c.ReadFrom(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom after Close: %v", err)
	}
	if err := c.SetReadDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetReadDeadline after Close: %v", err)
	}
	again, err := ListenPacket(PacketPort(c))
	if err != nil {
		t.Fatalf("Close left the port taken: %v", err)
	}
	again.Close()
}

// A port that is taken for IPv6 alone is not half listened on.
func TestListenPacketPortTaken(t *testing.T) {
	v6, err := listenPacketOn(net.IPv6loopback, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer v6.Close()
	if c, err := ListenPacket(PacketPort(v6)); err == nil {
		t.Errorf("listens on %v", c.LocalAddr())
	}
	v4, err := listenPacketOn(net.IPv4(127, 0, 0, 1), PacketPort(v6))
	if err != nil {
		t.Fatalf("the failure left a socket: %v", err)
	}
	v4.Close()
}

// U4: datagrams of every size, the empty one, too; one that the buffer is too small for is told of, and costs no other.
func TestListenPacketSizes(t *testing.T) {
	const largest = 65507 // of IPv4
	c := mustListenPacket(t)
	b := make([]byte, largestDatagram)
	for _, address := range packetAddresses(c) {
		to, here := netip.MustParseAddrPort(address), mustSender(t, address)
		open, err := listenPacketOn(addressOf(here).Addr().AsSlice(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		for _, size := range []int{0, 1, 1500, largest} {
			sent := bytes.Repeat([]byte{byte(size)}, size)
			open.WriteToUDPAddrPort(sent, to) // by Write of a connected one Go for Windows sends no empty datagram
			if n, _, err := c.ReadFrom(b); err != nil || !bytes.Equal(b[:n], sent) {
				t.Errorf("%s: of %d bytes %d, %v", address, size, n, err)
			}
		}
		mustSend(t, here, "too long")
		mustSend(t, here, "short")
		n, from, err := c.ReadFrom(b[:5])
		if !errors.Is(err, io.ErrShortBuffer) || string(b[:n]) != "too l" || from.String() != here.LocalAddr().String() {
			t.Errorf("%s: %q from %v, %v", address, b[:n], from, err)
		}
		if n, _, err := c.ReadFrom(b[:5]); err != nil || string(b[:n]) != "short" {
			t.Errorf("%s: then %q, %v", address, b[:n], err)
		}
	}
}

// reads begins to read, and tells how it ended.
func reads(c net.PacketConn) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, _, err := c.ReadFrom(make([]byte, 100))
		ended <- err
	}()
	return ended
}

func wantEnd(t *testing.T, what string, ended <-chan error, want error) {
	t.Helper()
	select {
	case err := <-ended:
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", what, err, want)
		}
	case <-time.After(patience):
		t.Fatalf("%s: ReadFrom goes on waiting", what)
	}
}

// What net.PacketConn says of deadlines.
func TestListenPacketDeadlines(t *testing.T) {
	c := mustListenPacket(t)
	here := mustSender(t, packetAddresses(c)[0])
	mustSend(t, here, "waits")
	past := time.Now().Add(-time.Hour)
	c.SetDeadline(past)
	for i := 0; i < 1000; i++ { // at once, although there is a datagram
		c.SetReadDeadline(time.Time{})
		c.SetReadDeadline(past)
		_, _, err := c.ReadFrom(make([]byte, 100))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("after the deadline: %v", err)
		}
	}
	if _, err := c.WriteTo([]byte("x"), here.LocalAddr()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote after the deadline: %v", err)
	}
	c.SetDeadline(time.Time{})
	wantEnd(t, "without a deadline", reads(c), nil)

	late := reads(c) // one that waits already is told of a new deadline, and of the next
	c.SetReadDeadline(time.Now().Add(time.Hour))
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	wantEnd(t, "a shorter deadline", late, os.ErrDeadlineExceeded)
	c.SetReadDeadline(time.Now().Add(time.Hour))
	mustSend(t, here, "in time")
	wantEnd(t, "a longer deadline", reads(c), nil)
	if _, err := c.WriteTo([]byte("x"), here.LocalAddr()); err != nil {
		t.Errorf("a deadline for reading forbids writing: %v", err)
	}
}

func TestListenPacketCloseWakes(t *testing.T) {
	c := mustListenPacket(t)
	ended := []<-chan error{reads(c), reads(c)}
	c.Close()
	for _, e := range ended {
		wantEnd(t, "Close", e, net.ErrClosed)
	}
}

// plain hides what a conn has beside net.PacketConn.
type plain struct{ net.PacketConn }

// knows makes the engine know what a socket sends.
func (e *fakeEngine) knows(conn *net.UDPConn, d Destination) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.senders == nil {
		e.senders = map[netip.AddrPort]Destination{}
	}
	e.senders[addressOf(conn)] = d
}

// U1: each datagram has its destination; those of strangers are dropped and counted.
func TestPacketConnKnowsDestinations(t *testing.T) {
	for _, wrap := range []func(net.PacketConn) net.PacketConn{
		func(c net.PacketConn) net.PacketConn { return c },
		func(c net.PacketConn) net.PacketConn { return plain{c} },
	} {
		e := &fakeEngine{}
		r := startFake(t, context.Background(), e)
		c := r.PacketConn(wrap(mustListenPacket(t)))
		b := make([]byte, 100)
		for i, address := range packetAddresses(c) {
			want := Destination{Addr: netip.MustParseAddrPort("192.0.2.1:53"), PID: uint32(i + 1)}
			here, stranger := mustSender(t, address), mustSender(t, address)
			e.knows(here, want)
			mustSend(t, stranger, "stranger")
			mustSend(t, here, "question")
			n, peer, where, err := c.ReadFromDestination(b)
			if err != nil || string(b[:n]) != "question" || peer != addressOf(here) || where != want {
				t.Fatalf("%s: %q from %v to %+v, %v", address, b[:n], peer, where, err)
			}
			if got := c.Strangers(); got != uint64(i+1) {
				t.Errorf("%s: %d strangers", address, got)
			}
			if _, err := c.WriteToUDPAddrPort([]byte("answer"), peer); err != nil {
				t.Error(err)
			}
			wantText(t, here, "answer")
			mustSend(t, here, "as ever")
			n, from, err := c.ReadFrom(b)
			if err != nil || string(b[:n]) != "as ever" || from.String() != here.LocalAddr().String() {
				t.Errorf("%s: ReadFrom gave %q from %v, %v", address, b[:n], from, err)
			}
			if _, err := c.WriteTo([]byte("again"), from); err != nil {
				t.Error(err)
			}
			wantText(t, here, "again")
			if err := r.Unreachable(peer); err != nil {
				t.Error(err)
			}
			if err := r.Unreachable(addressOf(stranger)); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: a stranger's destination is unreachable: %v", address, err)
			}
			if _, ok := r.Destination(peer); ok {
				t.Errorf("%s: a port of UDP is one of TCP", address)
			}
		}
		c.SetReadDeadline(time.Now())
		if _, _, _, err := c.ReadFromDestination(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
	}
}

// A datagram that does not fit has its destination all the same.
func TestPacketConnShortBuffer(t *testing.T) {
	e := &fakeEngine{}
	c := startFake(t, context.Background(), e).PacketConn(mustListenPacket(t))
	here, want := mustSender(t, packetAddresses(c)[0]), Destination{PID: 7}
	e.knows(here, want)
	mustSend(t, here, "question")
	n, peer, where, err := c.ReadFromDestination(make([]byte, 5))
	if n != 5 || peer != addressOf(here) || where != want || !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("%d from %v to %+v, %v", n, peer, where, err)
	}
}

// A loop of reads ends with the redirection, whatever ended it.
func TestPacketConnEndsWithRedirection(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, end := range map[string]func(*Redirector, net.PacketConn){
		"context":  func(*Redirector, net.PacketConn) { cancel() },
		"Stop":     func(r *Redirector, _ net.PacketConn) { r.Stop() },
		"Close":    func(_ *Redirector, c net.PacketConn) { c.Close() },
		"Close x2": func(_ *Redirector, c net.PacketConn) { c.Close(); c.Close() },
	} {
		scope := context.Background()
		if name == "context" {
			scope = ctx
		}
		r := startFake(t, scope, &fakeEngine{})
		c := r.PacketConn(mustListenPacket(t))
		ended := reads(c)
		end(r, c)
		wantEnd(t, name, ended, net.ErrClosed)
	}
}

// Nothing is allocated for a datagram: not by the two sockets in one, nor by the lookup's surroundings.
func TestPacketConnAllocatesNothing(t *testing.T) {
	e := &fakeEngine{}
	c := startFake(t, context.Background(), e).PacketConn(mustListenPacket(t))
	b := make([]byte, 2000)
	for _, address := range packetAddresses(c) {
		here := mustSender(t, address)
		e.knows(here, Destination{PID: 7})
		each := testing.AllocsPerRun(200, func() {
			here.Write(b[:1200])
			n, peer, _, err := c.ReadFromDestination(b)
			if err != nil {
				t.Fatal(err)
			}
			c.WriteToUDPAddrPort(b[:n], peer)
			here.Read(b)
		})
		if each != 0 {
			t.Errorf("%s: %v allocations a datagram", address, each)
		}
	}
}

// Many at a time, for the race detector: senders, strangers, answers, several readers, and an end in the middle of it.
func TestPacketConnUnderLoad(t *testing.T) {
	const senders, each, readers = 8, 50, 3
	e := &fakeEngine{}
	r := startFake(t, context.Background(), e)
	c := r.PacketConn(mustListenPacket(t))
	var reading, sending sync.WaitGroup
	for i := 0; i < readers; i++ {
		reading.Add(1)
		go func() {
			defer reading.Done()
			b := make([]byte, 100)
			for {
				n, peer, where, err := c.ReadFromDestination(b)
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
				if got := string(b[:n]); got != strconv.Itoa(int(where.PID)) {
					t.Errorf("%q is of %d", got, where.PID)
				}
				c.WriteToUDPAddrPort(b[:n], peer)
			}
		}()
	}
	addresses := packetAddresses(c)
	for i := 0; i < senders; i++ {
		here, stranger, text := mustSender(t, addresses[i%2]), mustSender(t, addresses[i%2]), strconv.Itoa(i)
		e.knows(here, Destination{PID: uint32(i)})
		sending.Add(1)
		go func() {
			defer sending.Done()
			for j := 0; j < each; j++ {
				stranger.Write([]byte("stranger"))
				here.Write([]byte(text))
				wantText(t, here, text)
			}
		}()
	}
	sending.Wait()
	r.Stop()
	reading.Wait()
	if got := c.Strangers(); got != senders*each {
		t.Errorf("%d strangers of %d", got, senders*each)
	}
}
