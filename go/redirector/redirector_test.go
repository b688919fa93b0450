// SPDX-License-Identifier: LGPL-3.0-or-later

// What the package does itself, on top of an engine that is not the library's: these tests run on every system, and
// natively under the race detector.

package redirector

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"
)

const patience = 30 * time.Second // for what must come; nothing waits so long when all is well

// fakeEngine knows the peers that it was told of, until it is stopped.
type fakeEngine struct {
	mu      sync.Mutex
	peers   map[netip.AddrPort]Destination
	senders map[netip.AddrPort]Destination // the same of UDP
	stops   int
	stopErr error
	failed  error
	rules   []Rule
	names   map[netip.Addr]string

	connections chan Connection // gives them out; closed: there are no more
	decisions   []Decision
}

func (e *fakeEngine) stop() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stops++
	e.peers, e.senders = nil, nil
	return e.stopErr
}

func (e *fakeEngine) failure() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

func (e *fakeEngine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = err
}

func (e *fakeEngine) destination(protocol Protocol, peer netip.AddrPort) (Destination, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	peers := e.peers
	if protocol == UDP {
		peers = e.senders
	}
	d, ok := peers[peer]
	return d, ok
}

func (e *fakeEngine) unreachable(peer netip.AddrPort) error {
	if _, ok := e.destination(UDP, peer); !ok {
		return &Error{Status: ErrNotFound}
	}
	return nil
}

func (e *fakeEngine) remove(peer netip.AddrPort) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.peers[peer]
	delete(e.peers, peer)
	return ok
}

func (e *fakeEngine) setRules(rules []Rule) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rules = rules
	return nil
}

func (e *fakeEngine) tellName(address netip.Addr, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.names == nil {
		e.names = map[netip.Addr]string{}
	}
	e.names[address] = name
	return nil
}

func (e *fakeEngine) nextConnection() (Connection, error) {
	if connection, ok := <-e.connections; ok {
		return connection, nil
	}
	return Connection{}, &Error{Status: ErrNotRunning}
}

func (e *fakeEngine) decide(id uint64, decision Decision) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id == 0 {
		return &Error{Status: ErrNotFound}
	}
	e.decisions = append(e.decisions, decision)
	return nil
}

func (e *fakeEngine) flows() ([]Flow, error) { return nil, nil }
func (e *fakeEngine) stats() Stats           { return Stats{} }

func (e *fakeEngine) stopCount() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stops
}

// startFake is Start with that engine.
func startFake(t *testing.T, ctx context.Context, e *fakeEngine) *Redirector {
	t.Helper()
	r, err := startWith(ctx, Config{}, func(Config) (engine, error) { return e, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Stop() })
	return r
}

func wantDone(t *testing.T, r *Redirector, want error) {
	t.Helper()
	select {
	case <-r.Done():
	case <-time.After(patience):
		t.Fatal("Done is not closed")
	}
	if err := r.Err(); err != want {
		t.Errorf("Err is %v, want %v", err, want)
	}
}

func TestContextEndsRedirection(t *testing.T) {
	e := &fakeEngine{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := startFake(t, ctx, e)
	select {
	case <-r.Done():
		t.Fatal("done before the context")
	default:
	}
	if err := r.Err(); err != nil {
		t.Errorf("Err while it runs: %v", err)
	}
	cancel()
	wantDone(t, r, context.Canceled)
	if e.stopCount() != 1 {
		t.Errorf("stopped %d times", e.stopCount())
	}
	r.Stop()
	if err := r.Err(); err != context.Canceled {
		t.Errorf("Stop changed the reason to %v", err)
	}
}

func TestStopEndsRedirection(t *testing.T) {
	e := &fakeEngine{stopErr: &Error{Status: ErrStoppedByForce}}
	ctx, cancel := context.WithCancel(context.Background())
	r := startFake(t, ctx, e)
	if err := r.Stop(); !errors.Is(err, ErrStoppedByForce) {
		t.Errorf("Stop gave %v", err)
	}
	wantDone(t, r, ErrNotRunning)
	cancel()
	if err := r.Err(); err != ErrNotRunning {
		t.Errorf("the context changed the reason to %v", err)
	}
}

// S3: the program learns that the engine has failed, and why.
func TestFailureEndsRedirection(t *testing.T) {
	why := &Error{Status: ErrEngineStalled, Text: "no progress"}
	e := &fakeEngine{}
	r := startFake(t, context.Background(), e)
	e.fail(why)
	wantDone(t, r, why)
	if e.stopCount() == 0 {
		t.Error("its handles were left open")
	}

	e = &fakeEngine{failed: why} // before anybody has noticed it is stopped
	r = startFake(t, context.Background(), e)
	r.Stop()
	wantDone(t, r, why)
}

// No goroutine is left of a redirector that has ended by itself, even if its context goes on.
func TestNoGoroutineIsLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	before := runtime.NumGoroutine()
	for i := 0; i < 100; i++ {
		r := startFake(t, ctx, &fakeEngine{})
		l, err := Listen(0)
		if err != nil {
			t.Fatal(err)
		}
		r.Listener(l)
		p, err := ListenPacket(0)
		if err != nil {
			t.Fatal(err)
		}
		r.PacketConn(p)
		r.Stop()
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before+5 && time.Now().Before(end); {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); now > before+5 {
		t.Errorf("%d goroutines before, %d afterwards", before, now)
	}
}

func TestContextBeforeAndDuringStart(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &fakeEngine{}
	r, err := startWith(ctx, Config{}, func(Config) (engine, error) {
		cancel() // while the driver is being loaded
		return e, nil
	})
	if r != nil || err != context.Canceled || e.stopCount() != 1 {
		t.Errorf("cancelled during the start: %v, %v, stopped %d times", r, err, e.stopCount())
	}
	r, err = startWith(ctx, Config{}, func(Config) (engine, error) {
		t.Error("started although the context was done")
		return e, nil
	})
	if r != nil || err != context.Canceled {
		t.Errorf("cancelled before the start: %v, %v", r, err)
	}
}

func TestStartFailure(t *testing.T) {
	r, err := startWith(context.Background(), Config{}, func(Config) (engine, error) {
		return nil, &Error{Status: ErrNotElevated}
	})
	if r != nil || !errors.Is(err, ErrNotElevated) {
		t.Errorf("%v, %v", r, err)
	}
}

func TestStopFromManyGoroutines(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := startFake(t, ctx, &fakeEngine{})
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		for r.Err() == nil { // while others write it
			runtime.Gosched()
		}
	}()
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := r.Stop(); err != nil {
				t.Error(err)
			}
			if r.Err() == nil {
				t.Error("no reason after Stop")
			}
		}()
	}
	cancel()
	group.Wait()
}

func TestStopOfNil(t *testing.T) {
	var r *Redirector
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}

func TestConfigCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		good   bool
	}{
		{"nothing", Config{}, true},
		{"hold longest", Config{HoldTimeout: time.Second}, true},
		{"hold too long", Config{HoldTimeout: time.Second + 1}, false},
		{"hold negative", Config{HoldTimeout: -1}, false},
		{"look interval shortest", Config{ScanInterval: 100 * time.Millisecond}, true},
		{"look interval too short", Config{ScanInterval: 100*time.Millisecond - 1}, false},
		{"look interval longest", Config{ScanInterval: 10 * time.Minute}, true},
		{"look interval too long", Config{ScanInterval: 10*time.Minute + 1}, false},
		{"UDP idle shortest", Config{UDPIdle: time.Second}, true},
		{"UDP idle too short", Config{UDPIdle: time.Second - 1}, false},
		{"UDP idle longest", Config{UDPIdle: time.Hour}, true},
		{"UDP idle too long", Config{UDPIdle: time.Hour + 1}, false},
		{"NUL in the folder", Config{WinDivertDir: "C:\\a\x00b"}, false},
		{"NUL in the log path", Config{LogPath: "a\x00b"}, false},
		{"NUL in a rule", Config{Rules: []Rule{{}, {Pattern: "a\x00b"}}}, false},
	} {
		if err := c.config.check(); (err == nil) != c.good || (err != nil && !errors.Is(err, ErrInvalidArgument)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestFlowStateNames(t *testing.T) {
	for state, want := range map[FlowState]string{1: "opening", FlowOpen: "open", FlowClosing: "closing", 9: "state 9"} {
		if got := state.String(); got != want {
			t.Errorf("state %d is called %q", uint32(state), got)
		}
	}
}

func TestProtocolNames(t *testing.T) {
	for protocol, want := range map[Protocol]string{6: "TCP", UDP: "UDP", 1: "protocol 1"} {
		if got := protocol.String(); got != want {
			t.Errorf("protocol %d is called %q", uint32(protocol), got)
		}
	}
}
