// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build ignore

// The input of cgo -godefs: ztypes_windows_amd64.go is made of it and of the public header by ../generate.sh.

package redirector

// #include "windows_redirector.h"
import "C"

type (
	nativeAddress     C.redirector_address
	nativeConfig      C.redirector_config
	nativeDestination C.redirector_destination
	nativeError       C.redirector_error
	nativeFlow        C.redirector_flow
	nativeRule        C.redirector_rule
	nativeStats       C.redirector_stats
)

const (
	headerVersion = C.REDIRECTOR_VERSION_STRING

	flagLeaveFlows      = C.REDIRECTOR_LEAVE_FLOWS
	flagReflect         = C.REDIRECTOR_REFLECT
	flagRefuse          = C.REDIRECTOR_REFUSE
	flagDescendantsOnly = C.REDIRECTOR_DESCENDANTS_ONLY
	flagUnloadDriver    = C.REDIRECTOR_UNLOAD_DRIVER

	flowIncoming = C.REDIRECTOR_FLOW_INCOMING
)
