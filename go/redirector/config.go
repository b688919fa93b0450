// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"net/netip"
	"strings"
	"time"
)

// Config says what to redirect and how. A root (ClientPID, or one in Roots) and one of the ports are needed; the zero
// value of every other field is a sensible default.
type Config struct {
	ClientPID    uint32   // root of the process tree: it and all its descendants, present and future, are redirected
	Roots        []uint32 // further roots, up to 4096; the proxy's own process may be one, to redirect what it starts
	AgentPID     uint32   // runs the proxy, is never redirected; 0: this process. So is who listens in its stead
	ProxyPort    int      // port of 127.0.0.1 and [::1] on which the agent accepts the tree's connections; 0: outgoing off
	IncomingPort int      // port on which the agent accepts connections to the tree's own listeners; 0: incoming off
	ListenPorts  []int    // local ports whose listeners count as the tree's whoever owns them (http.sys), up to 64
	Rules        []Rule   // refine the tree; SetRules replaces them while running

	// Upstreams are addresses of this machine to which the agent connects, such as those of a proxy that it goes on
	// through; up to 64. Connections of a process that listens there are not redirected, whatever process that is when
	// they are opened: else they would come back to the agent for ever. An unspecified address (0.0.0.0, ::) stands for
	// whatever address it listens on. No addresses of other machines: who listens on all addresses of this one would be
	// taken for it.
	Upstreams []netip.AddrPort

	DescendantsOnly  bool // leave the roots themselves alone, redirect their descendants
	Reflect          bool // redirect by swapped addresses instead of over loopback: the proxy must listen on all addresses
	FailClosed       bool // refuse connections while the proxy does not listen, or the filter is late, instead of letting them pass
	KeepFlowsOnStop  bool // on Stop, do not reset the redirected connections (they then hang or break)
	UnloadDriver     bool // on Stop, unload the driver if no program uses it, so that nothing holds WinDivert64.sys
	NoLoopback       bool // leave connections within this machine alone, in both directions
	CaptureAll       bool // have the driver hand over all TCP packets at all times: no connection waits for its filter
	DebugPrivilege   bool // open processes by the right of Administrators to open any: services, other users' programs
	NoFirewallPermit bool // put no permit for packets that are sent on into the Windows filtering platform
	SmallSegments    bool // connections keep the size of TCP segments that programs ask for
	NoProof          bool // make no connections of the library's own to prove that this machine can redirect

	// DecisionTimeout, if not 0, makes each outgoing connection wait for a [Redirector.Decide], for so long at most: up to
	// a minute, with its SYN held. Then it is redirected all the same. [Redirector.NextConnection] gives out what waits.
	DecisionTimeout time.Duration

	HoldTimeout  time.Duration // how long a SYN is held until its owner is known; 0: 50 ms; at most 1 s
	ScanInterval time.Duration // how often connections that no longer exist are searched for; 0: 30 s; 100 ms to 10 min
	WinDivertDir string        // absolute path of the folder of WinDivert.dll; "": the folder of the running program

	LogLevel  LogLevel // how much is logged
	LogPath   string   // log file; "": that of environment WINDOWS_REDIRECTOR_LOG, else windows_redirector.log here
	NoLogFile bool     // no log file at all

	// LogFunc, if not nil, also receives each log line, without a line end. It is called by one thread of the
	// library, one line at a time, and never after Stop has returned. It must not call Stop.
	LogFunc func(level LogLevel, line string)
}

const (
	longestHoldTimeout     = time.Second
	longestDecisionTimeout = time.Minute
	shortestScanInterval   = 100 * time.Millisecond
	longestScanInterval    = 10 * time.Minute
)

// check finds errors that the translation to C would hide. The library finds all others.
func (c *Config) check() error {
	for _, text := range []string{c.WinDivertDir, c.LogPath} {
		if strings.IndexByte(text, 0) >= 0 {
			return invalidArgument("the path %q contains a NUL character", text)
		}
	}
	if c.HoldTimeout < 0 || c.HoldTimeout > longestHoldTimeout {
		return invalidArgument("the hold timeout %v is not between 0 and %v", c.HoldTimeout, longestHoldTimeout)
	}
	if c.DecisionTimeout < 0 || c.DecisionTimeout > longestDecisionTimeout {
		return invalidArgument("the decision timeout %v is not between 0 and %v", c.DecisionTimeout,
			longestDecisionTimeout)
	}
	if c.ScanInterval != 0 && (c.ScanInterval < shortestScanInterval || c.ScanInterval > longestScanInterval) {
		return invalidArgument("the scan interval %v is not between %v and %v", c.ScanInterval, shortestScanInterval,
			longestScanInterval)
	}
	return checkRules(c.Rules)
}

// Rule refines the process tree. Rules are applied in order to what the tree says of a process, and the last one that
// matches decides. Rules apply to new connections only. All that a rule names must match.
type Rule struct {
	Include bool   // redirect the processes that match; false: leave them alone
	PID     uint32 // the process, if Pattern is ""; else 0

	// Pattern is 1 to 512 bytes of UTF-8. With a slash or backslash in it, it is matched against the full path of the
	// program, else against its file name. '*' stands for any characters, '?' for one; ASCII letters match in either
	// case, slashes in either direction. "": by PID.
	Pattern string

	// Listener, if it is not "", narrows the rule to outgoing connections that reach a listening socket of this machine
	// whose program matches this pattern, which is one as above. Then Pattern may be "" and PID 0: those of any process.
	Listener string
}

func checkRules(rules []Rule) error {
	for i, rule := range rules {
		for _, pattern := range []string{rule.Pattern, rule.Listener} {
			if strings.IndexByte(pattern, 0) >= 0 {
				return invalidArgument("rule %d: the pattern %q contains a NUL character", i, pattern)
			}
		}
		if rule.Pattern == "" && rule.PID == 0 && rule.Listener == "" {
			return invalidArgument("rule %d has neither a pattern nor a process id, nor a listener", i)
		}
	}
	return nil
}

// LogLevel is the amount of detail in the log; the numbers are those of the C library.
type LogLevel uint32

// The levels; each includes those before it.
const (
	LogDefault LogLevel = 0 // environment WINDOWS_REDIRECTOR_LOG_LEVEL (off, error, warn, info, debug), else LogInfo
	LogOff     LogLevel = 1
	LogError   LogLevel = 2
	LogWarn    LogLevel = 3
	LogInfo    LogLevel = 4 // one line per connection
	LogDebug   LogLevel = 5
)
