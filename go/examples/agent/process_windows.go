// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"unsafe"
)

const (
	createSuspended                = 0x00000004
	processSuspendResume           = 0x0800
	processQueryLimitedInformation = 0x1000
)

var (
	ntResumeProcess           = syscall.NewLazyDLL("ntdll.dll").NewProc("NtResumeProcess")
	queryFullProcessImageName = syscall.NewLazyDLL("kernel32.dll").NewProc("QueryFullProcessImageNameW")
)

// suspendedProcess is a program that was started suspended, so that the redirector runs before its first connection.
type suspendedProcess struct{ cmd *exec.Cmd }

func startSuspended(program []string) (*suspendedProcess, error) {
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	cmd.Stdout = os.Stderr // standard output is the agent's own
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: createSuspended}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &suspendedProcess{cmd}, nil
}

func (s *suspendedProcess) pid() uint32 { return uint32(s.cmd.Process.Pid) }

func (s *suspendedProcess) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// resumeAndWait lets the program run and returns its exit status.
func (s *suspendedProcess) resumeAndWait() (int, error) {
	process, err := syscall.OpenProcess(processSuspendResume, false, s.pid())
	if err != nil {
		s.kill()
		return 0, fmt.Errorf("the program cannot be resumed: %w", err)
	}
	status, _, _ := ntResumeProcess.Call(uintptr(process))
	syscall.CloseHandle(process)
	if status != 0 {
		s.kill()
		return 0, fmt.Errorf("the program cannot be resumed: NtResumeProcess gave %#x", uint32(status))
	}
	if err := s.cmd.Wait(); err != nil {
		if _, ended := err.(*exec.ExitError); !ended {
			return 0, err
		}
	}
	return s.cmd.ProcessState.ExitCode(), nil
}

// programName returns the file name of a process's program, "" if it has ended or cannot be opened.
func programName(pid uint32) string {
	process, err := syscall.OpenProcess(processQueryLimitedInformation, false, pid)
	if err != nil {
		return ""
	}
	defer syscall.CloseHandle(process)
	var path [syscall.MAX_LONG_PATH]uint16
	size := uint32(len(path))
	ok, _, _ := queryFullProcessImageName.Call(uintptr(process), 0, uintptr(unsafe.Pointer(&path[0])),
		uintptr(unsafe.Pointer(&size)))
	if ok == 0 {
		return ""
	}
	return filepath.Base(syscall.UTF16ToString(path[:size]))
}
