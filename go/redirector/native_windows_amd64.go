// SPDX-License-Identifier: LGPL-3.0-or-later

// Translation between the types of the package and those of the library.

package redirector

import (
	"net"
	"net/netip"
	"strconv"
	"time"
	"unsafe"
)

const statusOK Status = 0

// memory is what structures point to while the library reads them. It comes from libraryAllocate, because Go memory
// that points to other Go memory must not be passed to C.
type memory struct{ blocks []unsafe.Pointer }

func (m *memory) allocate(size uintptr) unsafe.Pointer {
	block := libraryAllocate(size)
	m.blocks = append(m.blocks, block)
	return block
}

func (m *memory) free() {
	for _, block := range m.blocks {
		libraryRelease(block)
	}
	m.blocks = nil
}

// text copies a string and adds a NUL.
func (m *memory) text(s string) *int8 {
	block := m.allocate(uintptr(len(s)) + 1)
	copy(unsafe.Slice((*byte)(block), len(s)+1), s+"\x00")
	return (*int8)(block)
}

func goString(text *int8) string {
	length := 0
	for *(*int8)(unsafe.Add(unsafe.Pointer(text), length)) != 0 {
		length++
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(text)), length))
}

func errorFromNative(native *nativeError) error {
	return &Error{Status: Status(native.Code), OSError: native.Error, Text: goString(&native.Text[0])}
}

func configToNative(config Config, m *memory) nativeConfig {
	native := nativeConfig{
		Size:          uint32(unsafe.Sizeof(nativeConfig{})),
		Client_pid:    config.ClientPID,
		Agent_pid:     config.AgentPID,
		Proxy_port:    portToNative(config.ProxyPort),
		Incoming_port: portToNative(config.IncomingPort),
		Udp_port:      portToNative(config.UDPPort),
		Udp_idle_ms:   uint32(config.UDPIdle / time.Millisecond),
		Flags:         flagsToNative(config),
		// Rounded up: a fraction of a millisecond must not become 0, which means the default.
		Hold_timeout_ms:     uint32((config.HoldTimeout + time.Millisecond - 1) / time.Millisecond),
		Decision_timeout_ms: uint32((config.DecisionTimeout + time.Millisecond - 1) / time.Millisecond),
		Scan_interval_ms:    uint32(config.ScanInterval / time.Millisecond),
		Rules:               rulesToNative(config.Rules, m),
		Rule_count:          uint32(len(config.Rules)),
		Log_level:           uint32(config.LogLevel),
	}
	if count := len(config.Roots); count != 0 {
		roots := (*uint32)(m.allocate(uintptr(count) * unsafe.Sizeof(uint32(0))))
		copy(unsafe.Slice(roots, count), config.Roots)
		native.Roots, native.Root_count = roots, uint32(count)
	}
	if count := len(config.Upstreams); count != 0 {
		list := (*nativeAddress)(m.allocate(uintptr(count) * unsafe.Sizeof(nativeAddress{})))
		for i, upstream := range config.Upstreams {
			unsafe.Slice(list, count)[i] = addressToNative(upstream)
		}
		native.Upstreams, native.Upstream_count = list, uint32(count)
	}
	if count := len(config.ListenPorts); count != 0 {
		ports := (*uint32)(m.allocate(uintptr(count) * unsafe.Sizeof(uint32(0))))
		for i, port := range config.ListenPorts {
			unsafe.Slice(ports, count)[i] = portToNative(port)
		}
		native.Listen_ports, native.Listen_port_count = ports, uint32(count)
	}
	if config.WinDivertDir != "" {
		native.Windivert_dir = m.text(config.WinDivertDir)
	}
	if config.NoLogFile { // to the library NULL is the default file, and "" is none
		native.Log_path = m.text("")
	} else if config.LogPath != "" {
		native.Log_path = m.text(config.LogPath)
	}
	return native
}

func flagsToNative(config Config) (flags uint32) {
	for _, f := range []struct {
		set bool
		bit uint32
	}{
		{config.KeepFlowsOnStop, flagKeepFlowsOnStop},
		{config.Reflect, flagReflect},
		{config.FailClosed, flagFailClosed},
		{config.DescendantsOnly, flagDescendantsOnly},
		{config.UnloadDriver, flagUnloadDriver},
		{config.NoLoopback, flagNoLoopback},
		{config.CaptureAll, flagCaptureAll},
		{config.NoFirewallPermit, flagNoFirewallPermit},
		{config.NoProof, flagNoProof},
		{config.DebugPrivilege, flagDebugPrivilege},
		{config.SmallSegments, flagSmallSegments},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	return flags
}

// portToNative keeps an invalid port invalid: truncated to 32 bits it could become a valid one.
func portToNative(port int) uint32 {
	if port < 0 || port > 65535 {
		return 65536
	}
	return uint32(port)
}

// addressToNative removes the IPv4-in-IPv6 form of dual-stack listeners. A zone is the name of an interface, or its
// index, which is the scope identifier.
func addressToNative(peer netip.AddrPort) nativeAddress {
	native := nativeAddress{Port: uint32(peer.Port())}
	switch ip := peer.Addr().Unmap(); {
	case ip.Is4():
		native.Family = 4
		bytes := ip.As4()
		copy(native.Bytes[:], bytes[:])
	case ip.Is6():
		native.Family = 6
		native.Bytes = ip.As16()
		native.Scope = scopeOf(ip.Zone())
	}
	return native
}

// scopeOf gives 0, which the library does not compare, for a zone that is unknown.
func scopeOf(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(index)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}

// addressFromNative gives the zone as a number, which every call of package net understands.
func addressFromNative(native nativeAddress) netip.AddrPort {
	ip := netip.AddrFrom16(native.Bytes)
	if native.Scope != 0 {
		ip = ip.WithZone(strconv.FormatUint(uint64(native.Scope), 10))
	}
	if native.Family == 4 {
		ip, _ = netip.AddrFromSlice(native.Bytes[:4])
	}
	return netip.AddrPortFrom(ip, uint16(native.Port))
}

func flowsFromNative(list []nativeFlow) []Flow {
	flows := make([]Flow, len(list))
	for i, native := range list {
		flows[i] = Flow{
			Destination: Destination{
				Addr:     addressFromNative(native.Destination),
				PID:      native.Pid,
				Incoming: native.Kind == flowIncoming,
			},
			Protocol:    Protocol(native.Protocol),
			Client:      addressFromNative(native.Client),
			Peer:        addressFromNative(native.Peer),
			State:       FlowState(native.State),
			Opened:      time.UnixMilli(int64(native.Opened_ms)),
			Age:         time.Duration(native.Age_ms) * time.Millisecond,
			BytesUp:     native.Bytes_up,
			BytesDown:   native.Bytes_down,
			PacketsUp:   native.Packets_up,
			PacketsDown: native.Packets_down,
		}
	}
	return flows
}

func statsFromNative(s *nativeStats) Stats {
	return Stats{
		FlowsLive:            s.Flows_live,
		FlowsTotal:           s.Flows_total,
		FlowTableFull:        s.Flow_table_full,
		PacketsSeen:          s.Packets_seen,
		PacketsPassed:        s.Packets_passed,
		PacketsRewritten:     s.Packets_rewritten,
		PacketsHeld:          s.Packets_held,
		PacketsDropped:       s.Packets_dropped,
		PacketsMalformed:     s.Packets_malformed,
		ProxyNotListening:    s.Proxy_not_listening,
		HoldTimeouts:         s.Hold_timeouts,
		HoldOverflows:        s.Hold_overflows,
		SendErrors:           s.Send_errors,
		ReceiveErrors:        s.Receive_errors,
		EventsSeen:           s.Events_seen,
		LookupsHit:           s.Lookups_hit,
		LookupsMissed:        s.Lookups_missed,
		LogLinesDropped:      s.Log_lines_dropped,
		CaptureWaits:         s.Capture_waits,
		FilterReplacements:   s.Filter_replacements,
		WatchdogTrips:        s.Watchdog_trips,
		SynsForwarded:        s.Syns_forwarded,
		LinkLocalPassed:      s.Link_local_passed,
		CaptureTimeouts:      s.Capture_timeouts,
		SelfConnections:      s.Self_connections,
		ProxyConnections:     s.Proxy_connections,
		DecisionWaits:        s.Decision_waits,
		DecisionTimeouts:     s.Decision_timeouts,
		DecisionOverflows:    s.Decision_overflows,
		PriorityShared:       s.Priority_shared,
		LedByOthers:          s.Led_by_others,
		FirewallPermit:       s.Firewall_permit,
		MembersForgotten:     s.Members_forgotten,
		MembersOutside:       s.Members_outside,
		TreeListeners:        s.Tree_listeners,
		Proofs:               s.Proofs,
		SteeringReplaced:     s.Steering_replaced,
		HandleRenewals:       s.Handle_renewals,
		TableWaits:           s.Table_waits,
		TableTimeouts:        s.Table_timeouts,
		TableFailures:        s.Table_failures,
		AgentConnections:     s.Agent_connections,
		LoopbackPassed:       s.Loopback_passed,
		ListenerOverflows:    s.Listener_overflows,
		ProcessesUnknown:     s.Processes_unknown,
		SegmentsCut:          s.Segments_cut,
		LargeSegments:        s.Large_segments,
		UDPFlowsLive:         s.Udp_flows_live,
		UDPFlowsTotal:        s.Udp_flows_total,
		UDPTableFull:         s.Udp_table_full,
		UDPPacketsSeen:       s.Udp_packets_seen,
		UDPPacketsPassed:     s.Udp_packets_passed,
		UDPPacketsRewritten:  s.Udp_packets_rewritten,
		UDPPacketsHeld:       s.Udp_packets_held,
		UDPPacketsDropped:    s.Udp_packets_dropped,
		UDPPacketsMalformed:  s.Udp_packets_malformed,
		UDPProxyNotListening: s.Udp_proxy_not_listening,
		UDPHoldTimeouts:      s.Udp_hold_timeouts,
		UDPHoldOverflows:     s.Udp_hold_overflows,
		UDPFragmentsPassed:   s.Udp_fragments_passed,
		UDPErrorsTranslated:  s.Udp_errors_translated,
		UDPUncaptured:        s.Udp_uncaptured,
		ConnectionsBlocked:   s.Connections_blocked,
		UDPPacketsBlocked:    s.Udp_packets_blocked,
		QueueDelayLast:       time.Duration(s.Queue_delay_last_us) * time.Microsecond,
		QueueDelayMax:        time.Duration(s.Queue_delay_max_us) * time.Microsecond,
		QueueDelayMean:       time.Duration(s.Queue_delay_mean_us) * time.Microsecond,
	}
}
