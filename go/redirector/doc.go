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
// Every function and method may be called from any goroutine at any time. Only Start and Stop block.
package redirector
