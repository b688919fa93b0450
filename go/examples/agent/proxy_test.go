// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windows-redirector/windows-redirector/go/redirector"
)

// fixedFinder knows one destination for every peer, or none.
type fixedFinder struct {
	to       netip.AddrPort
	known    bool
	incoming bool
}

func (f fixedFinder) OriginalDst(net.Conn) (redirector.Destination, bool) {
	return redirector.Destination{Addr: f.to, PID: 4711, Incoming: f.incoming}, f.known
}

// startProxy serves; the function it returns waits for the end of the (at least one) connection and gives the events.
func startProxy(t *testing.T, f finder) (*proxy, func() []connectionEvent) {
	t.Helper()
	var text bytes.Buffer
	p, err := listen(0, &printer{encoder: json.NewEncoder(&text)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	p.serve(f)
	return p, func() []connectionEvent {
		p.wait(func() uint64 { return 1 })
		var events []connectionEvent
		decoder := json.NewDecoder(&text)
		for {
			var event connectionEvent
			if err := decoder.Decode(&event); err == io.EOF {
				return events
			} else if err != nil {
				t.Fatal(err)
			}
			events = append(events, event)
		}
	}
}

func dial(t *testing.T, network, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// wantReset connects and expects to be cut off; a reset that is quick enough already shows while connecting.
func wantReset(t *testing.T, address string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err == nil {
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

// address is that of the proxy for tcp4 (0) or tcp6 (1).
func (p *proxy) address(family int) string {
	return net.JoinHostPort([]string{"127.0.0.1", "::1"}[family], strconv.Itoa(p.port))
}

// A server that answers only after it has read everything: it works through half-closed connections alone.
func digestServer(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			digest := sha256.New()
			io.Copy(digest, conn)
			conn.Write(digest.Sum(nil))
			conn.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestRelayBothFamilies(t *testing.T) {
	data := make([]byte, 3<<20)
	rand.New(rand.NewSource(1)).Read(data)
	want := sha256.Sum256(data)
	for family, network := range []string{"tcp4", "tcp6"} {
		server := digestServer(t)
		p, finish := startProxy(t, fixedFinder{to: server, known: true})
		conn := dial(t, network, p.address(family))
		if _, err := conn.Write(data); err != nil {
			t.Fatal(err)
		}
		conn.CloseWrite()
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(got, want[:]) {
			t.Errorf("%s: got %x, %v; want %x", network, got, err, want)
		}
		events := finish()
		if len(events) != 1 {
			t.Fatalf("%s: %d events", network, len(events))
		}
		e := events[0]
		if !e.Found || e.Error != "" || e.PID != 4711 || e.BytesUp != int64(len(data)) || e.BytesDown != 32 ||
			e.Destination != server.String() || e.Peer != conn.LocalAddr().String() || e.Upstream == "" {
			t.Errorf("%s: event %+v", network, e)
		}
		if s := p.sums(); s != (totals{1, 1, 0, int64(len(data)), 32}) {
			t.Errorf("%s: totals %+v", network, s)
		}
	}
}

// An incoming connection comes to a listener of its own, on any address, and is relayed like any other.
func TestRelayIncoming(t *testing.T) {
	server := digestServer(t)
	var text bytes.Buffer
	p, err := listen(0, &printer{encoder: json.NewEncoder(&text)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	port, err := p.listenEverywhere()
	if err != nil {
		t.Fatal(err)
	}
	if port == p.port {
		t.Error("one port for outgoing and incoming")
	}
	p.serve(fixedFinder{server, true, true})
	for i, address := range []string{"127.0.0.1", "::1"} {
		conn := dial(t, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		conn.CloseWrite()
		if got, err := io.ReadAll(conn); err != nil || len(got) != sha256.Size {
			t.Errorf("%s: got %x, %v", address, got, err)
		}
		p.wait(func() uint64 { return uint64(i + 1) })
	}
	if s := p.sums(); s != (totals{2, 2, 0, 0, 2 * sha256.Size}) {
		t.Errorf("totals %+v", s)
	}
	if events := text.String(); strings.Count(events, `"incoming":true`) != 2 {
		t.Errorf("events %s", events)
	}
}

func TestStrangerIsReset(t *testing.T) {
	p, finish := startProxy(t, fixedFinder{})
	wantReset(t, p.address(0))
	if e := finish(); len(e) != 1 || e[0].Found || e[0].Upstream != "" {
		t.Errorf("events %+v", e)
	}
	if s := p.sums(); s != (totals{Connections: 1}) {
		t.Errorf("totals %+v", s)
	}
}

func TestRefusedDestination(t *testing.T) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	p, finish := startProxy(t, fixedFinder{to: free, known: true})
	wantReset(t, p.address(0))
	if e := finish(); len(e) != 1 || !e[0].Found || e[0].Error == "" {
		t.Errorf("events %+v", e)
	}
	if s := p.sums(); s != (totals{Connections: 1, Found: 1, Failed: 1}) {
		t.Errorf("totals %+v", s)
	}
}
