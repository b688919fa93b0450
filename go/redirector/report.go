// SPDX-License-Identifier: LGPL-3.0-or-later

// What a redirector tells about connections and about itself.

package redirector

import (
	"net/netip"
	"strconv"
	"time"
)

// Destination says where a redirected connection was going, and whose it is.
type Destination struct {
	Addr     netip.AddrPort // the original destination
	PID      uint32         // process that opened the connection (outgoing), or owns the listener (incoming)
	Incoming bool           // the connection came to a listener of the tree; false: the tree opened it
}

// Flow is a redirected connection that lives. Up is the way from the end that opened it to the end that accepted it.
// Bytes are those of the stream, what is sent again counting once; packets are all packets.
type Flow struct {
	Destination                // where it was going, and whose it is
	Client      netip.AddrPort // the end that opened it, as it sees itself
	Peer        netip.AddrPort // the peer that the proxy sees, as [Redirector.Destination] and [Redirector.Delete] take it
	State       FlowState
	Opened      time.Time     // by the clock as it is set now
	Age         time.Duration // how long ago that was; not affected by changes of the clock
	BytesUp     uint64
	BytesDown   uint64
	PacketsUp   uint64
	PacketsDown uint64
}

// FlowState is the phase of life that a [Flow] is in; the numbers are those of the C library.
type FlowState uint32

// The phases.
const (
	FlowOpening FlowState = 1 // its first packet is not answered yet
	FlowOpen    FlowState = 2 // established, half-closed included
	FlowClosing FlowState = 3 // reset, or closed by both ends; its last packets are still translated
)

// String gives the phase in a word.
func (s FlowState) String() string {
	switch s {
	case FlowOpening:
		return "opening"
	case FlowOpen:
		return "open"
	case FlowClosing:
		return "closing"
	}
	return "state " + strconv.FormatUint(uint64(s), 10)
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
	CoverWaits       uint64 // first packets that waited until the driver's filter covered their port
	FilterSwaps      uint64 // how often the driver's filter was replaced by one for other ports
	WatchdogTrips    uint64 // how often the watchdog closed the driver's handles, because the engine made no progress

	// How long packets waited in the driver's queue: the oldest of the latest batch, the longest, the mean of all.
	QueueDelayLast time.Duration
	QueueDelayMax  time.Duration
	QueueDelayMean time.Duration
}
