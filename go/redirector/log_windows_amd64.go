// SPDX-License-Identifier: LGPL-3.0-or-later

// How a log line gets from the library's thread to Config.LogFunc: C cannot call a Go function by its pointer, so the
// context that the library passes back is the address of a byte of its own memory, under which the function is kept.

package redirector

import (
	"sync"
	"unsafe"
)

type logger struct{ context *byte }

var (
	logMutex sync.Mutex
	logFuncs = map[*byte]func(LogLevel, string){}
)

func newLogger(write func(LogLevel, string)) *logger {
	l := &logger{(*byte)(libraryAllocate(1))}
	logMutex.Lock()
	defer logMutex.Unlock()
	logFuncs[l.context] = write
	return l
}

// free may be called once the library writes no more lines. A nil logger is fine.
func (l *logger) free() {
	if l == nil {
		return
	}
	logMutex.Lock()
	defer logMutex.Unlock()
	delete(logFuncs, l.context)
	libraryRelease(unsafe.Pointer(l.context))
}

// logLine is called by the library's thread, through libraryLogFunc.
func logLine(context *byte, level uint32, line *int8) {
	logMutex.Lock()
	write := logFuncs[context]
	logMutex.Unlock()
	write(LogLevel(level), goString(line))
}
