// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && cgo && lab

// A running Redirector, against a driver. The tag keeps these tests out of an ordinary run: lab_test.sh builds them
// and runs them in the lab. No server is needed, because the connections never get further than the proxy here.

package redirector

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const patience = 15 * time.Second

var servers = []string{"10.77.0.2:9", "[fd77::2]:9"}

func init() { childWork = dialer }

// dialer is the client: for each address on its input it connects, says hello and passes on the answer.
func dialer() {
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		go func(address string) {
			conn, err := net.DialTimeout("tcp", address, patience)
			if err != nil {
				fmt.Printf("error %v\n", err)
				return
			}
			fmt.Fprintln(conn, "hello from", address)
			answer, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil {
				fmt.Printf("cut off: %v\n", err)
			} else {
				fmt.Printf("%s heard %s", conn.RemoteAddr(), answer)
			}
			conn.Close()
		}(input.Text())
	}
}

// client is a dialer process.
type client struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Writer
	lines *bufio.Reader
}

func startClient(t *testing.T) *client {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := firstError(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	return &client{t, cmd, stdin, bufio.NewReader(stdout)}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *client) dial(address string) { fmt.Fprintln(c.stdin, address) }

func (c *client) line() string {
	c.t.Helper()
	line, err := c.lines.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// proxy accepts on one port of both loopback addresses.
type proxy struct {
	t         *testing.T
	port      int
	listeners map[string]*net.TCPListener
}

func listen(t *testing.T) *proxy {
	t.Helper()
	v4, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	port := v4.Addr().(*net.TCPAddr).Port
	v6, err := net.ListenTCP("tcp6", &net.TCPAddr{IP: net.IPv6loopback, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v4.Close(); v6.Close() })
	return &proxy{t, port, map[string]*net.TCPListener{servers[0]: v4, servers[1]: v6}}
}

// accept gives the connection of the client to that server, and its peer, after hello has come through.
func (p *proxy) accept(server string) (*net.TCPConn, netip.AddrPort) {
	p.t.Helper()
	l := p.listeners[server]
	l.SetDeadline(time.Now().Add(patience))
	conn, err := l.AcceptTCP()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	hello := make([]byte, len("hello from \n")+len(server))
	if _, err := io.ReadFull(conn, hello); err != nil || string(hello) != "hello from "+server+"\n" {
		p.t.Fatalf("the proxy read %q, %v", hello, err)
	}
	return conn, conn.RemoteAddr().(*net.TCPAddr).AddrPort()
}

// windivertDir is the folder of the test program: the lab's stage.
func windivertDir(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(program)
}

func mustStart(t *testing.T, c *client, p *proxy, log func(LogLevel, string)) *Redirector {
	t.Helper()
	r, err := Start(Config{ClientPID: uint32(c.cmd.Process.Pid), ProxyPort: p.port, NoLogFile: true, LogFunc: log,
		WinDivertDir: windivertDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Stop() })
	return r
}

func TestLabDestination(t *testing.T) {
	c, p := startClient(t), listen(t)
	r := mustStart(t, c, p, nil)
	for i, server := range servers {
		c.dial(server)
		conn, peer := p.accept(server)
		want := Destination{Addr: netip.MustParseAddrPort(server), PID: uint32(c.cmd.Process.Pid)}
		if got, ok := r.Destination(peer); !ok || got != want {
			t.Errorf("%s: Destination gave %+v, %v", server, got, ok)
		}
		fmt.Fprintln(conn, "welcome")
		if got := c.line(); got != server+" heard welcome" {
			t.Errorf("%s: the client says %q", server, got)
		}
		if s := r.Stats(); s.FlowsTotal != uint64(i+1) || s.LookupsHit != uint64(i+1) || s.LookupsMissed != 0 ||
			s.PacketsRewritten == 0 || s.SendErrors != 0 {
			t.Errorf("%s: %+v", server, s)
		}
	}
	if got, ok := r.Destination(netip.MustParseAddrPort("127.0.0.1:1")); ok {
		t.Errorf("a stranger was going to %+v", got)
	}
	if s := r.Stats(); s.LookupsMissed != 1 {
		t.Errorf("%d lookups missed", s.LookupsMissed)
	}
}

func TestLabDelete(t *testing.T) {
	c, p := startClient(t), listen(t)
	r := mustStart(t, c, p, nil)
	for _, server := range servers {
		c.dial(server)
		conn, peer := p.accept(server)
		if !r.Delete(peer) {
			t.Errorf("%s: Delete found nothing", server)
		}
		if _, ok := r.Destination(peer); ok {
			t.Errorf("%s: there after Delete", server)
		}
		if r.Delete(peer) {
			t.Errorf("%s: Delete found it again", server)
		}
		fmt.Fprintln(conn, "still here")
		if got := c.line(); got != server+" heard still here" {
			t.Errorf("%s: the client says %q", server, got)
		}
	}
}

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
				cut <- err
			}()
			began := time.Now()
			if err := r.Stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 1500*time.Millisecond {
				t.Errorf("Stop took %v", took)
			}
			if err := <-cut; err == nil || err == io.EOF || os.IsTimeout(err) {
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
	_, err := Start(Config{ClientPID: uint32(c.cmd.Process.Pid), ProxyPort: p.port, NoLogFile: true, WinDivertDir: t.TempDir()})
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
