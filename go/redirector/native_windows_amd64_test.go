// SPDX-License-Identifier: LGPL-3.0-or-later

// Translation between the types of the package and those of the library.

package redirector

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"
	"unsafe"
)

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
		{"[fe80::1%7]:5", "[fe80::1%7]:5", 6, []byte{0: 0xfe, 1: 0x80, 15: 1}},
		{"[fe80::1]:5", "[fe80::1]:5", 6, []byte{0: 0xfe, 1: 0x80, 15: 1}},
		{"[fe80::1%no such interface]:5", "[fe80::1]:5", 6, []byte{0: 0xfe, 1: 0x80, 15: 1}},
	}
	for _, c := range cases {
		native := addressToNative(netip.MustParseAddrPort(c.peer))
		if native.Family != c.family {
			t.Errorf("%s: family %d", c.peer, native.Family)
		}
		for i, want := range c.bytes {
			if native.Bytes[i] != want {
				t.Errorf("%s: byte %d is %d, want %d", c.peer, i, native.Bytes[i], want)
			}
		}
		if got := addressFromNative(native).String(); got != c.back {
			t.Errorf("%s came back as %s", c.peer, got)
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) == 0 {
		t.Fatalf("no interfaces: %v", err)
	}
	for _, i := range interfaces { // Go's own addresses have the interface's name as their zone
		if scope := addressToNative(netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(i.Name), 5)).Scope; scope != uint32(i.Index) {
			t.Errorf("zone %q became scope %d, want %d", i.Name, scope, i.Index)
		}
	}
	if native := addressToNative(netip.AddrPort{}); native.Family != 0 {
		t.Errorf("no address became family %d", native.Family)
	}
}

func TestConfigTranslation(t *testing.T) {
	var m memory
	defer m.free()
	c := configToNative(Config{
		ClientPID: 1, AgentPID: 2, ProxyPort: 3, IncomingPort: 4, HoldTimeout: 5*time.Millisecond + 1,
		ScanInterval: 250 * time.Millisecond, LogLevel: LogDebug, DecisionTimeout: 6*time.Millisecond + 1,
	}, &m)
	want := nativeConfig{Size: c.Size, Client_pid: 1, Agent_pid: 2, Proxy_port: 3, Incoming_port: 4, Hold_timeout_ms: 6,
		Scan_interval_ms: 250, Log_level: 5, Decision_timeout_ms: 7}
	if c != want || c.Size == 0 {
		t.Errorf("translated to %+v", c)
	}
	if c = configToNative(Config{NoLogFile: true, LogPath: "ignored", WinDivertDir: "dé"}, &m); c.Log_path == nil ||
		goString(c.Log_path) != "" || goString(c.Windivert_dir) != "dé" || c.Scan_interval_ms != 0 {
		t.Errorf("translated to %+v", c)
	}
	if c = configToNative(Config{LogPath: "a.log"}, &m); goString(c.Log_path) != "a.log" {
		t.Errorf("translated to %+v", c)
	}
	roots := []uint32{8, 9, 1 << 31}
	c = configToNative(Config{Roots: roots}, &m)
	if got := unsafe.Slice(c.Roots, c.Root_count); fmt.Sprint(got) != fmt.Sprint(roots) {
		t.Errorf("roots became %v", got)
	}
	upstreams := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1080"), netip.MustParseAddrPort("[fd77::1]:65535")}
	c = configToNative(Config{Upstreams: upstreams}, &m)
	for i, native := range unsafe.Slice(c.Upstreams, c.Upstream_count) {
		if got := addressFromNative(native); got != upstreams[i] {
			t.Errorf("upstream %v became %v", upstreams[i], got)
		}
	}
	c = configToNative(Config{ListenPorts: []int{80, 65535, -1}}, &m)
	if got := unsafe.Slice(c.Listen_ports, c.Listen_port_count); got[0] != 80 || got[1] != 65535 || got[2] <= 65535 {
		t.Errorf("listening ports became %v", got)
	}
}

func TestFlagTranslation(t *testing.T) {
	for want, config := range map[uint32]Config{
		0:    {},
		1:    {KeepFlowsOnStop: true},
		2:    {Reflect: true},
		4:    {FailClosed: true},
		8:    {DescendantsOnly: true},
		16:   {UnloadDriver: true},
		32:   {NoLoopback: true},
		64:   {CaptureAll: true},
		128:  {NoFirewallPermit: true},
		256:  {NoProof: true},
		512:  {DebugPrivilege: true},
		1024: {SmallSegments: true},
		511: {KeepFlowsOnStop: true, Reflect: true, FailClosed: true, DescendantsOnly: true, UnloadDriver: true,
			NoLoopback: true, CaptureAll: true, NoFirewallPermit: true, NoProof: true},
	} {
		if got := flagsToNative(config); got != want {
			t.Errorf("%+v gave flags %d, want %d", config, got, want)
		}
	}
}

func TestRuleTranslation(t *testing.T) {
	text := func(s *int8) string {
		if s == nil {
			return ""
		}
		return goString(s)
	}
	rules := []Rule{{Action: ActionRedirect, PID: 8}, {Pattern: "é*.exe"}, {Action: ActionBlock, Host: "*.test", FirstPort: 443},
		{Listener: "g*.exe", Protocol: UDP, Direction: Incoming, FirstPort: 1, LastPort: 65535, Upstream: 1 << 31},
		{Network: netip.MustParsePrefix("10.0.0.0/8")}, {Network: netip.MustParsePrefix("2001:db8::/32")},
		{Network: netip.MustParsePrefix("::ffff:10.0.0.0/104")}, {Network: netip.MustParsePrefix("::/0")}}
	var m memory
	defer m.free()
	natives := unsafe.Slice(rulesToNative(rules, &m), len(rules))
	for i, native := range natives {
		got := Rule{Action: Action(native.Action), PID: native.Pid, Pattern: text(native.Pattern), Listener: text(native.Listener),
			Host: text(native.Host), Protocol: Protocol(native.Protocol), Direction: Direction(native.Direction),
			FirstPort: int(native.First_port), LastPort: int(native.Last_port), Upstream: native.Upstream}
		want := rules[i]
		if want.Network = (netip.Prefix{}); want.LastPort == 0 {
			want.LastPort = want.FirstPort
		}
		if got != want || native.Size == 0 || (native.Pattern == nil) != (want.Pattern == "") {
			t.Errorf("rule %d became %+v, want %+v", i, got, want)
		}
	}
	for i, want := range []string{"0 0 00", "0 0 00", "0 0 00", "0 0 00", "4 8 0a", "6 32 20", "4 8 0a", "6 0 00"} {
		if got := fmt.Sprintf("%d %d %02x", natives[i].Family, natives[i].Prefix_length, natives[i].Network[0]); got != want {
			t.Errorf("the network of rule %d became %s, want %s", i, got, want)
		}
	}
	if list := rulesToNative([]Rule{}, &m); list != nil {
		t.Errorf("no rules became %v", list)
	}
}

func TestFlowTranslation(t *testing.T) {
	opened := time.UnixMilli(1_700_000_000_123)
	native := nativeFlow{
		Pid: 7, Kind: 1, State: 2, Protocol: 17,
		Client:      addressToNative(netip.MustParseAddrPort("10.0.0.2:1")),
		Destination: addressToNative(netip.MustParseAddrPort("[2001:db8::1]:2")),
		Peer:        addressToNative(netip.MustParseAddrPort("127.0.0.1:3")),
		Bytes_up:    4, Bytes_down: 5, Packets_up: 6, Packets_down: 7, Opened_ms: uint64(opened.UnixMilli()), Age_ms: 1500,
	}
	want := Flow{
		Destination: Destination{Addr: netip.MustParseAddrPort("[2001:db8::1]:2"), PID: 7, Incoming: true},
		Client:      netip.MustParseAddrPort("10.0.0.2:1"),
		Peer:        netip.MustParseAddrPort("127.0.0.1:3"),
		Protocol:    UDP,
		State:       FlowOpen, BytesUp: 4, BytesDown: 5, PacketsUp: 6, PacketsDown: 7,
		Opened: opened, Age: 1500 * time.Millisecond,
	}
	if got := flowsFromNative([]nativeFlow{native, {}}); len(got) != 2 || got[0] != want || got[1].Incoming {
		t.Errorf("translated to %+v", got)
	}
}

// Nothing of a structure is forgotten: where every field of one side is set, every field of the other one is, and each
// has its own value.
func TestNothingIsForgotten(t *testing.T) {
	var stats nativeStats
	values := reflect.ValueOf(&stats).Elem()
	for i := 0; i < values.NumField(); i++ {
		values.Field(i).SetUint(uint64(i + 1))
	}
	seen := map[int64]string{}
	translated := reflect.ValueOf(statsFromNative(&stats))
	for i := 0; i < translated.NumField(); i++ {
		name, field := translated.Type().Field(i).Name, translated.Field(i)
		value := int64(0)
		if field.CanInt() {
			value = field.Int()
		} else {
			value = int64(field.Uint())
		}
		if other := seen[value]; value == 0 || other != "" {
			t.Errorf("Stats.%s is %d, as is %q", name, value, other)
		}
		seen[value] = name
	}
	if got, want := translated.NumField(), values.NumField()-1; got != want { // all but the size
		t.Errorf("%d counters of %d", got, want)
	}

	var m memory
	defer m.free()
	rule := reflect.ValueOf(*rulesToNative([]Rule{{Action: ActionBlock, PID: 1, Pattern: "a", Listener: "a", Host: "a", Protocol: TCP,
		Direction: Outgoing, Network: netip.MustParsePrefix("10.0.0.0/8"), FirstPort: 1, Upstream: 1}}, &m))
	for i := 0; i < rule.NumField(); i++ {
		if rule.Field(i).IsZero() {
			t.Errorf("rulesToNative does not set %s", rule.Type().Field(i).Name)
		}
	}
	config := reflect.ValueOf(configToNative(Config{
		ClientPID: 1, Roots: []uint32{1}, AgentPID: 1, ProxyPort: 1, IncomingPort: 1, Rules: []Rule{{PID: 1}}, FailClosed: true,
		HoldTimeout: 1, ScanInterval: shortestScanInterval, WinDivertDir: "d", LogLevel: LogError, LogPath: "l",
		DecisionTimeout: 1, Upstreams: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, ListenPorts: []int{1},
		UDPPort: 1, UDPIdle: shortestUDPIdle,
	}, &m))
	for i := 0; i < config.NumField(); i++ {
		switch name := config.Type().Field(i).Name; name {
		case "Log_fn", "Log_context": // startEngine sets them
		default:
			if config.Field(i).IsZero() {
				t.Errorf("configToNative does not set %s", name)
			}
		}
	}
}
