# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the fault matrix and the soak share: the end-to-end tests' harness, with programs that can more (programs/), and
scripted faults of the lab's driver."""
import contextlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import lab  # noqa: E402
from actors import Failure, expect, expect_equal, port_of, wait_until  # noqa: E402,F401
from conditions import events, setting  # noqa: E402,F401
from harness import LINGER_S, Context, Session, World, check_afterwards, why_failed  # noqa: E402,F401
from lab import ROOT, LabError  # noqa: E402,F401

lab.PROGRAMS = os.path.join(ROOT, "build", "faults", "win")
RUNNING, STOPPED, FAILED = 1, 2, 3  # redirector_state


def script(t, words):
    """Scripts a fault of the driver, as in lab/README.md: script(t, "recv 1450 3 on network")."""
    answer = t.lab.ask("fault", words)
    expect("error" not in answer, f"the lab does not understand fault {words}", answer)


def struck(t, name):
    """How often a fault has struck so far."""
    return t.lab.ask("faults")["faults"][name]["struck"]


@contextlib.contextmanager
def fault(t, *scripts):
    """Faults of the driver, cleared at the end, whatever happens; each must have struck by then."""
    before = t.lab.ask("faults")["faults"]
    try:
        for words in scripts:
            script(t, words)
        yield
        for name in {words.split()[0] for words in scripts}:
            expect(struck(t, name) > before[name]["struck"], f"the fault {name} has not struck: the case shows nothing")
    finally:
        t.lab.ask("fault", "clear")


def linux_pid(actor):
    """Of a Windows program: its command line names its file of commands."""
    needle = os.path.basename(actor.commands).encode()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                if any(word.endswith(needle) for word in file.read().split(b"\0")[1:]):
                    return int(entry)
    raise Failure(f"no process has the commands of {actor.name}")


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
