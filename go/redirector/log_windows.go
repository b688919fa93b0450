// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && cgo

// The way of a log line from the library's thread to Config.LogFunc. A file of its own, because the C comment of a file
// with an exported function may hold declarations only.

package redirector

// #include <stdint.h>
import "C"

import "runtime/cgo"

//export redirectorGoLog
func redirectorGoLog(context C.uintptr_t, level C.uint32_t, line *C.char) {
	write := cgo.Handle(context).Value().(func(LogLevel, string))
	write(LogLevel(level), C.GoString(line))
}
