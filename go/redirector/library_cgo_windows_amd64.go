// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build cgo && !windows_redirector_dll

// The library as a part of the program, compiled from its C sources (package library) and called by cgo.

package redirector

/*
#cgo CFLAGS: -I${SRCDIR}/../../include
#include <stdlib.h>
#include "windows_redirector.h"

void redirectorGoLog(void *context, uint32_t level, char *line); // library_cgo_log_windows_amd64.go

static inline void log_to_go(void *context, uint32_t level, const char *line) {
    redirectorGoLog(context, level, (char *)line);
}

static inline redirector_log_fn *log_function(void) { return log_to_go; }
*/
import "C"

import (
	"unsafe"

	_ "github.com/windows-redirector/windows-redirector/go/internal/library" // the C code
)

func libraryLoad() error { return nil }

// libraryAllocate returns zeroed C memory, because Go code stores pointers in it. It never returns nil: when memory is
// exhausted, cgo ends the program.
func libraryAllocate(size uintptr) unsafe.Pointer {
	block := C.malloc(C.size_t(size))
	copy(unsafe.Slice((*byte)(block), size), make([]byte, size))
	return block
}

func libraryRelease(block unsafe.Pointer) { C.free(block) }

func libraryLogFunc() *[0]byte { return (*[0]byte)(C.log_function()) }

func libraryStart(config *nativeConfig, handle *unsafe.Pointer, failure *nativeError) Status {
	return Status(C.redirector_start((*C.redirector_config)(unsafe.Pointer(config)),
		(**C.redirector)(unsafe.Pointer(handle)), (*C.redirector_error)(unsafe.Pointer(failure))))
}

func libraryStop(handle unsafe.Pointer) Status {
	return Status(C.redirector_stop((*C.redirector)(handle)))
}

func libraryGetState(handle unsafe.Pointer, why *nativeError) {
	C.redirector_get_state((*C.redirector)(handle), (*C.redirector_error)(unsafe.Pointer(why)))
}

func libraryFree(handle unsafe.Pointer) { C.redirector_free((*C.redirector)(handle)) }

func libraryLookup(handle unsafe.Pointer, peer *nativeAddress, found *nativeDestination) Status {
	return Status(C.redirector_lookup((*C.redirector)(handle), (*C.redirector_address)(unsafe.Pointer(peer)),
		(*C.redirector_destination)(unsafe.Pointer(found))))
}

func libraryForget(handle unsafe.Pointer, peer *nativeAddress) Status {
	return Status(C.redirector_forget((*C.redirector)(handle), (*C.redirector_address)(unsafe.Pointer(peer))))
}

func libraryUDPUnreachable(handle unsafe.Pointer, peer *nativeAddress) Status {
	return Status(C.redirector_udp_unreachable((*C.redirector)(handle), (*C.redirector_address)(unsafe.Pointer(peer))))
}

func libraryNextConnection(handle unsafe.Pointer, found *nativeConnection, timeoutMs uint32) Status {
	return Status(C.redirector_next_connection((*C.redirector)(handle),
		(*C.redirector_connection)(unsafe.Pointer(found)), C.uint32_t(timeoutMs)))
}

func libraryDecide(handle unsafe.Pointer, id uint64, decision uint32) Status {
	return Status(C.redirector_decide((*C.redirector)(handle), C.uint64_t(id), C.uint32_t(decision)))
}

func librarySetRules(handle unsafe.Pointer, rules *nativeRule, count uint32, failure *nativeError) Status {
	return Status(C.redirector_set_rules((*C.redirector)(handle), (*C.redirector_rule)(unsafe.Pointer(rules)),
		C.uint32_t(count), (*C.redirector_error)(unsafe.Pointer(failure))))
}

func libraryTestRules(rules *nativeRule, count uint32, connection *nativeRuleCase, verdict *nativeVerdict,
	failure *nativeError) Status {
	return Status(C.redirector_test_rules((*C.redirector_rule)(unsafe.Pointer(rules)), C.uint32_t(count),
		(*C.redirector_rule_case)(unsafe.Pointer(connection)), (*C.redirector_rule_verdict)(unsafe.Pointer(verdict)),
		(*C.redirector_error)(unsafe.Pointer(failure))))
}

func libraryTellName(handle unsafe.Pointer, address *nativeAddress, name *int8) Status {
	return Status(C.redirector_tell_name((*C.redirector)(handle), (*C.redirector_address)(unsafe.Pointer(address)),
		(*C.char)(unsafe.Pointer(name))))
}

func libraryListFlows(handle unsafe.Pointer, list *nativeFlow, capacity uint32, total *uint32) Status {
	return Status(C.redirector_list_flows((*C.redirector)(handle), (*C.redirector_flow)(unsafe.Pointer(list)),
		C.uint32_t(capacity), (*C.uint32_t)(unsafe.Pointer(total))))
}

func libraryGetStats(handle unsafe.Pointer, stats *nativeStats) {
	C.redirector_get_stats((*C.redirector)(handle), (*C.redirector_stats)(unsafe.Pointer(stats)))
}

func libraryVersion() *int8 { return (*int8)(unsafe.Pointer(C.redirector_version())) }

func libraryStatusName(status uint32) *int8 {
	return (*int8)(unsafe.Pointer(C.redirector_status_name(C.uint32_t(status))))
}
