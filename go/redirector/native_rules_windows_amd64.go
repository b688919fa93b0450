// SPDX-License-Identifier: LGPL-3.0-or-later

// Rules, as the library takes them.

package redirector

import (
	"net/netip"
	"runtime"
	"unsafe"
)

// rulesToNative copies rules; nil for none.
func rulesToNative(rules []Rule, m *memory) *nativeRule {
	if len(rules) == 0 {
		return nil
	}
	list := (*nativeRule)(m.allocate(uintptr(len(rules)) * unsafe.Sizeof(nativeRule{})))
	for i, native := 0, unsafe.Slice(list, len(rules)); i < len(rules); i++ {
		native[i] = ruleToNative(&rules[i], m)
	}
	return list
}

func ruleToNative(rule *Rule, m *memory) nativeRule {
	native := nativeRule{
		Size:       uint32(unsafe.Sizeof(nativeRule{})),
		Action:     uint32(rule.Action),
		Pid:        rule.PID,
		Direction:  uint32(rule.Direction),
		Pattern:    m.textOrNil(rule.Pattern),
		Listener:   m.textOrNil(rule.Listener),
		Host:       m.textOrNil(rule.Host),
		Protocol:   uint32(rule.Protocol),
		First_port: portToNative(rule.FirstPort),
		Last_port:  portToNative(rule.LastPort),
		Upstream:   rule.Upstream,
	}
	if rule.LastPort == 0 {
		native.Last_port = native.First_port
	}
	if rule.Network.IsValid() {
		network := addressToNative(netip.AddrPortFrom(rule.Network.Addr(), 0))
		native.Family, native.Network = network.Family, network.Bytes
		native.Prefix_length = uint32(rule.Network.Bits())
		if rule.Network.Addr().Is4In6() {
			native.Prefix_length -= 96
		}
	}
	return native
}

// textOrNil is text, but nil for "".
func (m *memory) textOrNil(s string) *int8 {
	if s == "" {
		return nil
	}
	return m.text(s)
}

func testRules(rules []Rule, connection RuleCase) (Verdict, error) {
	if err := libraryLoad(); err != nil {
		return Verdict{}, err
	}
	var m memory
	defer m.free()
	native := nativeRuleCase{
		Size:      uint32(unsafe.Sizeof(nativeRuleCase{})),
		Tree:      1,
		Pid:       connection.PID,
		Protocol:  uint32(connection.Protocol),
		Direction: uint32(connection.Direction),
		Address:   addressToNative(connection.Addr),
		Program:   m.textOrNil(connection.Program),
		Listener:  m.textOrNil(connection.Listener),
		Host:      m.textOrNil(connection.Host),
	}
	if connection.OutsideTree {
		native.Tree = 0
	}
	verdict := nativeVerdict{Size: uint32(unsafe.Sizeof(nativeVerdict{}))}
	failure := nativeError{Size: uint32(unsafe.Sizeof(nativeError{}))}
	status := libraryTestRules(rulesToNative(rules, &m), uint32(len(rules)), &native, &verdict, &failure)
	if status != statusOK {
		return Verdict{}, errorFromNative(&failure)
	}
	result := Verdict{Action: Action(verdict.Action), Rule: int(verdict.Rule), Upstream: verdict.Upstream}
	if verdict.Rule == noRule {
		result.Rule = -1
	}
	return result, nil
}

func (e *nativeEngine) setRules(rules []Rule) error {
	var m memory
	defer m.free()
	failure := nativeError{Size: uint32(unsafe.Sizeof(nativeError{}))}
	status := librarySetRules(e.handle, rulesToNative(rules, &m), uint32(len(rules)), &failure)
	runtime.KeepAlive(e)
	if status != statusOK {
		return errorFromNative(&failure)
	}
	return nil
}

func (e *nativeEngine) tellName(address netip.Addr, name string) error {
	var m memory
	defer m.free()
	native := addressToNative(netip.AddrPortFrom(address, 0))
	status := libraryTellName(e.handle, &native, m.text(name))
	runtime.KeepAlive(e)
	return failed("tell name", status)
}
