// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build !(windows && cgo)

package redirector

import "net/netip"

// Redirector is a running redirector. There is none in this build.
type Redirector struct{}

// Start fails with [ErrUnsupported] in this build: it is not for Windows, or was made without cgo.
func Start(Config) (*Redirector, error) { return nil, unsupported() }

func unsupported() error {
	return &Error{
		Status: ErrUnsupported,
		Text:   "redirecting is not supported by this program; build it for windows/amd64 with cgo",
	}
}

// Stop does nothing in this build.
func (*Redirector) Stop() error { return nil }

// Destination finds nothing in this build.
func (*Redirector) Destination(netip.AddrPort) (Destination, bool) { return Destination{}, false }

// Delete finds nothing in this build.
func (*Redirector) Delete(netip.AddrPort) bool { return false }

// SetRules fails with [ErrUnsupported] in this build.
func (*Redirector) SetRules([]Rule) error { return unsupported() }

// Stats are all 0 in this build.
func (*Redirector) Stats() Stats { return Stats{} }

// Version is "" in this build: no library is linked in.
func Version() string { return "" }
