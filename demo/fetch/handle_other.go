// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build !windows

package main

func handle(fd uintptr) int { return int(fd) }
