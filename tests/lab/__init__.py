# SPDX-License-Identifier: LGPL-3.0-or-later
"""The lab, for the programs in Python that use it: end-to-end tests, fault matrix, soak, benchmarks, demo.

A program puts the folder above this one into sys.path and says `from lab import Lab, on_host, wait_until`. Which lab it
is, the environment variable LAB says, as for lab/lab. README.md names the modules.
"""
from lab.actors import Actor, Connection, Datagrams, end_leftover, has_ended, host_of, linux_pid, port_of, resident_kb
from lab.command import (ANY, CLIENT, LOOPBACK, LOSSES, PYTHON, ROOT, SERVER, LabError, end_on_signals, lab_command,
                         listens, on_host, path, popen, wine, wire)
from lab.sharing import forked, share, speaker, take
from lab.stage import Lab, windows_path
from lab.waiting import Failure, expect, expect_equal, wait_until

__all__ = ["ANY", "Actor", "CLIENT", "Connection", "Datagrams", "Failure", "LOOPBACK", "LOSSES", "Lab", "LabError", "PYTHON", "ROOT",
           "SERVER", "end_leftover", "end_on_signals", "expect", "expect_equal", "forked", "has_ended", "host_of",
           "lab_command", "linux_pid", "listens", "on_host", "path", "popen", "port_of", "resident_kb", "share",
           "speaker", "take", "wait_until", "windows_path", "wine", "wire"]
