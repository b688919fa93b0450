// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && cgo

// The layer over the C library. It retypes nothing: structures, constants and prototypes come from the public header.
//
// Life of the C object: redirector_start makes it, Stop stops it, and it stays valid for lookups, which then miss. It
// is freed when Stop has been called and nothing in Go refers to it any more, so no lookup can meet freed memory. A
// Redirector that nobody stops is never freed: forgetting the value must not end the redirection.

package redirector

/*
#cgo CFLAGS: -I${SRCDIR}/../../include
#cgo LDFLAGS: -L${SRCDIR}/../../build/mingw-release -l:libwindows_redirector.a
#cgo LDFLAGS: -lws2_32 -luserenv -lntdll -ladvapi32 -lole32 -loleaut32
#include <stdlib.h>
#include "windows_redirector.h"

void redirectorGoLog(uintptr_t context, uint32_t level, char *line); // log_windows.go

static inline void log_to_go(void *context, uint32_t level, const char *line) {
    redirectorGoLog((uintptr_t)context, level, (char *)line);
}

// Start, with lines going to the Go function behind the handle `log` (0: none). The handle is a number that must not
// lie in Go memory as a pointer, so it is put into a copy of the configuration here.
static inline uint32_t start_with_log(redirector_config config, uintptr_t log, redirector **out,
                                      redirector_error *error) {
    if (log != 0) {
        config.log_fn = log_to_go;
        config.log_context = (void *)log;
    }
    return redirector_start(&config, out, error);
}
*/
import "C"

import (
	"net/netip"
	"runtime"
	"runtime/cgo"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Redirector is a running redirector. It comes from [Start].
type Redirector struct {
	c       *C.redirector
	log     cgo.Handle // 0: no LogFunc
	stopped sync.Once
}

// Start starts redirecting and returns when driver, filter and tables are ready. When it fails nothing was started and
// nothing stays open; the error is an [*Error] that says what to do.
//
// It blocks for the time that Windows takes to load the driver. Several redirectors may run in one process.
func Start(config Config) (*Redirector, error) {
	c, free, err := configToC(config)
	if err != nil {
		return nil, err
	}
	defer free()

	r := &Redirector{}
	if config.LogFunc != nil {
		r.log = cgo.NewHandle(config.LogFunc)
	}
	var failure C.redirector_error
	failure.size = C.uint32_t(unsafe.Sizeof(failure))
	if status := C.start_with_log(c, C.uintptr_t(r.log), &r.c, &failure); status != C.REDIRECTOR_OK {
		if r.log != 0 {
			r.log.Delete()
		}
		return nil, &Error{Status: Status(status), OSError: uint32(failure.os_error),
			Text: C.GoString(&failure.text[0])}
	}
	return r, nil
}

// Stop ends the redirection: redirected connections are reset at both ends (unless Config.LeaveFlows), driver handles
// closed, threads joined. It takes at most one second and may be called more than once. Afterwards every lookup misses.
//
// It fails with [ErrStoppedByForce] if the engine did not end in time; the machine's traffic flows all the same.
// Stop of a nil Redirector does nothing.
func (r *Redirector) Stop() error {
	if r == nil {
		return nil
	}
	status := C.redirector_stop(r.c)
	r.stopped.Do(func() {
		if r.log != 0 {
			r.log.Delete()
		}
		runtime.SetFinalizer(r, func(r *Redirector) { C.redirector_free(r.c) })
	})
	runtime.KeepAlive(r)
	if status != C.REDIRECTOR_OK {
		return &Error{Status: Status(status), Text: "stop: " + Status(status).String()}
	}
	return nil
}

// Destination says where the connection was going that reached the proxy from this peer, its remote address as the
// proxy sees it. It is false when there is no such connection: the peer is a stranger, or its connection is over. It
// never blocks.
func (r *Redirector) Destination(peer netip.AddrPort) (Destination, bool) {
	address := addressToC(peer)
	var found C.redirector_destination
	found.size = C.uint32_t(unsafe.Sizeof(found))
	status := C.redirector_lookup(r.c, &address, &found)
	runtime.KeepAlive(r)
	if status != C.REDIRECTOR_OK {
		return Destination{}, false
	}
	return Destination{
		Addr:     addressFromC(found.destination),
		PID:      uint32(found.pid),
		Incoming: found.incoming != 0,
	}, true
}

// Delete removes the mapping of a peer for good; its connection goes on. It is false when there was none.
func (r *Redirector) Delete(peer netip.AddrPort) bool {
	address := addressToC(peer)
	status := C.redirector_forget(r.c, &address)
	runtime.KeepAlive(r)
	return status == C.REDIRECTOR_OK
}

// SetRules replaces the rules while running; nil: none. It returns when they are in force, which takes milliseconds, at
// most one second. They apply to new connections only. When it fails the former rules stay: with [ErrNotRunning] after
// Stop, with [ErrInvalidArgument] for a rule that says nothing or too much.
func (r *Redirector) SetRules(rules []Rule) error {
	list, free, err := rulesToC(rules)
	if err != nil {
		return err
	}
	defer free()
	status := C.redirector_set_rules(r.c, list, C.uint32_t(len(rules)))
	runtime.KeepAlive(r)
	if status != C.REDIRECTOR_OK {
		return &Error{Status: Status(status), Text: "set rules: " + Status(status).String()}
	}
	return nil
}

// Stats gives the counters as they are now. They stay readable after Stop.
func (r *Redirector) Stats() Stats {
	var s C.redirector_stats
	s.size = C.uint32_t(unsafe.Sizeof(s))
	C.redirector_get_stats(r.c, &s)
	runtime.KeepAlive(r)
	return Stats{
		FlowsLive:        uint32(s.flows_live),
		FlowsTotal:       uint64(s.flows_total),
		FlowsRefused:     uint64(s.flows_refused),
		PacketsSeen:      uint64(s.packets_seen),
		PacketsPassed:    uint64(s.packets_passed),
		PacketsRewritten: uint64(s.packets_rewritten),
		PacketsHeld:      uint64(s.packets_held),
		PacketsDropped:   uint64(s.packets_dropped),
		PacketsMalformed: uint64(s.packets_malformed),
		ProxyMissing:     uint64(s.proxy_missing),
		HoldTimeouts:     uint64(s.hold_timeouts),
		HoldRefused:      uint64(s.hold_refused),
		SendErrors:       uint64(s.send_errors),
		ReceiveErrors:    uint64(s.receive_errors),
		EventsSeen:       uint64(s.events_seen),
		LookupsHit:       uint64(s.lookups_hit),
		LookupsMissed:    uint64(s.lookups_missed),
		LogLinesLost:     uint64(s.log_lines_lost),
	}
}

// Version is the version of the C library that is linked in, "0.1.0".
func Version() string { return C.GoString(C.redirector_version()) }

// configToC translates a Config. What it points to lives until free is called, which the caller owes when err is nil.
func configToC(config Config) (c C.redirector_config, free func(), err error) {
	for _, text := range []string{config.WinDivertDir, config.LogPath} {
		if strings.IndexByte(text, 0) >= 0 {
			return c, nil, invalidArgument("the path %q contains a NUL character", text)
		}
	}
	if config.HoldTime < 0 || config.HoldTime > time.Second {
		return c, nil, invalidArgument("the hold time %v is not between 0 and 1 s", config.HoldTime)
	}
	const shortestLook, longestLook = 100 * time.Millisecond, 10 * time.Minute
	if config.LookInterval != 0 && (config.LookInterval < shortestLook || config.LookInterval > longestLook) {
		return c, nil, invalidArgument("the look interval %v is not between %v and %v", config.LookInterval,
			shortestLook, longestLook)
	}
	rules, freeRules, err := rulesToC(config.Rules)
	if err != nil {
		return c, nil, err
	}
	c.size = C.uint32_t(unsafe.Sizeof(c))
	c.client_pid = C.uint32_t(config.ClientPID)
	c.agent_pid = C.uint32_t(config.AgentPID)
	c.proxy_port = portToC(config.ProxyPort)
	c.incoming_port = portToC(config.IncomingPort)
	c.flags = flagsToC(config)
	// Rounded up: a fraction of a millisecond must not turn into 0, which means the default.
	c.hold_ms = C.uint32_t((config.HoldTime + time.Millisecond - 1) / time.Millisecond)
	c.look_ms = C.uint32_t(config.LookInterval / time.Millisecond)
	c.rules, c.rule_count = rules, C.uint32_t(len(config.Rules))
	c.log_level = C.uint32_t(config.LogLevel)
	if config.WinDivertDir != "" {
		c.windivert_dir = C.CString(config.WinDivertDir)
	}
	if config.NoLogFile || config.LogPath != "" {
		path := config.LogPath
		if config.NoLogFile {
			path = "" // to the library NULL is the default file, and "" is none
		}
		c.log_path = C.CString(path)
	}
	dir, path := unsafe.Pointer(c.windivert_dir), unsafe.Pointer(c.log_path)
	return c, func() { C.free(dir); C.free(path); freeRules() }, nil
}

func flagsToC(config Config) (flags C.uint32_t) {
	for _, f := range []struct {
		set bool
		bit C.uint32_t
	}{
		{config.LeaveFlows, C.REDIRECTOR_LEAVE_FLOWS},
		{config.Reflect, C.REDIRECTOR_REFLECT},
		{config.Refuse, C.REDIRECTOR_REFUSE},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	return flags
}

// rulesToC copies rules into C memory, because an array that holds pointers may not be Go's; NULL for none. It lives
// until free is called, which the caller owes when err is nil. The library judges lengths and numbers; what it could
// not see any more is found here.
func rulesToC(rules []Rule) (list *C.redirector_rule, free func(), err error) {
	for i, rule := range rules {
		if strings.IndexByte(rule.Pattern, 0) >= 0 {
			return nil, nil, invalidArgument("rule %d: the pattern %q contains a NUL character", i, rule.Pattern)
		}
		if rule.Pattern == "" && rule.PID == 0 {
			return nil, nil, invalidArgument("rule %d has neither a pattern nor a process id", i)
		}
	}
	if len(rules) == 0 {
		return nil, func() {}, nil
	}
	// Zeroed, because Go code is to store pointers in it.
	list = (*C.redirector_rule)(C.calloc(C.size_t(len(rules)), C.size_t(unsafe.Sizeof(*list))))
	native := unsafe.Slice(list, len(rules))
	for i, rule := range rules {
		native[i] = C.redirector_rule{pid: C.uint32_t(rule.PID)}
		if rule.Include {
			native[i].include = 1
		}
		if rule.Pattern != "" {
			native[i].pattern = C.CString(rule.Pattern)
		}
	}
	return list, func() {
		for i := range native {
			C.free(unsafe.Pointer(native[i].pattern))
		}
		C.free(unsafe.Pointer(list))
	}, nil
}

// portToC keeps a wrong port wrong: cutting it to 32 bits could make a valid one of it.
func portToC(port int) C.uint32_t {
	if port < 0 || port > 65535 {
		return 65536
	}
	return C.uint32_t(port)
}

// addressToC drops what a peer address may carry on top: the zone, and the IPv4-in-IPv6 form of dual-stack listeners.
func addressToC(peer netip.AddrPort) (c C.redirector_address) {
	ip := peer.Addr().Unmap()
	var bytes []byte
	switch {
	case ip.Is4():
		c.family = 4
		b := ip.As4()
		bytes = b[:]
	case ip.Is6():
		c.family = 6
		b := ip.As16()
		bytes = b[:]
	}
	c.port = C.uint32_t(peer.Port())
	for i, b := range bytes {
		c.bytes[i] = C.uint8_t(b)
	}
	return c
}

func addressFromC(c C.redirector_address) netip.AddrPort {
	var b [16]byte
	for i := range b {
		b[i] = byte(c.bytes[i])
	}
	ip := netip.AddrFrom16(b)
	if c.family == 4 {
		ip = netip.AddrFrom4([4]byte{b[0], b[1], b[2], b[3]})
	}
	return netip.AddrPortFrom(ip, uint16(c.port))
}

// libraryStatusName lets the test compare Status with the library; cgo cannot be used in test files.
func libraryStatusName(status uint32) string {
	return C.GoString(C.redirector_status_name(C.uint32_t(status)))
}
