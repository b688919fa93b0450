// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && cgo

// What needs no driver: how Start fails, and the translation between Go and C. These tests run under Wine. Real
// redirection is tested by the demo and the end-to-end tests, in the lab.

package redirector

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// start calls Start with what every test wants: no log file, and a folder without WinDivert.dll, so that a Start which
// gets past the check under test fails with ErrDLLNotFound and never touches a driver.
func start(t *testing.T, config Config) error {
	t.Helper()
	config.NoLogFile = config.LogPath == ""
	if config.WinDivertDir == "" {
		config.WinDivertDir = t.TempDir()
	}
	r, err := Start(config)
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
		{"client 0", Config{ProxyPort: 8080}, ErrNoSuchProcess},
		{"client that never was", Config{ClientPID: noProcess, ProxyPort: 8080}, ErrNoSuchProcess},
		{"client that has ended", Config{ClientPID: exitedPID(t), ProxyPort: 8080}, ErrNoSuchProcess},
		{"agent that never was", Config{ClientPID: client, AgentPID: noProcess, ProxyPort: 8080}, ErrNoSuchProcess},
		{"the agent as its own client", Config{ClientPID: uint32(os.Getpid()), ProxyPort: 8080}, ErrInvalidArgument},
		{"no DLL", Config{ClientPID: client, ProxyPort: 8080}, ErrDLLNotFound},
		{"no DLL, shortest hold", Config{ClientPID: client, ProxyPort: 8080, HoldTime: 1}, ErrDLLNotFound},
		{"no DLL, longest hold", Config{ClientPID: client, ProxyPort: 8080, HoldTime: time.Second}, ErrDLLNotFound},
		{"hold too long", Config{ClientPID: client, ProxyPort: 8080, HoldTime: time.Second + 1}, ErrInvalidArgument},
		{"hold negative", Config{ClientPID: client, ProxyPort: 8080, HoldTime: -1}, ErrInvalidArgument},
		{"look interval shortest", Config{ClientPID: client, ProxyPort: 8080, LookInterval: 100 * time.Millisecond}, ErrDLLNotFound},
		{"look interval longest", Config{ClientPID: client, ProxyPort: 8080, LookInterval: 10 * time.Minute}, ErrDLLNotFound},
		{"look interval too short", Config{ClientPID: client, ProxyPort: 8080, LookInterval: 99 * time.Millisecond}, ErrInvalidArgument},
		{"look interval too long", Config{ClientPID: client, ProxyPort: 8080, LookInterval: 10*time.Minute + 1}, ErrInvalidArgument},
		{"incoming only", Config{ClientPID: client, IncomingPort: 8080}, ErrDLLNotFound},
		{"every flag", Config{ClientPID: client, ProxyPort: 8080, LeaveFlows: true, Reflect: true, Refuse: true}, ErrDLLNotFound},
		{"NUL in the folder", Config{ClientPID: client, ProxyPort: 8080, WinDivertDir: "C:\\a\x00b"}, ErrInvalidArgument},
		{"NUL in the log path", Config{ClientPID: client, ProxyPort: 8080, LogPath: "a\x00b"}, ErrInvalidArgument},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantStatus(t, start(t, c.config), c.want) })
	}
}

// A failure leaves nothing behind that would change the next one.
func TestStartFailsTheSameAgain(t *testing.T) {
	config := Config{ClientPID: livePID(t), ProxyPort: 8080, WinDivertDir: t.TempDir()}
	first := start(t, config)
	wantStatus(t, first, ErrDLLNotFound)
	wantStatus(t, start(t, Config{ClientPID: config.ClientPID, ProxyPort: 65536}), ErrPortInvalid)
	if again := start(t, config); again.Error() != first.Error() {
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
					if _, err := Start(c); !errors.Is(err, want) {
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
	err := start(t, Config{ClientPID: livePID(t), ProxyPort: 8080, LogPath: missing})
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
	start(t, Config{ClientPID: livePID(t), ProxyPort: 8080})
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("Start left %v", left)
	}
}

func TestStatusMatchesLibrary(t *testing.T) {
	for n := uint32(0); n < uint32(len(statusNames))+10; n++ {
		if got, want := Status(n).String(), libraryStatusName(n); got != want {
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

func TestAddressTranslation(t *testing.T) {
	cases := []struct {
		peer, back string
		family     uint32
		bytes      []byte
	}{
		{"10.0.0.2:80", "10.0.0.2:80", 4, []byte{10, 0, 0, 2, 0}},
		{"255.254.253.252:65535", "255.254.253.252:65535", 4, []byte{255, 254, 253, 252, 0}},
		{"0.0.0.0:1", "0.0.0.0:1", 4, []byte{0, 0, 0, 0, 0}},
		{"[::ffff:127.0.0.1]:50000", "127.0.0.1:50000", 4, []byte{127, 0, 0, 1, 0}},
		{"[::1]:443", "[::1]:443", 6, []byte{15: 1}},
		{"[2001:db8::1]:8080", "[2001:db8::1]:8080", 6, []byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}},
		{"[fe80::1%7]:5", "[fe80::1]:5", 6, []byte{0: 0xfe, 1: 0x80, 15: 1}},
	}
	for _, c := range cases {
		native := addressToC(netip.MustParseAddrPort(c.peer))
		if uint32(native.family) != c.family {
			t.Errorf("%s: family %d", c.peer, native.family)
		}
		for i, want := range c.bytes {
			if byte(native.bytes[i]) != want {
				t.Errorf("%s: byte %d is %d, want %d", c.peer, i, native.bytes[i], want)
			}
		}
		if got := addressFromC(native).String(); got != c.back {
			t.Errorf("%s came back as %s", c.peer, got)
		}
	}
	if native := addressToC(netip.AddrPort{}); native.family != 0 {
		t.Errorf("no address became family %d", native.family)
	}
}

func TestConfigTranslation(t *testing.T) {
	c, free, err := configToC(Config{
		ClientPID: 1, AgentPID: 2, ProxyPort: 3, IncomingPort: 4, HoldTime: 5*time.Millisecond + 1,
		LookInterval: 250 * time.Millisecond, LogLevel: LogDebug,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	if c.client_pid != 1 || c.agent_pid != 2 || c.proxy_port != 3 || c.incoming_port != 4 || c.hold_ms != 6 ||
		c.look_ms != 250 || c.flags != 0 || c.rules != nil || c.rule_count != 0 || c.log_level != 5 || c.log_path != nil || c.windivert_dir != nil {
		t.Errorf("translated to %+v", c)
	}
	none, freeNone, err := configToC(Config{NoLogFile: true, LogPath: "ignored", WinDivertDir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	defer freeNone()
	if none.log_path == nil || *none.log_path != 0 || none.look_ms != 0 || *none.windivert_dir != 'd' {
		t.Errorf("translated to %+v", none)
	}
}

func TestFlagTranslation(t *testing.T) {
	for want, config := range map[uint32]Config{
		0: {},
		1: {LeaveFlows: true},
		2: {Reflect: true},
		4: {Refuse: true},
		7: {LeaveFlows: true, Reflect: true, Refuse: true},
	} {
		if got := uint32(flagsToC(config)); got != want {
			t.Errorf("%+v gave flags %d, want %d", config, got, want)
		}
	}
}

func TestRuleTranslation(t *testing.T) {
	rules := []Rule{{Include: true, PID: 8}, {Pattern: "é*.exe"}, {Include: true, Pattern: `c:\?`}}
	list, free, err := rulesToC(rules)
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	for i, native := range unsafe.Slice(list, len(rules)) {
		got := Rule{Include: native.include == 1, PID: uint32(native.pid)}
		if native.pattern != nil {
			for at := unsafe.Pointer(native.pattern); *(*byte)(at) != 0; at = unsafe.Add(at, 1) {
				got.Pattern += string([]byte{*(*byte)(at)})
			}
		} else if rules[i].Pattern != "" {
			t.Errorf("rule %d has no pattern", i)
		}
		if got != rules[i] {
			t.Errorf("rule %d became %+v, want %+v", i, got, rules[i])
		}
	}
	if list, _, err := rulesToC([]Rule{}); list != nil || err != nil {
		t.Errorf("no rules became %v, %v", list, err)
	}
}

// What is wrong with a rule is found before anything else happens, by this package or by the library.
func TestRuleFailures(t *testing.T) {
	client := livePID(t)
	var many [257]Rule
	for i := range many {
		many[i].Pattern = "a"
	}
	cases := []struct {
		name  string
		rules []Rule
		want  Status
	}{
		{"right", []Rule{{Include: true, PID: 4}, {Pattern: "curl.exe"}, {Pattern: `*\tools\*`}}, ErrDLLNotFound},
		{"says nothing", []Rule{{PID: 4}, {Include: true}}, ErrInvalidArgument},
		{"process id beside a pattern", []Rule{{PID: 4, Pattern: "a"}}, ErrInvalidArgument},
		{"NUL", []Rule{{Pattern: "a\x00b"}}, ErrInvalidArgument},
		{"longest pattern", []Rule{{Pattern: strings.Repeat("a", 512)}}, ErrDLLNotFound},
		{"pattern too long", []Rule{{Pattern: strings.Repeat("a", 513)}}, ErrInvalidArgument},
		{"as many as may be", many[:256], ErrDLLNotFound},
		{"too many", many[:257], ErrInvalidArgument},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			wantStatus(t, start(t, Config{ClientPID: client, ProxyPort: 8080, Rules: c.rules}), c.want)
		})
	}
}

func TestStopOfNil(t *testing.T) {
	var r *Redirector
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
