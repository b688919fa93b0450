// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build !windows

package main

import (
	"errors"
	"net"
	"syscall"
)

// tellUnreachable has nothing to do: a connected socket is told when nobody listens at its destination.
func tellUnreachable(*net.UDPConn) {}

func isUnreachable(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
