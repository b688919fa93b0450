// SPDX-License-Identifier: LGPL-3.0-or-later

// Connections that the program decides about.

package redirector

import (
	"context"
	"net/netip"
	"sync"
)

// Connection is an outgoing connection of the tree that waits, with its first packet held, until [Redirector.Decide]
// says what becomes of it.
type Connection struct {
	ID          uint64         // for Decide. Destination.ConnectionID is the same, once the proxy has accepted it
	PID         uint32         // process that opens it
	Client      netip.AddrPort // the end that opens it, as it sees itself
	Destination netip.AddrPort // where it is going
	Upstream    uint32         // of the rule that has it redirected; 0: none has
}

// Decision is what becomes of a [Connection]; the numbers are those of the C library.
type Decision uint32

// The decisions.
const (
	Accept Decision = 1 // redirect it to the proxy, which accepts it
	Refuse Decision = 2 // refuse it: the program's connect fails as with a port on which nothing listens
	Pass   Decision = 3 // let it go directly to its destination
	Drop   Decision = 4 // never answer: the program's connect times out
)

// connections hands what the library gives out to whoever waits. A call into the library cannot be cancelled by a
// context, so one goroutine makes these calls, from the first NextConnection to the end of the redirection.
type connections struct {
	start sync.Once
	next  chan Connection
	ended chan struct{} // closed when err is set
	err   error
}

func (r *Redirector) nextConnections() *connections {
	c := &r.connections
	c.start.Do(func() {
		c.next, c.ended = make(chan Connection), make(chan struct{})
		go func() {
			defer close(c.ended)
			for {
				connection, err := r.engine.nextConnection()
				if err != nil {
					c.err = err
					return
				}
				select {
				case c.next <- connection:
				case <-r.done:
				}
			}
		}()
	})
	return c
}

// NextConnection waits for the next outgoing connection of the tree to decide about. It needs Config.DecisionTimeout.
// The proxy can then connect to the destination first, so that the program's connect ends as that does:
//
//	for {
//		connection, err := r.NextConnection(ctx)
//		if err != nil {
//			return err
//		}
//		go func() {
//			server, err := net.DialTimeout("tcp", connection.Destination.String(), 20*time.Second)
//			if err != nil {
//				r.Decide(connection.ID, redirector.Refuse)
//				return
//			}
//			keep(connection.ID, server) // for the Conn whose OriginalDst().ConnectionID is connection.ID
//			r.Decide(connection.ID, redirector.Accept)
//		}()
//	}
//
// A connection that is not decided within Config.DecisionTimeout is redirected, whether or not anybody waits here.
//
// It fails with the error of the context, with [ErrInvalidArgument] without Config.DecisionTimeout, and with
// [ErrNotRunning] when the redirection has ended. Several goroutines may wait: each gets another connection.
func (r *Redirector) NextConnection(ctx context.Context) (Connection, error) {
	if err := ctx.Err(); err != nil {
		return Connection{}, err
	}
	c := r.nextConnections()
	select {
	case connection := <-c.next:
		return connection, nil
	case <-c.ended:
		return Connection{}, c.err
	case <-ctx.Done():
		return Connection{}, ctx.Err()
	}
}

// Decide decides about a [Connection], at once. It fails with [ErrNotFound] if the connection does not wait any more:
// it is decided already, its time is up, its program has given up, or the redirection has ended.
func (r *Redirector) Decide(id uint64, decision Decision) error { return r.engine.decide(id, decision) }
