// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"io"
	"net"
	"sync"
)

// Conn is a redirected connection as the proxy has accepted it. It comes from a [Listener].
type Conn struct {
	net.Conn
	destination Destination
}

// OriginalDst is the original destination of the connection, and its process.
func (c *Conn) OriginalDst() Destination { return c.destination }

// NetConn returns the wrapped connection, a *net.TCPConn unless the listener is an unusual one.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// CloseWrite tells the other end that nothing more will come, as [net.TCPConn.CloseWrite] does. Many programs wait for
// it, so a proxy passes it on.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return invalidArgument("a %T cannot be closed for writing alone", c.Conn)
}

// OriginalDst is the original destination of a connection that a [Listener] has accepted, and its process. The
// connection may be wrapped in others, such as a tls.Conn, that return the wrapped one by a method NetConn. It is false
// for all other connections; for those there is [Redirector.OriginalDst].
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
	*closing
	redirector *Redirector
}

// Listener wraps a listener so that Accept returns a [*Conn], which has the original destination. Connections that are
// not redirected ones are reset and not returned. The listener is closed when the redirection ends, so that a loop of
// Accept ends with it, by [net.ErrClosed].
//
// It takes over the wrapped listener.
func (r *Redirector) Listener(inner net.Listener) *Listener {
	return &Listener{Listener: inner, closing: r.closeAtEnd(inner), redirector: r}
}

// Accept waits for the next redirected connection.
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.AcceptConn()
	if err != nil {
		return nil, err // not a nil *Conn in an interface
	}
	return conn, nil
}

// AcceptConn is Accept with the type of its result.
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

// Close closes the wrapped listener. Accepted connections go on.
func (l *Listener) Close() error { return l.close() }

// closing closes something once: when it is told to, or when the redirection ends.
type closing struct {
	closed    chan struct{}
	closeOnce sync.Once
	closeErr  error
	what      io.Closer
}

func (r *Redirector) closeAtEnd(what io.Closer) *closing {
	c := &closing{closed: make(chan struct{}), what: what}
	go func() {
		select {
		case <-r.Done():
			c.close()
		case <-c.closed:
		}
	}()
	return c
}

func (c *closing) close() error {
	c.closeOnce.Do(func() {
		close(c.closed)
		c.closeErr = c.what.Close()
	})
	return c.closeErr
}

// reset closes a connection with a RST instead of a FIN.
func reset(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
