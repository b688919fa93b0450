// SPDX-License-Identifier: LGPL-3.0-or-later

// The module is the whole repository, because a Go module holds only what lies below its go.mod, and the package
// go/redirector compiles the library's C sources: src/ and include/ have to come along.
module github.com/windows-redirector/windows-redirector

go 1.19
