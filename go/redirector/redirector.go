// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Redirector is a running redirector. It comes from [Start].
type Redirector struct {
	engine engine

	mu   sync.Mutex
	done chan struct{} // closed when err has been set
	err  error         // why the redirection has ended

	connections connections
}

// engine is a redirector of the C library. Its methods may be called at any time, also after stop.
type engine interface {
	stop() error
	failure() error // why it has ended by itself; nil if it has not
	destination(protocol Protocol, peer netip.AddrPort) (Destination, bool)
	unreachable(peer netip.AddrPort) error
	remove(peer netip.AddrPort) bool
	nextConnection() (Connection, error) // waits until the engine is stopped or has failed
	decide(id uint64, decision Decision) error
	setRules(rules []Rule) error
	tellName(address netip.Addr, name string) error
	flows() ([]Flow, error)
	stats() Stats
}

// Start starts redirecting and returns when driver, filter and tables are ready. When it fails nothing was started and
// nothing stays open; the error is an [*Error] that says what to do, or that of the context.
//
// The redirection lasts until [Redirector.Stop] is called or the context is done. Start blocks for the time that
// Windows takes to load the driver. Any number of redirectors may run, each with a proxy port of its own.
func Start(ctx context.Context, config Config) (*Redirector, error) {
	return startWith(ctx, config, startEngine)
}

func newRedirector(engine engine) *Redirector {
	return &Redirector{engine: engine, done: make(chan struct{})}
}

// startWith is Start with the function that creates the engine.
func startWith(ctx context.Context, config Config, make func(Config) (engine, error)) (*Redirector, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	engine, err := make(config)
	if err != nil {
		return nil, err
	}
	r := newRedirector(engine)
	if err := ctx.Err(); err != nil { // loading the driver takes its time
		r.end(err)
		return nil, err
	}
	go r.watch(ctx)
	return r, nil
}

// failureInterval is how often the engine is asked whether it has failed; the library has no callback for that.
const failureInterval = 200 * time.Millisecond

// watch ends the redirection when the context is done, and detects that it has ended by itself.
func (r *Redirector) watch(ctx context.Context) {
	ticker := time.NewTicker(failureInterval)
	defer ticker.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-ctx.Done():
			r.end(ctx.Err())
			return
		case <-ticker.C:
			if err := r.engine.failure(); err != nil {
				r.end(err)
				return
			}
		}
	}
}

// Stop ends the redirection: redirected connections are reset at both ends (unless Config.KeepFlowsOnStop), driver
// handles closed, threads joined. It takes at most one second and may be called more than once. Afterwards every lookup
// misses.
//
// It fails with [ErrStoppedByForce] if the engine did not end in time; the machine's traffic flows all the same.
// Stop of a nil Redirector does nothing.
func (r *Redirector) Stop() error {
	if r == nil {
		return nil
	}
	return r.end(ErrNotRunning)
}

// end stops the engine and records the reason, unless one is recorded. A failure of the engine takes precedence.
func (r *Redirector) end(why error) error {
	err := r.engine.stop()
	if failure := r.engine.failure(); failure != nil {
		why = failure
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = why
		close(r.done)
	}
	return err
}

// Done gives a channel that is closed when the redirection has ended: by [Redirector.Stop], with the context, or by
// itself. [Redirector.Err] then says why.
func (r *Redirector) Done() <-chan struct{} { return r.done }

// Err is nil while the redirector runs. Afterwards it is [ErrNotRunning] if it was ended by [Redirector.Stop], the
// error of the context if that is what ended it, and an [*Error] if it has failed, for instance with
// [ErrEngineStalled]. A redirector that has failed is stopped, and traffic goes to its original destination; another
// one may be started.
func (r *Redirector) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Destination finds the original destination of a connection by its peer, the remote address as the proxy sees it. It
// is false when there is no such connection: it was not redirected, or it has ended. It never blocks.
func (r *Redirector) Destination(peer netip.AddrPort) (Destination, bool) {
	return r.engine.destination(TCP, peer)
}

// OriginalDst is [Redirector.Destination] for a connection that the proxy has accepted.
func (r *Redirector) OriginalDst(conn net.Conn) (Destination, bool) {
	return r.Destination(addrPort(conn.RemoteAddr()))
}

// UDPDestination finds the original destination of a datagram by the address that it came from. It is false when there is
// no such flow: it was not redirected, or it has ended. It never blocks. It allocates nothing but
// what cgo does for a call. [Redirector.PacketConn] asks it for each datagram.
func (r *Redirector) UDPDestination(peer netip.AddrPort) (Destination, bool) {
	return r.engine.destination(UDP, peer)
}

// Unreachable tells the program that sent datagrams from this peer that their destination cannot be reached (port
// unreachable), as from there: for when the destination has answered the proxy so. The flow goes on. It takes
// milliseconds, at most one second. It fails with [ErrNotFound] if no UDP flow has this peer, and with [ErrNotRunning]
// after Stop.
func (r *Redirector) Unreachable(peer netip.AddrPort) error { return r.engine.unreachable(peer) }

// addrPort is not valid, and so matches nothing, if the address is neither one of TCP nor one of UDP.
func addrPort(address net.Addr) netip.AddrPort {
	switch a := address.(type) {
	case *net.TCPAddr:
		return a.AddrPort()
	case *net.UDPAddr:
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// Forget removes the mapping of a peer for good; its connection goes on. It is false when there was none.
func (r *Redirector) Forget(peer netip.AddrPort) bool { return r.engine.remove(peer) }

// SetRules replaces the rules while running; nil: none. It returns when they are in force, which takes milliseconds, at
// most one second. They apply to new connections only. When it fails the former rules stay: with [ErrNotRunning] after
// Stop, with [ErrInvalidArgument] for a rule that is not right; the text says which, and what is wrong with it.
func (r *Redirector) SetRules(rules []Rule) error {
	if err := checkRules(rules); err != nil {
		return err
	}
	return r.engine.setRules(rules)
}

// Flows lists the redirected connections that exist now, in no particular order. Each is consistent in itself, but one
// that begins or ends meanwhile may be in the list or not. It takes milliseconds, and fails with [ErrNotRunning] after
// Stop.
func (r *Redirector) Flows() ([]Flow, error) { return r.engine.flows() }

// Stats reads the counters. They stay readable after Stop.
func (r *Redirector) Stats() Stats { return r.engine.stats() }
