// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/windows-redirector/windows-redirector/go/redirector"
)

const (
	dnsPort  = 53
	dnsIdle  = 10 * time.Second // how long an answer is waited for
	idle     = time.Minute      // the same for all that is not DNS
	datagram = 65535            // no datagram is larger
)

// packetConn is what a relay needs of a *redirector.PacketConn.
type packetConn interface {
	ReadFromDestination(b []byte) (int, netip.AddrPort, redirector.Destination, error)
	WriteToUDPAddrPort(b []byte, peer netip.AddrPort) (int, error)
}

// relay leads datagrams on, and answers back. Each peer has a socket of its own towards its destination, by which it is
// known whose answer comes in.
type relay struct {
	conn        packetConn
	unreachable func(peer netip.AddrPort) error
	out         io.Writer // a line for each DNS message

	mu       sync.Mutex
	sessions map[netip.AddrPort]*session
	running  sync.WaitGroup
}

type session struct {
	peer   netip.AddrPort
	where  redirector.Destination
	server *net.UDPConn
}

func newRelay(conn packetConn, unreachable func(netip.AddrPort) error, out io.Writer) *relay {
	return &relay{conn: conn, unreachable: unreachable, out: out, sessions: map[netip.AddrPort]*session{}}
}

// serve returns when the conn is closed and no session is left.
func (r *relay) serve() {
	buffer := make([]byte, datagram)
	for {
		n, peer, where, err := r.conn.ReadFromDestination(buffer)
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			log.Print(err)
			continue
		}
		s, err := r.session(peer, where)
		if err != nil {
			log.Print(err)
			continue
		}
		r.tell(s, "->", buffer[:n])
		s.server.SetReadDeadline(time.Now().Add(s.idle()))
		// Not Write, which on Windows sends no empty datagram.
		if _, _, err := s.server.WriteMsgUDP(buffer[:n], nil, nil); err != nil && !errors.Is(err, net.ErrClosed) {
			r.failed(s, err)
		}
	}
	r.mu.Lock()
	for _, s := range r.sessions {
		s.server.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// session finds the socket for a peer, or opens one. When a flow has ended, its peer may come again with another
// destination.
func (r *relay) session(peer netip.AddrPort, where redirector.Destination) (*session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[peer]; s != nil {
		if s.where == where {
			return s, nil
		}
		s.server.Close()
	}
	server, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(where.Addr))
	if err != nil {
		delete(r.sessions, peer)
		return nil, err
	}
	tellUnreachable(server)
	s := &session{peer, where, server}
	server.SetReadDeadline(time.Now().Add(s.idle()))
	r.sessions[peer] = s
	r.running.Add(1)
	go func() {
		defer r.running.Done()
		r.answers(s)
	}()
	return s, nil
}

// answers leads back what the destination says, until nothing has been said for a while.
func (r *relay) answers(s *session) {
	defer r.end(s)
	buffer := make([]byte, datagram)
	for {
		n, err := s.server.Read(buffer)
		var failure net.Error
		switch {
		case err == nil:
			r.tell(s, "<-", buffer[:n])
			s.server.SetReadDeadline(time.Now().Add(s.idle()))
			if _, err := r.conn.WriteToUDPAddrPort(buffer[:n], s.peer); err != nil && !errors.Is(err, net.ErrClosed) {
				log.Print(err)
			}
		case errors.Is(err, net.ErrClosed), errors.As(err, &failure) && failure.Timeout():
			return
		default:
			r.failed(s, err)
			if !isUnreachable(err) {
				return
			}
		}
	}
}

func (r *relay) end(s *session) {
	s.server.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.peer] == s {
		delete(r.sessions, s.peer)
	}
}

// failed has the program told, if it is that nobody listens at its destination.
func (r *relay) failed(s *session, err error) {
	if !isUnreachable(err) {
		log.Print(err)
		return
	}
	if err := r.unreachable(s.peer); err != nil && !errors.Is(err, redirector.ErrNotFound) {
		log.Print(err)
	}
}

func (s *session) idle() time.Duration {
	if s.where.Addr.Port() == dnsPort {
		return dnsIdle
	}
	return idle
}

// tell prints a line about a DNS message; nothing about other datagrams.
func (r *relay) tell(s *session, way string, message []byte) {
	if s.where.Addr.Port() == dnsPort {
		fmt.Fprintf(r.out, "process %d %s %v: %s\n", s.where.PID, way, s.where.Addr, describe(message))
	}
}
