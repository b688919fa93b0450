// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import "syscall"

func handle(fd uintptr) syscall.Handle { return syscall.Handle(fd) }
