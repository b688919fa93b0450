// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build cgo && !windows_redirector_dll

// Package library is the C library itself: importing it compiles the library's sources into the program.
//
// A Go package compiles only the C files of its own folder. Those here, made by go/generate.sh, have nothing but
// includes of the sources in src/, in few compilations: for each one the compiler reads Windows' headers anew, and that
// is nine tenths of its work. It is a package of its own so that the C code is compiled once, and not again for each
// set of the Go package's tests.
package library

// The system libraries are those of cmake/windows.cmake, the definitions those of cmake/flags.cmake. How much is
// optimised is the user's to say, as with all cgo packages: CGO_CFLAGS, which is -g -O2.

/*
#cgo CFLAGS: -std=c11 -fstack-protector-strong -DNDEBUG
#cgo CFLAGS: -D_WIN32_WINNT=0x0A00 -DWINVER=0x0A00 -DUNICODE -D_UNICODE
#cgo CFLAGS: -I${SRCDIR}/../../../include -I${SRCDIR}/../../../src
#cgo LDFLAGS: -lws2_32 -luserenv -lntdll -ladvapi32 -lole32 -loleaut32
*/
import "C"
