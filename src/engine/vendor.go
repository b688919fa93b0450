// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows_redirector_vendor

// Package engine has no Go code: this file is why `go mod vendor` copies the folder (go/internal/library/vendor.go).
package engine
