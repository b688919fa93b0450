// SPDX-License-Identifier: LGPL-3.0-or-later

// A module of its own, so that the library's module needs no other: this program reads DNS messages by golang.org/x/net.
module github.com/windows-redirector/windows-redirector/go/examples/dns

go 1.19

require (
	github.com/windows-redirector/windows-redirector v0.0.0
	golang.org/x/net v0.24.0
)

replace github.com/windows-redirector/windows-redirector => ../../..
