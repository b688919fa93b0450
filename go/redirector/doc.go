// SPDX-License-Identifier: LGPL-3.0-or-later

// Package redirector makes the TCP connections, and the UDP, of a process tree on Windows go through a local proxy.
//
// The package is meant for the proxy itself, which listens, starts the redirection, and accepts connections that have
// their original destination:
//
//	loopback, err := redirector.Listen(0) // one port of 127.0.0.1 and [::1]
//	...
//	r, err := redirector.Start(ctx, redirector.Config{ClientPID: pid, ProxyPort: redirector.Port(loopback)})
//	if err != nil {
//		return err // says what to do, for instance: run the program as Administrator
//	}
//	defer r.Stop()
//
//	conn, err := r.Listener(loopback).AcceptConn()
//	...
//	conn.OriginalDst() // address, process
//
// The process that calls Start is never redirected, so the proxy reaches the original destinations by ordinary
// dialling. The file docs/go.md of the project is a guide; examples/agent is a larger proxy.
//
// # UDP
//
// With Config.UDPPort, datagrams that the tree sends come to that port, where [ListenPacket] receives them, each with its
// original destination:
//
//	packets, err := redirector.ListenPacket(0)
//	... // Config.UDPPort: redirector.PacketPort(packets)
//	conn := r.PacketConn(packets)
//	n, peer, where, err := conn.ReadFromDestination(buffer)
//	...
//	conn.WriteToUDPAddrPort(answer, peer) // the program receives it as from where.Addr
//
// A program's socket has one peer here for each destination that it sends to. The directory examples/dns has a program
// that records DNS.
//
// # Incoming connections
//
// With Config.IncomingPort, connections that arrive at the tree's own listeners, from this or from other machines, are
// redirected to that port. Their addresses stay, so listen there on all addresses (":port"); the peer is the real one.
// Destination.Incoming is true for them, and Destination.Addr is the program's own address: a connection that the proxy
// itself opens to it reaches the program.
//
// # Honest connects
//
// A proxy accepts before it knows whether the destination is there, so every port looks open to a redirected program.
// With Config.DecisionTimeout a connection's first packet is held, [Redirector.NextConnection] tells of it, and
// [Redirector.Decide] lets it be accepted, refused, passed or dropped, when the proxy has dialled the destination.
//
// # Who is redirected
//
// The processes Config.ClientPID and Config.Roots and all their descendants. The calling process may be a root: then
// every process that it starts is redirected, from its first connection on.
//
// Config.Rules and [Redirector.SetRules] say more, each a [Rule]: by process, and by destination (address, port, host name,
// protocol, direction), what is redirected, passes, or is blocked. [TestRules] says what rules would do.
//
// While nothing listens on the proxy's port, connections pass directly (with Config.FailClosed: are refused), and
// Stats.ProxyNotListening counts them.
//
// # Building
//
// It works in programs for windows/amd64, in one of two ways. With cgo and the mingw-w64 compiler the library is compiled
// into the program, from the C sources that this module has. Without cgo, or with the build tag windows_redirector_dll,
// no C compiler is needed, and windows_redirector.dll, of the same version, is loaded when it is first needed, from the
// folder of the running program. WinDivert.dll and WinDivert64.sys must lie beside the finished program or in
// Config.WinDivertDir, and the program must run as Administrator. For every other system the package builds too, and
// Start fails with [ErrUnsupported].
//
// # Goroutines
//
// Every function and method may be called from any goroutine at any time. Start and Stop block, and SetRules and Flows
// for milliseconds.
package redirector
