// SPDX-License-Identifier: LGPL-3.0-or-later

// Reports about connections, and counters.

package redirector

import (
	"net/netip"
	"strconv"
	"time"
)

// Destination is the original destination of a redirected connection, and its process.
type Destination struct {
	Addr     netip.AddrPort // the original destination; the zone of a link-local one is the interface's index
	PID      uint32         // process that opened the connection (outgoing), or owns the listener (incoming)
	Incoming bool           // the connection came to a listener of the tree; false: the tree opened it

	// ConnectionID is that of [Connection], by which a proxy finds again what it has decided about. It is 0 if nobody was
	// asked, and in a [Flow].
	ConnectionID uint64

	Upstream uint32 // of the rule that has redirected it; 0: none has, and in a [Flow]
}

// Protocol is TCP or UDP; the numbers are those of IP, and of the C library.
type Protocol uint32

// The protocols.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

// String gives the protocol in a word.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	}
	return "protocol " + strconv.FormatUint(uint64(p), 10)
}

// Flow is a redirected connection that exists now, or a UDP flow: what one socket sends to one destination, and the
// answers. Up is the direction from the end that opened it to the end that accepted it. Bytes are those of the stream, so
// that retransmissions count once, and with UDP those of the datagrams' contents; packets are all packets.
type Flow struct {
	Destination                // where it was going, and whose it is
	Protocol    Protocol       // of which Peer is a peer: a port of one is not a port of the other
	Client      netip.AddrPort // the end that opened it, as it sees itself
	Peer        netip.AddrPort // the peer that the proxy sees, as [Redirector.Destination] and [Redirector.Forget] take it
	State       FlowState
	Opened      time.Time     // by the clock as it is set now
	Age         time.Duration // how long ago that was; not affected by changes of the clock
	BytesUp     uint64
	BytesDown   uint64
	PacketsUp   uint64
	PacketsDown uint64
}

// FlowState is the state of a [Flow]; the numbers are those of the C library.
type FlowState uint32

// The states.
const (
	FlowOpening FlowState = 1 // it is not answered yet
	FlowOpen    FlowState = 2 // established, half-closed included
	FlowClosing FlowState = 3 // reset, or closed by both ends; its last packets are still translated
)

// String gives the state in a word.
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
	FlowsLive          uint32 // redirected connections that exist now
	FlowsTotal         uint64 // connections redirected since the start
	FlowTableFull      uint64 // connections that passed unredirected because the table was full
	PacketsSeen        uint64 // packets received from the driver
	PacketsPassed      uint64 // packets sent on unchanged
	PacketsRewritten   uint64 // packets sent on with other addresses
	PacketsHeld        uint64 // SYNs that were held until their owner was known
	PacketsDropped     uint64 // packets dropped on purpose
	PacketsMalformed   uint64 // packets that could not be parsed, and therefore passed
	ProxyNotListening  uint64 // connections that passed or were refused because nothing listened on the proxy's port
	HoldTimeouts       uint64 // held SYNs that passed because their owner was not known in time
	HoldOverflows      uint64 // SYNs that passed because too many were held already
	SendErrors         uint64 // packets that the driver refused to send
	ReceiveErrors      uint64 // receives that failed; receiving went on all the same
	EventsSeen         uint64 // socket events received from the driver
	LookupsHit         uint64 // lookups that found a connection
	LookupsMissed      uint64 // lookups that found none
	LogLinesDropped    uint64 // log lines dropped because the log could not keep up
	CaptureWaits       uint64 // SYNs that were held until the driver's filter captured their port
	FilterReplacements uint64 // times that the driver's filter was replaced by one for other ports
	LinkLocalPassed    uint64 // connections of the tree to link-local addresses that passed, because several interfaces have the same one
	SynsForwarded      uint64 // SYNs neither from nor to an address of this machine, which passed at once: it only forwards them
	WatchdogTrips      uint64 // times that the watchdog closed the driver's handles, because the engine made no progress
	CaptureTimeouts    uint64 // connections that passed, or were refused, because the filter did not capture them in time
	SelfConnections    uint64 // connections of a process to a listener of its own, which passed
	ProxyConnections   uint64 // connections that passed because their process listens on a proxy port or as an upstream
	DecisionWaits      uint64 // connections that waited for a Decide
	DecisionTimeouts   uint64 // of these, connections that were redirected because nobody decided in time
	DecisionOverflows  uint64 // connections that were redirected without asking, because too many waited already
	PriorityShared     uint64 // 1: no priorities of its own could be had in the driver; 0: it has its own
	LedByOthers        uint64 // connections that passed because another redirector leads them
	FirewallPermit     uint64 // 1: packets that are sent on have their permit in the Windows filtering platform now
	MembersForgotten   uint64 // processes of the tree that had ended and were forgotten, because there were too many
	MembersOutside     uint64 // processes of the tree that Windows did not let into the library's job
	TreeListeners      uint64 // sockets whose connections count as incoming, now
	Proofs             uint64 // connections of the library's own that were redirected, which no other counter has
	SteeringReplaced   uint64 // IP families in which connections are redirected the other way than configured
	HandleRenewals     uint64 // times that the driver's handle was opened anew because a proof had failed
	TableWaits         uint64 // SYNs that waited for the TCP table, to know their owner or who listens
	TableTimeouts      uint64 // of these, SYNs that it did not answer in time: what was known counted
	TableFailures      uint64 // times that Windows did not give the TCP table, or half of it
	AgentConnections   uint64 // connections within the machine that passed because the agent listens there
	LoopbackPassed     uint64 // connections within the machine that passed because of NoLoopback
	ListenerOverflows  uint64 // listening sockets that found no room in the list of them
	SegmentsCut        uint64 // pieces of answers that programs did not get whole
	LargeSegments      uint64 // 1: connections may have segments as large as loopback carries
	ProcessesUnknown   uint64 // connections whose process had ended before it could be asked for its parents

	// How long packets waited in the driver's queue: the oldest of the latest batch, the longest, the mean of all.
	QueueDelayLast time.Duration
	QueueDelayMax  time.Duration
	QueueDelayMean time.Duration

	// UDP; the counters above are TCP's.
	UDPFlowsLive         uint64 // UDP flows that exist now
	UDPFlowsTotal        uint64 // UDP flows since the start
	UDPTableFull         uint64 // datagrams that passed because there was no room for their flow
	UDPPacketsSeen       uint64 // packets received from the driver: datagrams, fragments, ICMP errors
	UDPPacketsPassed     uint64 // packets sent on unchanged
	UDPPacketsRewritten  uint64 // packets sent on with other addresses
	UDPPacketsHeld       uint64 // packets that were held until their owner was known
	UDPPacketsDropped    uint64 // packets dropped on purpose: with FailClosed and no proxy; of the proxy to a flow that has ended
	UDPPacketsMalformed  uint64 // packets that could not be parsed, and therefore passed
	UDPProxyNotListening uint64 // datagrams that passed or were dropped because nothing received on UDPPort
	UDPHoldTimeouts      uint64 // held packets that passed because their owner was not known in time
	UDPHoldOverflows     uint64 // packets that passed because too many were held already, or they were too large
	UDPFragmentsPassed   uint64 // fragments that passed because their first one had not been seen, or was not redirected
	UDPErrorsTranslated  uint64 // ICMP errors that programs were sent
	UDPUncaptured        uint64 // sockets whose first datagrams may have passed: the filter had left their port out

	// Rules.
	ConnectionsBlocked uint64 // SYNs that were refused by a rule
	UDPPacketsBlocked  uint64 // datagrams that were dropped by a rule
}
