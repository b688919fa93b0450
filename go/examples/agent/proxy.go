// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/windows-redirector/windows-redirector/go/redirector"
)

// proxy listens for the tree's redirected connections, and on a port of all addresses if it is to serve incoming ones,
// looks up each peer's original destination, and relays. It does not use a redirector.Listener, because it also reports
// connections that are not redirected. An incoming connection is meant for a program of the tree; the proxy's own
// connection reaches that program, because the agent is never redirected.
type proxy struct {
	port      int
	listeners []net.Listener
	out       *printer

	mu     sync.Mutex
	idle   *sync.Cond // signalled when live has become 0
	live   int        // connections being handled
	totals totals
}

// finder is the part of a redirector that the proxy uses.
type finder interface {
	OriginalDst(conn net.Conn) (redirector.Destination, bool)
}

type totals struct {
	Connections int   `json:"connections"`
	Found       int   `json:"found"`
	Failed      int   `json:"failed"` // found, but the relay could not do its work to the end
	BytesUp     int64 `json:"bytes_up"`
	BytesDown   int64 `json:"bytes_down"`
}

// connectionEvent is what is printed when a connection is over.
type connectionEvent struct {
	Event        string `json:"event"` // "connection"
	Found        bool   `json:"found"`
	Incoming     bool   `json:"incoming"`
	PID          uint32 `json:"pid"`
	Program      string `json:"program"`
	Peer         string `json:"peer"`        // the other end, as the proxy sees it
	Proxy        string `json:"proxy"`       // the proxy's end: where the connection was led to
	Destination  string `json:"destination"` // where it was going
	Upstream     string `json:"upstream"`    // local address of the proxy's own connection to that destination
	BytesUp      int64  `json:"bytes_up"`
	BytesDown    int64  `json:"bytes_down"`
	Milliseconds int64  `json:"ms"`
	Error        string `json:"error,omitempty"`
}

const dialTimeout = 15 * time.Second

// listen listens for the tree's connections.
func listen(port int, out *printer) (*proxy, error) {
	l, err := redirector.Listen(port)
	if err != nil {
		return nil, fmt.Errorf("the proxy cannot listen: %w", err)
	}
	p := &proxy{port: redirector.Port(l), listeners: []net.Listener{l}, out: out}
	p.idle = sync.NewCond(&p.mu)
	return p, nil
}

// listenEverywhere adds a listener for incoming connections, which keep their addresses, and returns its port.
func (p *proxy) listenEverywhere() (int, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{})
	if err != nil {
		return 0, fmt.Errorf("the proxy cannot listen for incoming connections: %w", err)
	}
	p.listeners = append(p.listeners, l)
	return redirector.Port(l), nil
}

func (p *proxy) close() {
	for _, l := range p.listeners {
		l.Close()
	}
}

// serve accepts connections in the background until close.
func (p *proxy) serve(r finder) {
	for _, l := range p.listeners {
		go func(l net.Listener) {
			for {
				conn, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				} else if err != nil {
					time.Sleep(10 * time.Millisecond) // a connection that died in the queue, or no sockets left just now
					continue
				}
				p.mu.Lock()
				p.live++
				p.totals.Connections++
				p.mu.Unlock()
				go p.handle(r, conn.(*net.TCPConn))
			}
		}(l)
	}
}

// wait returns when no connection is left. The redirector counts a connection before the proxy accepts it, so wait also
// waits for those that were not accepted yet; not for long, because one that was aborted at once never arrives.
func (p *proxy) wait(redirected func() uint64) {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if uint64(p.sums().Connections) >= redirected() {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.live > 0 {
		p.idle.Wait()
	}
}

func (p *proxy) sums() totals {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.totals
}

func (p *proxy) handle(r finder, conn *net.TCPConn) {
	began := time.Now()
	event := connectionEvent{Event: "connection", Peer: conn.RemoteAddr().String(), Proxy: conn.LocalAddr().String()}

	where, found := r.OriginalDst(conn)
	if found {
		event.Found = true
		event.Incoming = where.Incoming
		event.PID = where.PID
		event.Program = programName(where.PID) // now: by the end of the connection the process may be gone
		event.Destination = where.Addr.String()
		if err := p.relay(conn, where.Addr, &event); err != nil {
			event.Error = err.Error()
		}
	} else {
		// Not redirected: it has no original destination.
		event.Error = "no such connection"
		reset(conn)
	}
	event.Milliseconds = time.Since(began).Milliseconds()

	p.out.print(event)

	p.mu.Lock()
	defer p.mu.Unlock()
	if found {
		p.totals.Found++
	}
	if found && event.Error != "" {
		p.totals.Failed++
	}
	p.totals.BytesUp += event.BytesUp
	p.totals.BytesDown += event.BytesDown
	if p.live--; p.live == 0 {
		p.idle.Broadcast()
	}
}

// relay connects to the destination and carries bytes both ways. Each direction ends by itself, so a half-closed
// connection goes on. A failure of either side is passed to the other as a reset.
func (p *proxy) relay(conn *net.TCPConn, to netip.AddrPort, event *connectionEvent) error {
	dialed, err := net.DialTimeout("tcp", to.String(), dialTimeout)
	if err != nil {
		reset(conn)
		return err
	}
	upstream := dialed.(*net.TCPConn)
	event.Upstream = upstream.LocalAddr().String()

	down := make(chan error, 1)
	go func() {
		n, err := carry(conn, upstream)
		event.BytesDown = n
		if err != nil {
			reset(upstream) // wakes the other direction
		}
		down <- err
	}()
	n, err := carry(upstream, conn)
	event.BytesUp = n
	if err != nil {
		reset(conn)
	}
	if downErr := <-down; err == nil {
		err = downErr
	}
	if err != nil {
		reset(conn)
		reset(upstream)
		return err
	}
	conn.Close()
	upstream.Close()
	return nil
}

// carry copies until the end of from, then closes to for writing.
func carry(to, from *net.TCPConn) (int64, error) {
	n, err := io.Copy(to, from)
	if err == nil {
		err = to.CloseWrite()
	}
	return n, err
}

// reset closes a connection with a RST instead of a FIN.
func reset(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}
