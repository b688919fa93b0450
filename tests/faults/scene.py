# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the fault matrix and the soak share: programs that can more than those of the end-to-end tests, and scripted
faults of the lab's driver."""
import contextlib
import os

from lab import ROOT, expect

PROGRAMS = os.path.join(ROOT, "build", "faults", "win")
RUNNING, STOPPED, FAILED = 1, 2, 3  # redirector_state


def script(t, words):
    """Scripts a fault of the driver, as in lab/README.md: script(t, "recv 1450 3 on network")."""
    t.lab.order("fault", words)


def struck(t, name):
    """How often a fault has struck so far."""
    return t.lab.faults()[name]["struck"]


@contextlib.contextmanager
def fault(t, *scripts):
    """Faults of the driver, cleared at the end, whatever happens; each must have struck by then."""
    before = t.lab.faults()
    try:
        for words in scripts:
            script(t, words)
        yield
        for name in {words.split()[0] for words in scripts}:
            expect(struck(t, name) > before[name]["struck"], f"the fault {name} has not struck: the case shows nothing")
    finally:
        t.lab.ctl("fault", "clear")
