// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build ignore

// The input of cgo -godefs: ../generate.sh makes ztypes_windows_amd64.go from it and from the public header.

package redirector

// #include "windows_redirector.h"
import "C"

type (
	nativeAddress     C.redirector_address
	nativeConfig      C.redirector_config
	nativeConnection  C.redirector_connection
	nativeDestination C.redirector_destination
	nativeError       C.redirector_error
	nativeFlow        C.redirector_flow
	nativeRule        C.redirector_rule
	nativeRuleCase    C.redirector_rule_case
	nativeVerdict     C.redirector_rule_verdict
	nativeStats       C.redirector_stats
)

const (
	headerVersion = C.REDIRECTOR_VERSION_STRING

	flagKeepFlowsOnStop  = C.REDIRECTOR_KEEP_FLOWS_ON_STOP
	flagReflect          = C.REDIRECTOR_REFLECT
	flagFailClosed       = C.REDIRECTOR_FAIL_CLOSED
	flagDescendantsOnly  = C.REDIRECTOR_DESCENDANTS_ONLY
	flagUnloadDriver     = C.REDIRECTOR_UNLOAD_DRIVER
	flagNoLoopback       = C.REDIRECTOR_NO_LOOPBACK
	flagCaptureAll       = C.REDIRECTOR_CAPTURE_ALL
	flagNoFirewallPermit = C.REDIRECTOR_NO_FIREWALL_PERMIT
	flagNoProof          = C.REDIRECTOR_NO_PROOF
	flagSmallSegments    = C.REDIRECTOR_SMALL_SEGMENTS
	flagDebugPrivilege   = C.REDIRECTOR_DEBUG_PRIVILEGE

	flowIncoming = C.REDIRECTOR_FLOW_INCOMING
	noRule       = C.REDIRECTOR_NO_RULE
)
