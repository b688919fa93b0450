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
	UDPPort      int      // port of 127.0.0.1 and [::1] on which the agent receives the tree's datagrams; 0: UDP off
	ListenPorts  []int    // local ports whose listeners count as the tree's whoever owns them (http.sys), up to 64
	Rules        []Rule   // say more about connections than the tree does; SetRules replaces them while running

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
	UDPIdle      time.Duration // a UDP flow ends when nothing has come of it for so long; 0: 1 min; 1 s to 1 h
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
	shortestUDPIdle        = time.Second
	longestUDPIdle         = time.Hour
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
	if c.UDPIdle != 0 && (c.UDPIdle < shortestUDPIdle || c.UDPIdle > longestUDPIdle) {
		return invalidArgument("the idle time of UDP %v is not between %v and %v", c.UDPIdle, shortestUDPIdle, longestUDPIdle)
	}
	return checkRules(c.Rules)
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
