// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build !(windows && cgo)

package redirector

import (
	"errors"
	"net/netip"
	"os"
	"testing"
)

func TestStartUnsupported(t *testing.T) {
	r, err := Start(Config{ClientPID: uint32(os.Getpid()), ProxyPort: 8080})
	if r != nil || !errors.Is(err, ErrUnsupported) {
		t.Fatalf("Start gave %v, %v; want nil and ErrUnsupported", r, err)
	}
}

// A program may keep a nil Redirector where it is not supported and go on.
func TestNilRedirector(t *testing.T) {
	var r *Redirector
	if err := r.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if where, ok := r.Destination(netip.MustParseAddrPort("127.0.0.1:50000")); ok {
		t.Errorf("Destination found %v", where)
	}
	if r.Delete(netip.MustParseAddrPort("127.0.0.1:50000")) {
		t.Error("Delete found something")
	}
	if err := r.SetRules(nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("SetRules: %v", err)
	}
	if s := r.Stats(); s != (Stats{}) {
		t.Errorf("Stats: %+v", s)
	}
}
