// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build !cgo || windows_redirector_dll

// The library as a DLL, loaded at run time from the folder of the running program and from nowhere else: a program with
// administrator rights must not load a DLL that another user put into the current folder or on the PATH. Structures are
// passed by address; the calls that return one by value are not used.

package redirector

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"unsafe"
)

const dllName = "windows_redirector.dll"

// dll has the procedures of the library; they may be called once libraryLoad has succeeded.
var dll struct {
	once sync.Once
	err  error

	start, stop, getState, free, lookup, forget, setRules, listFlows, getStats, version, statusName *syscall.LazyProc
	nextConnection, decide, udpUnreachable, testRules, tellName                                     *syscall.LazyProc
}

func libraryLoad() error {
	dll.once.Do(func() { dll.err = loadDLL() })
	return dll.err
}

func loadDLL() error {
	program, err := os.Executable()
	if err != nil {
		return &Error{Status: ErrDLLNotFound, Text: "the folder of the running program is not known: " + err.Error()}
	}
	path := filepath.Join(filepath.Dir(program), dllName)
	lazy := syscall.NewLazyDLL(path)
	if err := lazy.Load(); err != nil {
		return &Error{Status: ErrDLLNotFound, OSError: osError(err),
			Text: fmt.Sprintf("%s cannot be loaded (%v); put it beside the program", path, errors.Unwrap(err))}
	}
	for name, proc := range map[string]**syscall.LazyProc{
		"redirector_start":           &dll.start,
		"redirector_stop":            &dll.stop,
		"redirector_get_state":       &dll.getState,
		"redirector_free":            &dll.free,
		"redirector_lookup":          &dll.lookup,
		"redirector_forget":          &dll.forget,
		"redirector_udp_unreachable": &dll.udpUnreachable,
		"redirector_next_connection": &dll.nextConnection,
		"redirector_decide":          &dll.decide,
		"redirector_set_rules":       &dll.setRules,
		"redirector_test_rules":      &dll.testRules,
		"redirector_tell_name":       &dll.tellName,
		"redirector_list_flows":      &dll.listFlows,
		"redirector_get_stats":       &dll.getStats,
		"redirector_version":         &dll.version,
		"redirector_status_name":     &dll.statusName,
	} {
		*proc = lazy.NewProc(name)
		if err := (*proc).Find(); err != nil {
			return &Error{Status: ErrDLLVersion, OSError: osError(err),
				Text: fmt.Sprintf("%s has no %s; use that of version %s", path, name, headerVersion)}
		}
	}
	return nil
}

// osError extracts the Windows error from the errors of package syscall.
func osError(err error) uint32 {
	var number syscall.Errno
	errors.As(err, &number)
	return uint32(number)
}

// allocated keeps Go memory that only the library's structures point to.
var allocated sync.Map

// libraryAllocate returns zeroed Go memory, which does not move, aligned for any type.
func libraryAllocate(size uintptr) unsafe.Pointer {
	block := unsafe.Pointer(&make([]uint64, (size+7)/8)[0])
	allocated.Store(block, nil)
	return block
}

func libraryRelease(block unsafe.Pointer) { allocated.Delete(block) }

var logCallback struct {
	once    sync.Once
	address uintptr
}

// libraryLogFunc creates one callback for all loggers: their number is limited in Go, and none is ever freed.
func libraryLogFunc() *[0]byte {
	logCallback.once.Do(func() {
		logCallback.address = syscall.NewCallback(func(context *byte, level uintptr, line *int8) uintptr {
			logLine(context, uint32(level), line) // of a uint32 the upper half of the register is not defined
			return 0
		})
	})
	return *(**[0]byte)(unsafe.Pointer(&logCallback.address))
}

func status(result, _ uintptr, _ error) Status { return Status(uint32(result)) }

func libraryStart(config *nativeConfig, handle *unsafe.Pointer, failure *nativeError) Status {
	return status(dll.start.Call(uintptr(unsafe.Pointer(config)), uintptr(unsafe.Pointer(handle)),
		uintptr(unsafe.Pointer(failure))))
}

func libraryStop(handle unsafe.Pointer) Status { return status(dll.stop.Call(uintptr(handle))) }

func libraryGetState(handle unsafe.Pointer, why *nativeError) {
	dll.getState.Call(uintptr(handle), uintptr(unsafe.Pointer(why)))
}

func libraryFree(handle unsafe.Pointer) { dll.free.Call(uintptr(handle)) }

// libraryLookup is called for each datagram: Call and SyscallN would allocate.
func libraryLookup(handle unsafe.Pointer, peer *nativeAddress, found *nativeDestination) Status {
	result, _, _ := syscall.Syscall(dll.lookup.Addr(), 3, uintptr(handle), uintptr(unsafe.Pointer(peer)),
		uintptr(unsafe.Pointer(found)))
	return Status(uint32(result))
}

func libraryForget(handle unsafe.Pointer, peer *nativeAddress) Status {
	return status(dll.forget.Call(uintptr(handle), uintptr(unsafe.Pointer(peer))))
}

func libraryUDPUnreachable(handle unsafe.Pointer, peer *nativeAddress) Status {
	return status(dll.udpUnreachable.Call(uintptr(handle), uintptr(unsafe.Pointer(peer))))
}

func libraryNextConnection(handle unsafe.Pointer, found *nativeConnection, timeoutMs uint32) Status {
	return status(dll.nextConnection.Call(uintptr(handle), uintptr(unsafe.Pointer(found)), uintptr(timeoutMs)))
}

func libraryDecide(handle unsafe.Pointer, id uint64, decision uint32) Status {
	return status(dll.decide.Call(uintptr(handle), uintptr(id), uintptr(decision)))
}

func librarySetRules(handle unsafe.Pointer, rules *nativeRule, count uint32, failure *nativeError) Status {
	return status(dll.setRules.Call(uintptr(handle), uintptr(unsafe.Pointer(rules)), uintptr(count),
		uintptr(unsafe.Pointer(failure))))
}

func libraryTestRules(rules *nativeRule, count uint32, connection *nativeRuleCase, verdict *nativeVerdict,
	failure *nativeError) Status {
	return status(dll.testRules.Call(uintptr(unsafe.Pointer(rules)), uintptr(count),
		uintptr(unsafe.Pointer(connection)), uintptr(unsafe.Pointer(verdict)), uintptr(unsafe.Pointer(failure))))
}

func libraryTellName(handle unsafe.Pointer, address *nativeAddress, name *int8) Status {
	return status(dll.tellName.Call(uintptr(handle), uintptr(unsafe.Pointer(address)), uintptr(unsafe.Pointer(name))))
}

func libraryListFlows(handle unsafe.Pointer, list *nativeFlow, capacity uint32, total *uint32) Status {
	return status(dll.listFlows.Call(uintptr(handle), uintptr(unsafe.Pointer(list)), uintptr(capacity),
		uintptr(unsafe.Pointer(total))))
}

func libraryGetStats(handle unsafe.Pointer, stats *nativeStats) {
	dll.getStats.Call(uintptr(handle), uintptr(unsafe.Pointer(stats)))
}

func libraryVersion() *int8 {
	text, _, _ := dll.version.Call()
	return *(**int8)(unsafe.Pointer(&text))
}

func libraryStatusName(number uint32) *int8 {
	text, _, _ := dll.statusName.Call(uintptr(number))
	return *(**int8)(unsafe.Pointer(&text))
}
