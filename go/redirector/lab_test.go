// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && cgo && lab

// A running Redirector, against a driver. The tag keeps these tests out of an ordinary run: lab_test.sh builds them
// and runs them in the lab. Nothing runs on the lab's server: redirected connections get no further than the proxy here,
// and those that pass go to a program of the test itself, on the client's own address, or are refused by the server.

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

const ownAddress = "10.77.0.1" // of the host that the test runs on

func init() { childWork = worker }

// worker is a client, or a server: for each address on its input it connects, says hello and passes on the answer; for
// "listen" and an address it listens there, tells the address, and answers each hello.
func worker() {
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		if address := strings.TrimPrefix(input.Text(), "listen "); address != input.Text() {
			serve(address)
		} else {
			go dial(address)
		}
	}
}

func dial(address string) {
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
}

func serve(address string) {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		fmt.Printf("error %v\n", err)
		return
	}
	fmt.Println(listener.Addr())
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
					fmt.Fprintf(conn, "the program itself, to %s\n", conn.RemoteAddr().(*net.TCPAddr).IP)
				}
				conn.Close()
			}()
		}
	}()
}

// client is a worker process.
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

func (c *client) pid() uint32 { return uint32(c.cmd.Process.Pid) }

// listen makes it a server on the host's own address.
func (c *client) listen() string {
	fmt.Fprintln(c.stdin, "listen "+ownAddress+":0")
	address := c.line()
	if !strings.HasPrefix(address, ownAddress) {
		c.t.Fatal(address)
	}
	return address
}

// wantLine dials, and compares what the client says then; want is its beginning.
func (c *client) wantLine(address, want string) {
	c.t.Helper()
	c.dial(address)
	if got := c.line(); !strings.HasPrefix(got, want) {
		c.t.Errorf("%s: the client says %q, not %q", address, got, want)
	}
}

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
	return mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, LogFunc: log})
}

func mustStartWith(t *testing.T, config Config) *Redirector {
	t.Helper()
	config.NoLogFile = true
	config.WinDivertDir = windivertDir(t)
	r, err := Start(config)
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
		want := Destination{Addr: netip.MustParseAddrPort(server), PID: c.pid()}
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
	_, err := Start(Config{ClientPID: c.pid(), ProxyPort: p.port, NoLogFile: true, WinDivertDir: t.TempDir()})
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

// A connection that a stranger opens to a program of the tree goes to the incoming port, the agent's own to the program.
func TestLabIncoming(t *testing.T) {
	program, stranger := startClient(t), startClient(t)
	early := program.listen()
	everywhere, err := net.ListenTCP("tcp4", &net.TCPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t, everywhere.Addr().(*net.TCPAddr).Port, map[string]*net.TCPListener{early: everywhere}}
	t.Cleanup(func() { everywhere.Close() })
	r := mustStartWith(t, Config{ClientPID: program.pid(), IncomingPort: p.port})
	late := program.listen()
	p.listeners[late] = everywhere
	for _, address := range []string{early, late} {
		stranger.dial(address)
		conn, peer := p.accept(address)
		if peer.Addr().String() != ownAddress {
			t.Errorf("%s: the peer is %v", address, peer)
		}
		want := Destination{Addr: netip.MustParseAddrPort(address), PID: program.pid(), Incoming: true}
		if got, ok := r.Destination(peer); !ok || got != want {
			t.Errorf("%s: Destination gave %+v, %v", address, got, ok)
		}
		own, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			t.Fatal(err)
		}
		own.SetDeadline(time.Now().Add(patience))
		fmt.Fprintln(own, "hello")
		answer, err := bufio.NewReader(own).ReadString('\n')
		if err != nil || answer != "the program itself, to "+ownAddress+"\n" {
			t.Errorf("%s: the agent reached %q, %v", address, answer, err)
		}
		own.Close()
		fmt.Fprintln(conn, "the proxy")
		if got := stranger.line(); got != address+" heard the proxy" {
			t.Errorf("%s: the stranger says %q", address, got)
		}
	}
	if s := r.Stats(); s.FlowsTotal != 2 || s.ProxyMissing != 0 {
		t.Errorf("%+v", s)
	}
}

// Rules from the start and while running; the last one that matches wins. Connections that pass are refused by the server.
func TestLabRules(t *testing.T) {
	c, p := startClient(t), listen(t)
	bystander := startClient(t)
	name := filepath.Base(os.Args[0])
	r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, Rules: []Rule{{Pattern: name}}})
	redirected := func(c *client) {
		t.Helper()
		c.dial(servers[0])
		conn, peer := p.accept(servers[0])
		if got, ok := r.Destination(peer); !ok || got.PID != c.pid() {
			t.Errorf("Destination gave %+v, %v", got, ok)
		}
		fmt.Fprintln(conn, "welcome")
		c.line()
	}
	for i, step := range []struct {
		rules             []Rule
		client, bystander bool
	}{
		{[]Rule{{Pattern: name}}, false, false},
		{nil, true, false},
		{[]Rule{{Include: true, PID: bystander.pid()}}, true, true},
		{[]Rule{{Include: true, Pattern: `*\` + strings.ToUpper(name)}, {PID: c.pid()}}, false, true},
		{[]Rule{{PID: c.pid()}, {Include: true, Pattern: name[:4] + "*"}}, true, true},
	} {
		if i > 0 { // the first are those of the start
			if err := r.SetRules(step.rules); err != nil {
				t.Fatal(err)
			}
		}
		for who, want := range map[*client]bool{c: step.client, bystander: step.bystander} {
			if want {
				redirected(who)
			} else {
				who.wantLine(servers[0], "error ")
			}
		}
	}
	before := r.Stats().FlowsTotal
	if err := r.SetRules([]Rule{{PID: c.pid(), Pattern: name}}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("SetRules took a rule with a process id and a pattern: %v", err)
	}
	redirected(c) // the former rules stay
	if now := r.Stats().FlowsTotal; now != before+1 {
		t.Errorf("%d connections, then %d", before, now)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if err := r.SetRules(nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("SetRules after Stop: %v", err)
	}
}

// Without a proxy, connections reach their program, or are refused although it is there.
func TestLabNoProxy(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		c, server, p := startClient(t), startClient(t), listen(t)
		address := server.listen()
		for _, l := range p.listeners {
			l.Close()
		}
		r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, Refuse: refuse})
		if refuse {
			c.wantLine(address, "error ")
		} else {
			c.wantLine(address, address+" heard the program itself")
		}
		if s := r.Stats(); s.ProxyMissing == 0 || s.FlowsTotal != 0 {
			t.Errorf("refuse %v: %+v", refuse, s)
		}
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// Steered by swapped addresses, the proxy sees the server as its peer.
func TestLabReflect(t *testing.T) {
	c := startClient(t)
	everywhere, err := net.ListenTCP("tcp", &net.TCPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { everywhere.Close() })
	p := &proxy{t, everywhere.Addr().(*net.TCPAddr).Port, map[string]*net.TCPListener{
		servers[0]: everywhere, servers[1]: everywhere}}
	r := mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, Reflect: true})
	for _, server := range servers {
		c.dial(server)
		conn, peer := p.accept(server)
		want := Destination{Addr: netip.MustParseAddrPort(server), PID: c.pid()}
		if got, ok := r.Destination(peer); !ok || got != want || peer.Addr().Unmap() != want.Addr.Addr() {
			t.Errorf("%s: from %v, Destination gave %+v, %v", server, peer, got, ok)
		}
		fmt.Fprintln(conn, "welcome")
		if got := c.line(); got != server+" heard welcome" {
			t.Errorf("%s: the client says %q", server, got)
		}
	}
}
