// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"fmt"
	"io/fs"
	"strconv"
)

// Status says what kind of thing went wrong. Its values are errors, to be used with [errors.Is]:
//
//	if errors.Is(err, redirector.ErrNotElevated) { ... }
//
// The numbers are those of the C library (redirector_status) and never change.
type Status uint32

// The statuses that a call can fail with. A test compares them with the C header.
const (
	ErrInvalidArgument  Status = 1
	ErrPortInvalid      Status = 2
	ErrNoPort           Status = 3 // both ports are 0
	ErrNoSuchProcess    Status = 4
	ErrProcessDenied    Status = 5
	ErrAlreadyRunning   Status = 6
	ErrNotRunning       Status = 7
	ErrNotFound         Status = 8
	ErrNotElevated      Status = 9
	ErrDLLNotFound      Status = 10 // WinDivert.dll, or windows_redirector.dll if the program loads it at run time
	ErrDLLVersion       Status = 11 // of the same
	ErrDriverNotFound   Status = 12
	ErrDriverBlocked    Status = 13
	ErrDriverSignature  Status = 14
	ErrDriverConflict   Status = 15 // another version of the driver is loaded
	ErrDriverService    Status = 16
	ErrFilteringStopped Status = 17 // the Base Filtering Engine is not running
	ErrDriverFailed     Status = 18
	ErrNoMemory         Status = 19
	ErrLogFailed        Status = 20
	ErrUnsupported      Status = 21 // also: the program is not for windows/amd64
	ErrStoppedByForce   Status = 22
	ErrInternal         Status = 23
	ErrEngineStalled    Status = 24 // the watchdog has closed the driver's handles
)

var statusNames = [...]string{
	0:                   "OK",
	ErrInvalidArgument:  "INVALID_ARGUMENT",
	ErrPortInvalid:      "PORT_INVALID",
	ErrNoPort:           "NO_PORT",
	ErrNoSuchProcess:    "NO_SUCH_PROCESS",
	ErrProcessDenied:    "PROCESS_DENIED",
	ErrAlreadyRunning:   "ALREADY_RUNNING",
	ErrNotRunning:       "NOT_RUNNING",
	ErrNotFound:         "NOT_FOUND",
	ErrNotElevated:      "NOT_ELEVATED",
	ErrDLLNotFound:      "DLL_NOT_FOUND",
	ErrDLLVersion:       "DLL_VERSION",
	ErrDriverNotFound:   "DRIVER_NOT_FOUND",
	ErrDriverBlocked:    "DRIVER_BLOCKED",
	ErrDriverSignature:  "DRIVER_SIGNATURE",
	ErrDriverConflict:   "DRIVER_CONFLICT",
	ErrDriverService:    "DRIVER_SERVICE",
	ErrFilteringStopped: "FILTERING_STOPPED",
	ErrDriverFailed:     "DRIVER_FAILED",
	ErrNoMemory:         "NO_MEMORY",
	ErrLogFailed:        "LOG_FAILED",
	ErrUnsupported:      "UNSUPPORTED",
	ErrStoppedByForce:   "STOPPED_BY_FORCE",
	ErrInternal:         "INTERNAL",
	ErrEngineStalled:    "ENGINE_STALLED",
}

// String gives the name of the status as the C library writes it, for instance "NO_SUCH_PROCESS".
func (s Status) String() string {
	if int64(s) < int64(len(statusNames)) {
		return statusNames[s]
	}
	return "UNKNOWN"
}

// Error makes a Status an error. What to tell a person stands in [Error].
func (s Status) Error() string {
	name := s.String()
	if name == "UNKNOWN" {
		name = strconv.FormatUint(uint64(s), 10)
	}
	return "redirector: status " + name
}

// Is makes a refusal for lack of rights what package io/fs calls one: errors.Is(err, fs.ErrPermission).
func (s Status) Is(target error) bool {
	return target == fs.ErrPermission && (s == ErrNotElevated || s == ErrProcessDenied)
}

// Error is what [Start] and the methods of [Redirector] return when they fail.
type Error struct {
	Status  Status // what kind of failure; errors.Is(err, redirector.ErrNotElevated) looks here
	OSError uint32 // the Windows error code behind it, 0 if there is none
	Text    string // one line for a person: what happened and what to do
}

// Error gives the text for a person.
func (e *Error) Error() string { return "redirector: " + e.Text }

// Unwrap gives the status to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Status }

// invalidArgument is what the package finds before it asks the library.
func invalidArgument(format string, values ...any) error {
	return &Error{Status: ErrInvalidArgument, Text: fmt.Sprintf(format, values...)}
}
