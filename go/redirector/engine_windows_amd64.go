// SPDX-License-Identifier: LGPL-3.0-or-later

// The layer over the C library, the same for both ways of linking. The structures in ztypes_windows_amd64.go are
// generated from the public header. The differences are in library_cgo_windows_amd64.go and
// library_dll_windows_amd64.go: the calls (libraryStart and so on) and the source of memory for the library.
//
// Lifetime of the C object: redirector_start creates it, stop stops it, and it stays valid for lookups, which then find
// nothing. It is freed when stop has been called and nothing in Go refers to it any more, so no lookup can use freed
// memory. A redirector that is not stopped is never freed: dropping the value must not end the redirection.

package redirector

import (
	"net/netip"
	"runtime"
	"sync"
	"unsafe"
)

type nativeEngine struct {
	handle  unsafe.Pointer // the library's `redirector`
	log     *logger        // nil: no LogFunc
	stopped sync.Once
}

func startEngine(config Config) (engine, error) {
	if err := libraryLoad(); err != nil {
		return nil, err
	}
	var m memory
	defer m.free()
	e := &nativeEngine{}
	native := configToNative(config, &m)
	if config.LogFunc != nil {
		e.log = newLogger(config.LogFunc)
		native.Log_fn, native.Log_context = libraryLogFunc(), e.log.context
	}
	var handle unsafe.Pointer
	failure := nativeError{Size: uint32(unsafe.Sizeof(nativeError{}))}
	if status := libraryStart(&native, &handle, &failure); status != statusOK {
		e.log.free()
		return nil, errorFromNative(&failure)
	}
	e.handle = handle
	return e, nil
}

func (e *nativeEngine) stop() error {
	status := libraryStop(e.handle)
	e.stopped.Do(func() {
		e.log.free()
		runtime.SetFinalizer(e, func(e *nativeEngine) { libraryFree(e.handle) })
	})
	runtime.KeepAlive(e)
	return failed("stop", status)
}

func (e *nativeEngine) failure() error {
	why := nativeError{Size: uint32(unsafe.Sizeof(nativeError{}))}
	libraryGetState(e.handle, &why)
	runtime.KeepAlive(e)
	if Status(why.Code) == statusOK {
		return nil
	}
	return errorFromNative(&why)
}

// failed makes an error of the status of a call without an error text; nil if it succeeded.
func failed(what string, status Status) error {
	if status == statusOK {
		return nil
	}
	return &Error{Status: status, Text: what + ": " + status.String()}
}

// question is what a lookup has in memory. It is used again: what the library is given escapes to the heap, and there is a
// lookup for each datagram.
type question struct {
	peer  nativeAddress
	found nativeDestination
}

var questions = sync.Pool{New: func() any { return new(question) }}

func (e *nativeEngine) destination(protocol Protocol, peer netip.AddrPort) (Destination, bool) {
	q := questions.Get().(*question)
	defer questions.Put(q)
	q.peer = addressToNative(peer)
	q.found = nativeDestination{Size: uint32(unsafe.Sizeof(nativeDestination{})), Protocol: uint32(protocol)}
	status := libraryLookup(e.handle, &q.peer, &q.found)
	runtime.KeepAlive(e)
	if status != statusOK {
		return Destination{}, false
	}
	return Destination{
		Addr:     addressFromNative(q.found.Destination),
		PID:      q.found.Pid,
		Incoming: q.found.Incoming != 0,

		ConnectionID: q.found.Id,
		Upstream:     q.found.Upstream,
	}, true
}

func (e *nativeEngine) unreachable(peer netip.AddrPort) error {
	address := addressToNative(peer)
	status := libraryUDPUnreachable(e.handle, &address)
	runtime.KeepAlive(e)
	return failed("unreachable", status)
}

// nextConnection waits for the next connection until the redirection ends.
func (e *nativeEngine) nextConnection() (Connection, error) {
	const forever = ^uint32(0)
	found := nativeConnection{Size: uint32(unsafe.Sizeof(nativeConnection{}))}
	status := libraryNextConnection(e.handle, &found, forever)
	runtime.KeepAlive(e)
	if status != statusOK {
		return Connection{}, failed("next connection", status)
	}
	return Connection{
		ID:          found.Id,
		PID:         found.Pid,
		Client:      addressFromNative(found.Client),
		Destination: addressFromNative(found.Destination),
		Upstream:    found.Upstream,
	}, nil
}

func (e *nativeEngine) decide(id uint64, decision Decision) error {
	status := libraryDecide(e.handle, id, uint32(decision))
	runtime.KeepAlive(e)
	return failed("decide", status)
}

func (e *nativeEngine) remove(peer netip.AddrPort) bool {
	address := addressToNative(peer)
	status := libraryForget(e.handle, &address)
	runtime.KeepAlive(e)
	return status == statusOK
}

// flows allocates room for all connections, and for a few that may begin before the second call.
func (e *nativeEngine) flows() ([]Flow, error) {
	defer runtime.KeepAlive(e)
	var total uint32
	for room := uint32(0); ; room = total + total/8 + 16 {
		list := make([]nativeFlow, room+1) // never empty: the library wants to see the size of an element
		list[0].Size = uint32(unsafe.Sizeof(nativeFlow{}))
		if status := libraryListFlows(e.handle, &list[0], room+1, &total); status != statusOK {
			return nil, failed("list flows", status)
		}
		if total <= room+1 {
			return flowsFromNative(list[:total]), nil
		}
	}
}

func (e *nativeEngine) stats() Stats {
	s := nativeStats{Size: uint32(unsafe.Sizeof(nativeStats{}))}
	libraryGetStats(e.handle, &s)
	runtime.KeepAlive(e)
	return statsFromNative(&s)
}

// Version is the version of the C library, "0.1.0"; "" if it is a DLL that cannot be loaded.
func Version() string {
	if libraryLoad() != nil {
		return ""
	}
	return goString(libraryVersion())
}
