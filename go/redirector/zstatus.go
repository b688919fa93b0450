// SPDX-License-Identifier: LGPL-3.0-or-later

// Made from windows_redirector.h by generate.sh.

package redirector

// The statuses that a call can fail with.
const (
	ErrInvalidArgument Status = 1  // an argument is not valid
	ErrPortInvalid     Status = 2  // a port number is above 65535
	ErrNoPort          Status = 3  // no port is given, so there is nothing to redirect
	ErrNoSuchProcess   Status = 4  // no such process
	ErrProcessDenied   Status = 5  // the process cannot be opened
	ErrAlreadyRunning  Status = 6  // the redirector is already running in this process
	ErrNotRunning      Status = 7  // the redirector is not running
	ErrNotFound        Status = 8  // there is no such connection
	ErrNotElevated     Status = 9  // administrator rights are needed
	ErrDLLNotFound     Status = 10 // WinDivert.dll was not found
	ErrDLLVersion      Status = 11 // this WinDivert.dll is not version 2.2
	ErrDriverNotFound  Status = 12 // WinDivert64.sys was not found
	ErrDriverBlocked   Status = 13 // Windows refused to load the WinDivert driver
	ErrDriverSignature Status = 14 // Windows does not accept the signature of WinDivert64.sys
	ErrDriverConflict  Status = 15 // another version of the WinDivert driver is loaded
	ErrDriverService   Status = 16 // the WinDivert service could not be started
	ErrBFENotRunning   Status = 17 // the Base Filtering Engine service is not running
	ErrDriverFailed    Status = 18 // the WinDivert driver reported an error
	ErrNoMemory        Status = 19 // out of memory
	ErrLogFailed       Status = 20 // the log file cannot be written
	ErrUnsupported     Status = 21 // not supported by this version
	ErrStoppedByForce  Status = 22 // the engine did not stop in time
	ErrInternal        Status = 23 // internal error
	ErrEngineStalled   Status = 24 // the engine made no progress for 2 s, so its driver handles were closed and traffic flows directly
	ErrProofFailed     Status = 25 // a connection of the library's own was not redirected, so none would be
)

var statusNames = [...]string{
	0:                  "OK",
	ErrInvalidArgument: "INVALID_ARGUMENT",
	ErrPortInvalid:     "PORT_INVALID",
	ErrNoPort:          "NO_PORT",
	ErrNoSuchProcess:   "NO_SUCH_PROCESS",
	ErrProcessDenied:   "PROCESS_DENIED",
	ErrAlreadyRunning:  "ALREADY_RUNNING",
	ErrNotRunning:      "NOT_RUNNING",
	ErrNotFound:        "NOT_FOUND",
	ErrNotElevated:     "NOT_ELEVATED",
	ErrDLLNotFound:     "DLL_NOT_FOUND",
	ErrDLLVersion:      "DLL_VERSION",
	ErrDriverNotFound:  "DRIVER_NOT_FOUND",
	ErrDriverBlocked:   "DRIVER_BLOCKED",
	ErrDriverSignature: "DRIVER_SIGNATURE",
	ErrDriverConflict:  "DRIVER_CONFLICT",
	ErrDriverService:   "DRIVER_SERVICE",
	ErrBFENotRunning:   "BFE_NOT_RUNNING",
	ErrDriverFailed:    "DRIVER_FAILED",
	ErrNoMemory:        "NO_MEMORY",
	ErrLogFailed:       "LOG_FAILED",
	ErrUnsupported:     "UNSUPPORTED",
	ErrStoppedByForce:  "STOPPED_BY_FORCE",
	ErrInternal:        "INTERNAL",
	ErrEngineStalled:   "ENGINE_STALLED",
	ErrProofFailed:     "PROOF_FAILED",
}
