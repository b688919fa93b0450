// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

package redirector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLabStopAndStartAgain(t *testing.T) {
	c, p := startClient(t), listen(t)
	for round := 0; round < 2; round++ {
		r := mustStart(t, c, p, nil)
		for _, server := range servers {
			c.dial(server)
			conn, peer := p.accept(server)
			if _, ok := r.Destination(peer); !ok {
				t.Fatalf("%s: not found", server)
			}
			if server != servers[len(servers)-1] {
				conn.Close() // without an answer
				if got := c.line(); !strings.HasPrefix(got, "cut off: ") {
					t.Errorf("%s: the client says %q", server, got)
				}
				continue
			}
			cut := make(chan error, 1)
			go func() {
				_, err := conn.Read(make([]byte, 1))
				if err == io.EOF { // Wine says so of a reset before the read; on a connection that was reset a write fails
					_, err = conn.Write([]byte{0})
				}
				cut <- err
			}()
			if err := r.Stop(); err != nil {
				t.Error(err)
			}
			if err := <-cut; err == nil || os.IsTimeout(err) {
				t.Errorf("%s: the proxy's end was not reset: %v", server, err)
			}
			if got := c.line(); !strings.HasPrefix(got, "cut off: ") || strings.Contains(got, "EOF") {
				t.Errorf("%s: the client's end was not reset: %q", server, got)
			}
			if got, ok := r.Destination(peer); ok {
				t.Errorf("%s: still %+v after Stop", server, got)
			}
		}
		if err := r.Stop(); err != nil {
			t.Errorf("second Stop: %v", err)
		}
		if s := r.Stats(); s.FlowsTotal != uint64(len(servers)) || s.FlowsLive != 0 {
			t.Errorf("after Stop: %+v", s)
		}
		runtime.GC() // nothing refers to it any more: it is freed, and the next one must not mind
	}
}

// The context ends the redirection as Stop does.
func TestLabContext(t *testing.T) {
	c, p := startClient(t), listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := Start(ctx, Config{ClientPID: c.pid(), ProxyPort: p.port, NoLogFile: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	c.dial(servers[0])
	_, peer := p.accept(servers[0])
	if _, ok := r.Destination(peer); !ok {
		t.Error("not found")
	}
	if err := r.Err(); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	cancel()
	wantDone(t, r, context.Canceled)
	if got := c.line(); !strings.HasPrefix(got, "cut off: ") || strings.Contains(got, "EOF") {
		t.Errorf("the client's end was not reset: %q", got)
	}
	c.wantLine(servers[0], "error ") // it gets to the server
}

func TestLabLogFunc(t *testing.T) {
	c, p := startClient(t), listen(t)
	var mu sync.Mutex
	var lines []string
	r := mustStart(t, c, p, func(level LogLevel, line string) {
		mu.Lock()
		defer mu.Unlock()
		if level != LogInfo {
			t.Errorf("level %d: %s", level, line)
		}
		lines = append(lines, line)
	})
	c.dial(servers[0])
	conn, _ := p.accept(servers[0])
	fmt.Fprintln(conn, "welcome")
	c.line()
	conn.Close()
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(lines, "\n")
	for _, want := range []string{"started", servers[0], "stopped"} {
		if !strings.Contains(all, want) {
			t.Errorf("no line says %q:\n%s", want, all)
		}
	}
}

// Lookups go on in many goroutines while another one stops: none may crash, and none may find anything afterwards.
func TestLabLookupsDuringStop(t *testing.T) {
	c, p := startClient(t), listen(t)
	r := mustStart(t, c, p, nil)
	c.dial(servers[1])
	_, peer := p.accept(servers[1])
	var found, ended atomic.Int64
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				if _, ok := r.Destination(peer); !ok {
					ended.Add(1)
					return
				}
				found.Add(1)
			}
		}()
	}
	for end := time.Now().Add(patience); found.Load() < 1000 && time.Now().Before(end); {
		runtime.Gosched()
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	group.Wait()
	if found.Load() < 1000 || ended.Load() != 8 {
		t.Errorf("%d lookups hit, %d goroutines ended", found.Load(), ended.Load())
	}
}

func TestLabWrongFolder(t *testing.T) {
	c, p := startClient(t), listen(t)
	_, err := Start(context.Background(), Config{ClientPID: c.pid(), ProxyPort: p.port, NoLogFile: true,
		WinDivertDir: t.TempDir()})
	if !errors.Is(err, ErrDLLNotFound) {
		t.Fatal(err)
	}
	r := mustStart(t, c, p, nil) // the failure left nothing behind
	c.dial(servers[0])
	_, peer := p.accept(servers[0])
	if _, ok := r.Destination(peer); !ok {
		t.Error("not found")
	}
}
