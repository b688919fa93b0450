// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"net"
	"sync"
)

// Conn is a redirected connection as the proxy has accepted it. It comes from a [Listener].
type Conn struct {
	net.Conn
	destination Destination
}

// OriginalDst says where the connection was going, and whose it is.
func (c *Conn) OriginalDst() Destination { return c.destination }

// NetConn gives the connection beneath, a *net.TCPConn unless the listener is an unusual one.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// CloseWrite tells the other end that nothing more will come, as [net.TCPConn.CloseWrite] does. Many programs wait for
// it, so a proxy passes it on.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return invalidArgument("a %T cannot be closed for writing alone", c.Conn)
}

// OriginalDst says where a connection was going that a [Listener] has accepted, and whose it is. The connection may be
// wrapped in others, such as a tls.Conn, that give what is beneath them by a method NetConn. It is false for all other
// connections; [Redirector.OriginalDst] asks for those.
func OriginalDst(conn net.Conn) (Destination, bool) {
	for {
		switch c := conn.(type) {
		case *Conn:
			return c.destination, true
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return Destination{}, false
		}
	}
}

// Listener accepts redirected connections. It comes from [Redirector.Listener].
type Listener struct {
	net.Listener
	redirector *Redirector
	closed     chan struct{}
	closeOnce  sync.Once
	closeErr   error
}

// Listener makes a listener whose connections know where they were going: Accept gives a [*Conn] each. Strangers,
// connections that are not redirected ones, are reset and never seen. The listener is closed when the redirection
// ends, so that a loop of Accept ends with it, by [net.ErrClosed].
//
// It takes over the listener that it is made of.
func (r *Redirector) Listener(inner net.Listener) *Listener {
	l := &Listener{Listener: inner, redirector: r, closed: make(chan struct{})}
	go func() {
		select {
		case <-r.Done():
			l.Close()
		case <-l.closed:
		}
	}()
	return l
}

// Accept waits for the next redirected connection.
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.AcceptConn()
	if err != nil {
		return nil, err // not a nil *Conn in an interface
	}
	return conn, nil
}

// AcceptConn is Accept with the type that it gives.
func (l *Listener) AcceptConn() (*Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if destination, ok := l.redirector.OriginalDst(conn); ok {
			return &Conn{conn, destination}, nil
		}
		reset(conn)
	}
}

// Close closes the listener that this one was made of. Connections that were accepted go on.
func (l *Listener) Close() error {
	l.closeOnce.Do(func() {
		close(l.closed)
		l.closeErr = l.Listener.Close()
	})
	return l.closeErr
}

// reset closes a connection so that the other end sees it was cut short.
func reset(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
