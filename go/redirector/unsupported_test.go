// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build !(windows && amd64)

package redirector

import (
	"context"
	"errors"
	"os"
	"testing"
)

func TestStartUnsupported(t *testing.T) {
	r, err := Start(context.Background(), Config{ClientPID: uint32(os.Getpid()), ProxyPort: 8080})
	if r != nil || !errors.Is(err, ErrUnsupported) {
		t.Fatalf("Start gave %v, %v; want nil and ErrUnsupported", r, err)
	}
	if _, err := TestRules(nil, RuleCase{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("TestRules gave %v", err)
	}
	if Version() != "" {
		t.Errorf("a library of version %q", Version())
	}
}
