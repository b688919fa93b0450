// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// ListenPacket receives datagrams that are redirected: on one port of both 127.0.0.1 and [::1], or of 127.0.0.1 alone on
// a machine without IPv6. Port 0: any free one, which [PacketPort] returns. It may be the port of [Listen].
//
// A buffer that is too small for a datagram gets its beginning, and the error is [io.ErrShortBuffer]; 65535 bytes are
// enough for any. Besides the methods of net.PacketConn the result has ReadFromUDPAddrPort and WriteToUDPAddrPort, as
// *net.UDPConn has them, which allocate nothing.
func ListenPacket(port int) (net.PacketConn, error) {
	conns, err := onLoopback(port, listenPacketOn, func(c *net.UDPConn) int { return PacketPort(c) })
	if err != nil {
		return nil, err
	}
	return joinPackets(conns), nil
}

func listenPacketOn(ip net.IP, port int) (*net.UDPConn, error) {
	return net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: port})
}

// PacketPort returns the port on which datagrams are received, for [Config]; 0 for a conn of another kind.
func PacketPort(c net.PacketConn) int {
	if address, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return address.Port
	}
	return 0
}

const (
	largestDatagram = 65535   // its content has fewer bytes in both families; a buffer of the very size is an error on Windows
	receiveBuffer   = 1 << 20 // Windows has 64 KiB, and drops what comes in a burst of two of the largest
	datagramsAhead  = 8       // that are received before anybody reads them
)

// packets is two sockets on one port. A goroutine for each receives, into buffers that go round: whoever reads copies,
// and gives the buffer back. So nothing is allocated for a datagram, and what nobody reads waits in the sockets.
type packets struct {
	conns     []*net.UDPConn // IPv4, IPv6
	free      chan *datagram
	received  chan *datagram
	deadline  deadline
	closed    chan struct{}
	closeOnce sync.Once
	closeErr  error
}

type datagram struct {
	buffer [largestDatagram + 1]byte
	length int
	from   netip.AddrPort
	err    error
}

func joinPackets(conns []*net.UDPConn) *packets {
	p := &packets{
		conns:    conns,
		free:     make(chan *datagram, datagramsAhead),
		received: make(chan *datagram),
		deadline: deadline{passed: make(chan struct{})},
		closed:   make(chan struct{}),
	}
	for i := 0; i < datagramsAhead; i++ {
		p.free <- new(datagram)
	}
	for _, conn := range conns {
		conn.SetReadBuffer(receiveBuffer) // as much as the system gives
		go p.serve(conn)
	}
	return p
}

func (p *packets) serve(conn *net.UDPConn) {
	for {
		var d *datagram
		select {
		case d = <-p.free:
		case <-p.closed:
			return
		}
		d.length, d.from, d.err = conn.ReadFromUDPAddrPort(d.buffer[:])
		if errors.Is(d.err, net.ErrClosed) {
			return
		}
		select {
		case p.received <- d:
		case <-p.closed:
			return
		}
	}
}

func (p *packets) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	late := p.deadline.channel()
	select { // first: it may be that all are ready
	case <-p.closed:
		return 0, netip.AddrPort{}, p.failed("read", net.ErrClosed)
	case <-late:
		return 0, netip.AddrPort{}, p.failed("read", os.ErrDeadlineExceeded)
	default:
	}
	select {
	case d := <-p.received:
		n, from, err := copy(b, d.buffer[:d.length]), d.from, d.err
		if err == nil && n < d.length {
			err = p.failed("read", io.ErrShortBuffer)
		}
		p.free <- d // has room for all
		return n, from, err
	case <-late:
		return 0, netip.AddrPort{}, p.failed("read", os.ErrDeadlineExceeded)
	case <-p.closed:
		return 0, netip.AddrPort{}, p.failed("read", net.ErrClosed)
	}
}

func (p *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	return udpAddr(p.ReadFromUDPAddrPort(b))
}

// udpAddr makes of what ReadFromUDPAddrPort gives what ReadFrom gives.
func udpAddr(n int, from netip.AddrPort, err error) (int, net.Addr, error) {
	if !from.IsValid() {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), err
}

func (p *packets) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	conn, to := p.conns[0], unmapped(to)
	if to.Addr().Is6() && len(p.conns) > 1 {
		conn = p.conns[1]
	}
	return conn.WriteToUDPAddrPort(b, to)
}

func (p *packets) WriteTo(b []byte, to net.Addr) (int, error) {
	peer := addrPort(to)
	if !peer.IsValid() {
		return 0, p.failed("write", syscall.EINVAL)
	}
	return p.WriteToUDPAddrPort(b, peer)
}

// unmapped is the address without the form that IPv4 has on a socket for both families.
func unmapped(address netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
}

func (p *packets) failed(what string, err error) error {
	return &net.OpError{Op: what, Net: "udp", Addr: p.LocalAddr(), Err: err}
}

// LocalAddr is the address of IPv4; that of IPv6 has the same port.
func (p *packets) LocalAddr() net.Addr { return p.conns[0].LocalAddr() }

func (p *packets) SetDeadline(t time.Time) error {
	p.deadline.set(t)
	return p.SetWriteDeadline(t)
}

func (p *packets) SetReadDeadline(t time.Time) error {
	select {
	case <-p.closed:
		return p.failed("set", net.ErrClosed)
	default:
		p.deadline.set(t)
		return nil
	}
}

func (p *packets) SetWriteDeadline(t time.Time) error {
	for _, conn := range p.conns {
		if err := conn.SetWriteDeadline(t); err != nil {
			return err
		}
	}
	return nil
}

func (p *packets) Close() error {
	p.closeOnce.Do(func() {
		close(p.closed)
		p.deadline.set(time.Time{})
		for _, conn := range p.conns {
			if err := conn.Close(); p.closeErr == nil {
				p.closeErr = err
			}
		}
	})
	return p.closeErr
}

// deadline is until when readers wait: they wait for its channel, which is closed then. A new time counts for those who
// wait already, too.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer // nil: none is set, or it has passed
	passed chan struct{}
}

func (d *deadline) channel() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop() // if it has gone off in this moment, it finds another timer in its place
		d.timer = nil
	}
	select {
	case <-d.passed:
		d.passed = make(chan struct{})
	default:
	}
	if at.IsZero() {
		return
	}
	left := time.Until(at)
	if left <= 0 {
		close(d.passed)
		return
	}
	var own *time.Timer
	own = time.AfterFunc(left, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == own {
			d.timer = nil
			close(d.passed)
		}
	})
	d.timer = own
}
