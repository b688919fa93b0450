// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows_redirector_vendor

// No build has this tag, and no Go code is in these folders. But `go mod vendor` copies only folders that some file
// imports as packages, whatever its tags, and without the C sources a vendored program could not be built.

package library

import (
	_ "github.com/windows-redirector/windows-redirector/include"
	_ "github.com/windows-redirector/windows-redirector/src"
	_ "github.com/windows-redirector/windows-redirector/src/engine"
	_ "github.com/windows-redirector/windows-redirector/src/windows"
)
