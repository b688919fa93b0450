// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"errors"
	"net"
	"syscall"
	"unsafe"
)

// tellUnreachable makes reading fail when the destination says that nobody listens there (ICMP port unreachable): Windows
// tells a connected socket so, but Go switches that off (SIO_UDP_CONNRESET), because on other sockets it is a nuisance.
func tellUnreachable(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(socket uintptr) {
		var on, size uint32 = 1, 0
		syscall.WSAIoctl(syscall.Handle(socket), syscall.SIO_UDP_CONNRESET, (*byte)(unsafe.Pointer(&on)),
			uint32(unsafe.Sizeof(on)), nil, 0, &size, nil, 0)
	})
}

func isUnreachable(err error) bool {
	const refused = syscall.Errno(10061) // WSAECONNREFUSED, as Wine has it
	return errors.Is(err, syscall.WSAECONNRESET) || errors.Is(err, refused)
}
