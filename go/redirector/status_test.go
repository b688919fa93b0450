// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestStatusMatchesHeader reads the one list of statuses, so that a status added to the library is missed here at once.
// It needs no library and so runs on every system.
func TestStatusMatchesHeader(t *testing.T) {
	header, err := os.ReadFile("../../include/windows_redirector.h")
	if err != nil {
		t.Fatal(err)
	}
	entries := regexp.MustCompile(`\bX\(([A-Z_]+), +(\d+), "`).FindAllSubmatch(header, -1)
	if len(entries) != len(statusNames) {
		t.Fatalf("the header lists %d statuses, the package %d", len(entries), len(statusNames))
	}
	for _, entry := range entries {
		number, err := strconv.ParseUint(string(entry[2]), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := Status(number).String(), string(entry[1]); got != want {
			t.Errorf("status %d is %s here and %s in the header", number, got, want)
		}
	}
}

func TestStatusOutOfRange(t *testing.T) {
	for _, s := range []Status{Status(len(statusNames)), 1 << 31, ^Status(0)} {
		if s.String() != "UNKNOWN" {
			t.Errorf("Status(%d) is called %s", uint32(s), s)
		}
	}
	if got := Status(4711).Error(); got != "redirector: status 4711" {
		t.Errorf("text of an unknown status: %q", got)
	}
}

func TestErrorIsStatus(t *testing.T) {
	var err error = &Error{Status: ErrNotElevated, OSError: 5, Text: "run it as Administrator"}
	if !errors.Is(err, ErrNotElevated) {
		t.Error("errors.Is does not find the status")
	}
	if errors.Is(err, ErrNoSuchProcess) {
		t.Error("errors.Is finds a status that is not there")
	}
	var detail *Error
	if !errors.As(err, &detail) || detail.OSError != 5 {
		t.Error("errors.As does not find the detail")
	}
	for status, want := range map[Status]bool{ErrNotElevated: true, ErrProcessDenied: true, ErrDriverBlocked: false} {
		if got := errors.Is(&Error{Status: status}, fs.ErrPermission); got != want {
			t.Errorf("%v is fs.ErrPermission: %v", status, got)
		}
	}
	if got := err.Error(); got != "redirector: run it as Administrator" {
		t.Errorf("text: %q", got)
	}
}
