// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build cgo && !windows_redirector_dll

// A separate file, because the C comment of a file with an exported function may contain declarations only.

package redirector

// #include <stdint.h>
import "C"

import "unsafe"

//export redirectorGoLog
func redirectorGoLog(context unsafe.Pointer, level C.uint32_t, line *C.char) {
	logLine((*byte)(context), uint32(level), (*int8)(unsafe.Pointer(line)))
}
