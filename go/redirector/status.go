// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"fmt"
	"io/fs"
	"strconv"
)

// Status is the kind of an error. Its values are errors, to be used with [errors.Is]:
//
//	if errors.Is(err, redirector.ErrNotElevated) { ... }
//
// The numbers are those of the C library (redirector_status) and never change. Where the program loads the library at
// run time, [ErrDLLNotFound] and [ErrDLLVersion] may be about windows_redirector.dll, too. [ErrUnsupported] is also the
// error of every call where the program is not for windows/amd64.
type Status uint32

// String gives the name of the status as the C library writes it, for instance "NO_SUCH_PROCESS".
func (s Status) String() string {
	if int64(s) < int64(len(statusNames)) {
		return statusNames[s]
	}
	return "UNKNOWN"
}

// Error makes a Status an error. The text for a person is in [Error].
func (s Status) Error() string {
	name := s.String()
	if name == "UNKNOWN" {
		name = strconv.FormatUint(uint64(s), 10)
	}
	return "redirector: status " + name
}

// Is lets errors.Is(err, fs.ErrPermission) be true for an error that is due to missing rights.
func (s Status) Is(target error) bool {
	return target == fs.ErrPermission && (s == ErrNotElevated || s == ErrProcessDenied)
}

// Error is what [Start] and the methods of [Redirector] return when they fail.
type Error struct {
	Status  Status // the kind of error; errors.Is(err, redirector.ErrNotElevated) compares it
	OSError uint32 // the Windows error code behind it, 0 if there is none
	Text    string // one line for a person: what happened and what to do
}

// Error gives the text for a person.
func (e *Error) Error() string { return "redirector: " + e.Text }

// Unwrap gives the status to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Status }

// invalidArgument is an error that the package finds before it calls the library.
func invalidArgument(format string, values ...any) error {
	return &Error{Status: ErrInvalidArgument, Text: fmt.Sprintf(format, values...)}
}
