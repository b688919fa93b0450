// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build !windows

package main

import "github.com/windows-redirector/windows-redirector/go/redirector"

// suspendedProcess does not exist here: the agent builds on every system and works on Windows.
type suspendedProcess struct{}

func startSuspended([]string) (*suspendedProcess, error) { return nil, redirector.ErrUnsupported }
func (*suspendedProcess) pid() uint32                    { return 0 }
func (*suspendedProcess) kill()                          {}
func (*suspendedProcess) resumeAndWait() (int, error)    { return 0, redirector.ErrUnsupported }
func programName(uint32) string                          { return "" }
