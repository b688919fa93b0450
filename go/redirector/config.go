// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"net/netip"
	"time"
)

// Config says what to redirect and how. ClientPID and one of the ports are needed; the zero value of every other
// field is a sensible default.
type Config struct {
	ClientPID    uint32 // root of the process tree: it and all its descendants, present and future, are redirected
	AgentPID     uint32 // process that runs the proxy and is never redirected; 0: the calling process
	ProxyPort    int    // port on which the agent accepts the tree's connections, on 127.0.0.1 and [::1]; 0: outgoing off
	IncomingPort int    // port on which the agent accepts connections to the tree's own listeners; 0: incoming off
	Rules        []Rule // refine the tree; SetRules replaces them while running

	Reflect    bool // steer by swapped addresses instead of over loopback: the proxy must listen on all addresses
	Refuse     bool // refuse connections while nothing listens on the proxy's port, instead of letting them pass
	LeaveFlows bool // on Stop, do not reset the redirected connections (they then hang or break)

	HoldTime     time.Duration // how long a first packet may wait for its owner to be known; 0: 50 ms; at most 1 s
	LookInterval time.Duration // how often connections whose ends have vanished are looked for; 0: 30 s; 100 ms to 10 min
	WinDivertDir string        // absolute path of the folder of WinDivert.dll; "": the folder of the running program

	LogLevel  LogLevel // how much is logged
	LogPath   string   // log file; "": environment WINDOWS_REDIRECTOR_LOG, else windows_redirector.log in the current folder
	NoLogFile bool     // no log file at all

	// LogFunc, if not nil, also receives each log line, without a line end. It is called by one thread of the
	// library, one line at a time, and never after Stop has returned. It must not call Stop.
	LogFunc func(level LogLevel, line string)
}

// Rule refines the process tree. A process starts out as what the tree says of it; each rule that matches it has its
// say, and the last one wins. Rules apply to new connections only.
type Rule struct {
	Include bool   // redirect the processes that match; false: leave them alone
	PID     uint32 // the process, if Pattern is ""; else 0

	// Pattern is 1 to 512 bytes of UTF-8. With a slash or backslash in it, it is matched against the full path of the
	// program, else against its file name. '*' stands for any characters, '?' for one; ASCII letters match in either
	// case, slashes in either direction. "": by PID.
	Pattern string
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

// Destination says where a redirected connection was going, and whose it is.
type Destination struct {
	Addr     netip.AddrPort // the original destination
	PID      uint32         // process that opened the connection (outgoing), or owns the listener (incoming)
	Incoming bool           // the connection came to a listener of the tree; false: the tree opened it
}

// Stats are counters since the start.
type Stats struct {
	FlowsLive        uint32 // redirected connections at this moment
	FlowsTotal       uint64 // connections redirected since the start
	FlowsRefused     uint64 // connections that passed because the table was full
	PacketsSeen      uint64 // packets that the driver handed over
	PacketsPassed    uint64 // sent on as they came
	PacketsRewritten uint64 // sent on with other addresses
	PacketsHeld      uint64 // first packets that waited for their owner
	PacketsDropped   uint64 // dropped by a stated rule
	PacketsMalformed uint64 // not understood, and therefore passed
	ProxyMissing     uint64 // connections that passed or were refused because nothing listened on the proxy's port
	HoldTimeouts     uint64 // held packets whose owner stayed unknown; they passed
	HoldRefused      uint64 // first packets that passed because too many were held already
	SendErrors       uint64 // packets that the driver refused to send
	ReceiveErrors    uint64 // receives that failed; the next ones were tried all the same
	EventsSeen       uint64 // socket events from the driver
	LookupsHit       uint64 // lookups that found a connection
	LookupsMissed    uint64 // lookups that found none
	LogLinesLost     uint64 // log lines dropped because the log could not keep up
}
