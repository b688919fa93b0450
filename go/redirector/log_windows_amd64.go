// SPDX-License-Identifier: LGPL-3.0-or-later

// The way of a log line from the library's thread to Config.LogFunc. The library hands back the context that it was
// given: the address of a byte of its own memory, which stands for the function, because a function of Go cannot be
// handed to C.

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

// free may be called when the library writes no more. Of a nil logger it does nothing.
func (l *logger) free() {
	if l == nil {
		return
	}
	logMutex.Lock()
	defer logMutex.Unlock()
	delete(logFuncs, l.context)
	libraryRelease(unsafe.Pointer(l.context))
}

// logLine is what the library's thread calls, by way of libraryLogFunc.
func logLine(context *byte, level uint32, line *int8) {
	logMutex.Lock()
	write := logFuncs[context]
	logMutex.Unlock()
	write(LogLevel(level), goString(line))
}
