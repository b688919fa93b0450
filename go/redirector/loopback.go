// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"errors"
	"io"
	"net"
	"sync"
)

// Listen listens for outgoing connections that are redirected: on one port of both 127.0.0.1 and [::1], or of 127.0.0.1
// alone on a machine without IPv6. Port 0: any free one, which [Port] returns.
func Listen(port int) (net.Listener, error) {
	listeners, err := onLoopback(port, listenOn, func(l *net.TCPListener) int { return Port(l) })
	if err != nil {
		return nil, err
	}
	if len(listeners) == 1 {
		return listeners[0], nil
	}
	return joinListeners(listeners[0], listeners[1]), nil
}

func listenOn(ip net.IP, port int) (*net.TCPListener, error) {
	return net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: port})
}

// onLoopback opens one port of 127.0.0.1 and of [::1]; the first alone where there is no IPv6. Port 0: any free one.
func onLoopback[T io.Closer](port int, open func(net.IP, int) (T, error), portOf func(T) int) ([]T, error) {
	const attempts = 20 // a port that is free for IPv4 may be taken for IPv6; each attempt tries another one
	for i := 1; ; i++ {
		v4, err := open(net.IPv4(127, 0, 0, 1), port)
		if err != nil {
			return nil, err
		}
		v6, err := open(net.IPv6loopback, portOf(v4))
		if err == nil {
			return []T{v4, v6}, nil
		}
		probe, probeErr := open(net.IPv6loopback, 0)
		if probeErr != nil {
			return []T{v4}, nil // it is not the port: there is no IPv6
		}
		probe.Close()
		v4.Close()
		if port != 0 || i == attempts {
			return nil, err
		}
	}
}

// Port returns the port of a TCP listener, for [Config]; 0 for a listener of another kind.
func Port(l net.Listener) int {
	if address, ok := l.Addr().(*net.TCPAddr); ok {
		return address.Port
	}
	return 0
}

// pair is two listeners on one port. A goroutine for each accepts, and passes its connections to the caller of Accept.
type pair struct {
	listeners [2]*net.TCPListener
	accepted  chan accepted
	closed    chan struct{}
	closeOnce sync.Once
	closeErr  error
}

type accepted struct {
	conn net.Conn
	err  error
}

func joinListeners(v4, v6 *net.TCPListener) *pair {
	p := &pair{
		listeners: [2]*net.TCPListener{v4, v6},
		accepted:  make(chan accepted),
		closed:    make(chan struct{}),
	}
	for _, l := range p.listeners {
		go p.serve(l)
	}
	return p
}

func (p *pair) serve(l *net.TCPListener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select {
		case p.accepted <- accepted{conn, err}:
		case <-p.closed:
			if err == nil {
				reset(conn)
			}
			return
		}
	}
}

func (p *pair) Accept() (net.Conn, error) {
	select {
	case <-p.closed: // first: it may be that both are ready
		return nil, p.closedError()
	default:
	}
	select {
	case a := <-p.accepted:
		return a.conn, a.err
	case <-p.closed:
		return nil, p.closedError()
	}
}

func (p *pair) closedError() error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: p.Addr(), Err: net.ErrClosed}
}

func (p *pair) Close() error {
	p.closeOnce.Do(func() {
		close(p.closed)
		for _, l := range p.listeners {
			if err := l.Close(); p.closeErr == nil {
				p.closeErr = err
			}
		}
	})
	return p.closeErr
}

// Addr is the address of IPv4; that of IPv6 has the same port.
func (p *pair) Addr() net.Addr { return p.listeners[0].Addr() }
