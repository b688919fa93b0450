// SPDX-License-Identifier: LGPL-3.0-or-later

// The newest Go there is, pinned: the Go module has to build with it, too. It comes as a module, as the go command gets
// it for itself; packaging/tools.sh unpacks it. Its name is not go.mod because it is not a module of this project.
module tools

go 1.19

require golang.org/toolchain v0.0.1-go1.27.4.linux-amd64
