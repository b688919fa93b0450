// SPDX-License-Identifier: LGPL-3.0-or-later

// Package redirector makes the TCP connections of a process tree on Windows go through a local proxy.
//
// The usual user is the proxy itself. It listens on one port of 127.0.0.1 and [::1], calls [Start] with the process
// whose connections it wants, and for each connection it accepts asks [Redirector.Destination] where the connection
// was going:
//
//	r, err := redirector.Start(redirector.Config{ClientPID: pid, ProxyPort: port})
//	if err != nil {
//		return err // says what to do, for instance: run the program as Administrator
//	}
//	defer r.Stop()
//
//	conn, err := listener.AcceptTCP()
//	...
//	where, ok := r.Destination(conn.RemoteAddr().(*net.TCPAddr).AddrPort())
//
// The process that calls Start is never redirected, so the proxy reaches the original destinations by ordinary
// dialling. See examples/agent for a complete one.
//
// # Incoming connections
//
// With Config.IncomingPort, connections that arrive at the tree's own listeners are led to that port, from this and
// from other machines. Their addresses stay, so listen there on all addresses (":port"), and the peer is the real one.
// Destination.Incoming is true for them, and Destination.Addr is the program's own address: a connection that the proxy
// itself opens to it reaches the program.
//
// # Who is redirected
//
// The process Config.ClientPID and all its descendants. Config.Rules and [Redirector.SetRules] refine that, by process
// id, file name or path.
//
// While nothing listens on the proxy's port, connections pass directly (with Config.Refuse: are refused), and
// Stats.ProxyMissing counts them.
//
// # Building
//
// The package is a cgo layer over the static archive libwindows_redirector.a. It works in programs built for
// windows/amd64 with cgo and the mingw-w64 compiler; build the archive first (CMake preset mingw-release).
// WinDivert.dll and WinDivert64.sys must lie beside the finished program or in Config.WinDivertDir, and the program
// must run as Administrator. On every other system, and without cgo, the package builds too, and Start fails with
// [ErrUnsupported].
//
// # Goroutines
//
// Every function and method may be called from any goroutine at any time. Start and Stop block,
// and SetRules for milliseconds.
package redirector
