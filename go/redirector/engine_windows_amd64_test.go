// SPDX-License-Identifier: LGPL-3.0-or-later

// What needs the library and no driver: how Start fails. These tests run under Wine. Real redirection is tested in the
// lab.

package redirector

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// mustFail calls Start with what every test wants: no log file, and a folder without WinDivert.dll, so that a Start
// which gets past the check under test fails with ErrDLLNotFound and never touches a driver.
func mustFail(t *testing.T, config Config) error {
	t.Helper()
	config.NoLogFile = config.LogPath == ""
	if config.WinDivertDir == "" {
		config.WinDivertDir = t.TempDir()
	}
	r, err := Start(context.Background(), config)
	if err == nil {
		r.Stop()
		t.Fatal("Start succeeded without WinDivert.dll")
	}
	if r != nil {
		t.Errorf("Start gave a Redirector and the error %v", err)
	}
	return err
}

func wantStatus(t *testing.T, err error, want Status) {
	t.Helper()
	var detail *Error
	if !errors.As(err, &detail) {
		t.Fatalf("%T is not an *Error: %v", err, err)
	}
	if !errors.Is(err, want) {
		t.Errorf("status %v (%v), want %v", detail.Status, err, want)
	}
	if detail.Text == "" || strings.ContainsAny(detail.Text, "\r\n") {
		t.Errorf("the text is not one line: %q", detail.Text)
	}
}

const childVariable = "REDIRECTOR_TEST_CHILD" // set in a process that only has to be there

// childWork is what such a process does, until the test closes its input.
var childWork = func() { io.Copy(io.Discard, os.Stdin) }

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		childWork()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// livePID gives the id of a process that lives as long as the tests: a client, because the agent cannot be its own.
func livePID(t *testing.T) uint32 {
	t.Helper()
	livePIDOnce.Do(func() {
		for try := 0; try < 3 && liveChild == nil; try++ { // Wine's CreateProcess fails now and then on a busy machine
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"=1")
			stdin, err := cmd.StdinPipe() // the child ends when it is closed, at the latest with this process
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Log(err)
				continue
			}
			liveChild, liveChildStdin = cmd, stdin
		}
	})
	if liveChild == nil {
		t.Fatal("no process to be the client")
	}
	return uint32(liveChild.Process.Pid)
}

var (
	livePIDOnce    sync.Once
	liveChild      *exec.Cmd
	liveChildStdin io.Closer // kept: a collected pipe is a closed one
)

// exitedPID gives the id of a process that has ended and whose handle is closed.
func exitedPID(t *testing.T) uint32 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.list=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return uint32(cmd.Process.Pid)
}

func TestStartFailures(t *testing.T) {
	const noProcess = 0x7ffffff0 // Windows gives no such id
	client := livePID(t)
	own := uint32(os.Getpid())
	var many [4097]uint32
	for i := range many {
		many[i] = client
	}
	cases := []struct {
		name   string
		config Config
		want   Status
	}{
		{"no port", Config{ClientPID: client}, ErrNoPort},
		{"proxy port too large", Config{ClientPID: client, ProxyPort: 65536}, ErrPortInvalid},
		{"proxy port negative", Config{ClientPID: client, ProxyPort: -1}, ErrPortInvalid},
		{"proxy port valid in its low 32 bits", Config{ClientPID: client, ProxyPort: 1<<32 + 8080}, ErrPortInvalid},
		{"incoming port too large", Config{ClientPID: client, IncomingPort: 70000}, ErrPortInvalid},
		{"no root", Config{ProxyPort: 8080}, ErrNoSuchProcess},
		{"client that never was", Config{ClientPID: noProcess, ProxyPort: 8080}, ErrNoSuchProcess},
		{"client that has ended", Config{ClientPID: exitedPID(t), ProxyPort: 8080}, ErrNoSuchProcess},
		{"agent that never was", Config{ClientPID: client, AgentPID: noProcess, ProxyPort: 8080}, ErrNoSuchProcess},
		{"a root that never was", Config{ClientPID: client, Roots: []uint32{noProcess}, ProxyPort: 8080}, ErrNoSuchProcess},
		{"as many roots as may be", Config{Roots: many[:4096], ProxyPort: 8080}, ErrDLLNotFound},
		{"too many roots", Config{Roots: many[:4097], ProxyPort: 8080}, ErrInvalidArgument},
		{"a listening port", Config{ClientPID: client, IncomingPort: 8081, ListenPorts: []int{80}}, ErrDLLNotFound},
		{"a listening port without incoming", Config{ClientPID: client, ProxyPort: 8080, ListenPorts: []int{80}}, ErrInvalidArgument},
		{"a listening port negative", Config{ClientPID: client, IncomingPort: 8081, ListenPorts: []int{-1}}, ErrInvalidArgument},
		{"the agent as a root", Config{Roots: []uint32{own}, ProxyPort: 8080}, ErrDLLNotFound},
		{"no DLL", Config{ClientPID: client, ProxyPort: 8080}, ErrDLLNotFound},
		{"shortest hold", Config{ClientPID: client, ProxyPort: 8080, HoldTimeout: 1}, ErrDLLNotFound},
		{"longest hold", Config{ClientPID: client, ProxyPort: 8080, HoldTimeout: longestHoldTimeout}, ErrDLLNotFound},
		{"hold too long", Config{ClientPID: client, ProxyPort: 80, HoldTimeout: longestHoldTimeout + 1}, ErrInvalidArgument},
		{"shortest look", Config{ClientPID: client, ProxyPort: 8080, ScanInterval: shortestScanInterval}, ErrDLLNotFound},
		{"longest look", Config{ClientPID: client, ProxyPort: 8080, ScanInterval: longestScanInterval}, ErrDLLNotFound},
		{"scan too long", Config{ClientPID: client, ProxyPort: 80, ScanInterval: longestScanInterval + 1}, ErrInvalidArgument},
		{"incoming only", Config{ClientPID: client, IncomingPort: 8080}, ErrDLLNotFound},
		{"UDP only", Config{ClientPID: client, UDPPort: 8080}, ErrDLLNotFound},
		{"UDP by the proxy's port", Config{ClientPID: client, ProxyPort: 8080, UDPPort: 8080}, ErrDLLNotFound},
		{"UDP port valid in its low 32 bits", Config{ClientPID: client, UDPPort: 1<<32 + 8080}, ErrPortInvalid},
		{"shortest idle", Config{ClientPID: client, UDPPort: 8080, UDPIdle: shortestUDPIdle}, ErrDLLNotFound},
		{"longest idle", Config{ClientPID: client, UDPPort: 8080, UDPIdle: longestUDPIdle}, ErrDLLNotFound},
		{"idle too long", Config{ClientPID: client, UDPPort: 80, UDPIdle: longestUDPIdle + 1}, ErrInvalidArgument},
		{"every flag", Config{ClientPID: client, ProxyPort: 8080, KeepFlowsOnStop: true, Reflect: true, FailClosed: true,
			DescendantsOnly: true}, ErrDLLNotFound},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantStatus(t, mustFail(t, c.config), c.want) })
	}
}

// A failure leaves nothing behind that would change the next one.
func TestStartFailsTheSameAgain(t *testing.T) {
	config := Config{ClientPID: livePID(t), ProxyPort: 8080, WinDivertDir: t.TempDir()}
	first := mustFail(t, config)
	wantStatus(t, first, ErrDLLNotFound)
	wantStatus(t, mustFail(t, Config{ClientPID: config.ClientPID, ProxyPort: 65536}), ErrPortInvalid)
	if again := mustFail(t, config); again.Error() != first.Error() {
		t.Errorf("first %q, then %q", first, again)
	}
}

// The error travels in an out-parameter, not in the thread: goroutines on many threads each get their own.
func TestErrorsAreNotMixedUp(t *testing.T) {
	dir, client := t.TempDir(), livePID(t)
	config := map[Status]Config{
		ErrNoPort:      {ClientPID: client, WinDivertDir: dir},
		ErrPortInvalid: {ClientPID: client, ProxyPort: 65536, WinDivertDir: dir},
		ErrDLLNotFound: {ClientPID: client, ProxyPort: 8080, WinDivertDir: dir},
	}
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		for want, c := range config {
			group.Add(1)
			go func(want Status, c Config) {
				defer group.Done()
				runtime.LockOSThread()
				c.NoLogFile = true
				for j := 0; j < 20; j++ {
					if _, err := Start(context.Background(), c); !errors.Is(err, want) {
						t.Errorf("want %v, got %v", want, err)
					}
				}
			}(want, c)
		}
	}
	group.Wait()
}

func TestLogFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "x.log")
	err := mustFail(t, Config{ClientPID: livePID(t), ProxyPort: 8080, LogPath: missing})
	wantStatus(t, err, ErrLogFailed)
}

// Without a path the library writes its file into the current folder; NoLogFile must keep it from that.
func TestNoLogFile(t *testing.T) {
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chdir(dir); err != nil {
		t.Fatal(err)
	}
	defer os.Chdir(before)
	mustFail(t, Config{ClientPID: livePID(t), ProxyPort: 8080})
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("Start left %v", left)
	}
}

func TestStatusMatchesLibrary(t *testing.T) {
	if err := libraryLoad(); err != nil {
		t.Fatal(err)
	}
	for n := uint32(0); n < uint32(len(statusNames))+10; n++ {
		if got, want := Status(n).String(), goString(libraryStatusName(n)); got != want {
			t.Errorf("status %d is %s here and %s in the library", n, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	header, err := os.ReadFile("../../include/windows_redirector.h")
	if err != nil {
		t.Fatal(err)
	}
	if line := `#define REDIRECTOR_VERSION_STRING "` + Version() + `"`; !strings.Contains(string(header), line) {
		t.Errorf("the header does not say %s", line)
	}
}
