// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"net"
	"net/netip"
	"sync/atomic"
)

// PacketConn receives redirected datagrams, each with its original destination. It comes from [Redirector.PacketConn].
//
// A peer, the address that a datagram comes from, stands for one socket of the program and one destination: what is
// written to it reaches that socket as from that destination. It does so as long as the flow lives ([Config.UDPIdle]);
// later the same peer may be another's, so whoever keeps something for a peer keeps the destination with it, and compares.
type PacketConn struct {
	net.PacketConn
	*closing
	fast       addrPorts
	redirector *Redirector
	strangers  atomic.Uint64
}

// addrPorts is what *net.UDPConn and what [ListenPacket] gives have: a datagram without an allocation.
type addrPorts interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
}

// addrPortsOf has the same of any other conn.
type addrPortsOf struct{ net.PacketConn }

func (a addrPortsOf) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := a.ReadFrom(b)
	return n, addrPort(from), err
}

func (a addrPortsOf) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return a.WriteTo(b, net.UDPAddrFromAddrPort(to))
}

// PacketConn wraps a conn that receives on Config.UDPPort, such as that of [ListenPacket]. Datagrams that no process of
// the tree has sent are dropped, and counted by [PacketConn.Strangers]. The conn is closed when the redirection ends, so
// that a loop of reads ends with it, by [net.ErrClosed].
//
// It takes over the wrapped conn.
func (r *Redirector) PacketConn(inner net.PacketConn) *PacketConn {
	fast, ok := inner.(addrPorts)
	if !ok {
		fast = addrPortsOf{inner}
	}
	return &PacketConn{PacketConn: inner, closing: r.closeAtEnd(inner), fast: fast, redirector: r}
}

// ReadFromDestination waits for the next redirected datagram: its content, whom to answer to, and where it was going. It
// allocates nothing of its own. As with ReadFrom, a deadline ends it.
func (c *PacketConn) ReadFromDestination(b []byte) (n int, peer netip.AddrPort, where Destination, err error) {
	for {
		n, peer, err = c.fast.ReadFromUDPAddrPort(b)
		if !peer.IsValid() && err != nil {
			return n, peer, Destination{}, err
		}
		if where, ok := c.redirector.UDPDestination(peer); ok {
			return n, peer, where, err
		}
		c.strangers.Add(1)
	}
}

// ReadFrom is ReadFromDestination for those who know net.PacketConn alone; [Redirector.UDPDestination] of the address
// tells where the datagram was going.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	return udpAddr(c.ReadFromUDPAddrPort(b))
}

// ReadFromUDPAddrPort is ReadFrom without an allocation.
func (c *PacketConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, peer, _, err := c.ReadFromDestination(b)
	return n, peer, err
}

// WriteToUDPAddrPort is WriteTo without an allocation: the program receives it as from the destination of its flow.
func (c *PacketConn) WriteToUDPAddrPort(b []byte, peer netip.AddrPort) (int, error) {
	return c.fast.WriteToUDPAddrPort(b, peer)
}

// Strangers is how many datagrams were dropped because no process of the tree had sent them, or because their flow had
// ended before they were read.
func (c *PacketConn) Strangers() uint64 { return c.strangers.Load() }

// Close closes the wrapped conn, and wakes those who read.
func (c *PacketConn) Close() error { return c.close() }
