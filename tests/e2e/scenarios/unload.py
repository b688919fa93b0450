# SPDX-License-Identifier: LGPL-3.0-or-later
"""redirector unload: the driver goes when nobody uses it, and not before."""
from harness import scenario
from lab import expect, expect_equal, wait_until
from scenarios.program import Run, ask


@scenario("S1", families=None, session="own")
def unload_waits_for_the_last_user(t):
    """A redirector that runs is named, and goes on; after its end the driver is stopped and its entry gone."""
    other = Run(t)
    other.probe.wait_ready()
    try:
        status, out, err = ask(t, "unload")
        expect_equal((status, out), (1, ""), f"status and output; {err}")
        expect("the driver stays loaded: " in err and "redirector.exe (process " in err, "it does not name the user", err)
        expect_equal(other.said(), "", "what the other one says of it")
        expect(t.lab.handles(), "the other one has lost its handles")
    finally:
        ended = other.end()
    expect_equal(ended[0], 0, f"status of the other one; {ended[1]}")
    wait_until(lambda: t.lab.handles() == [], "driver handles closed")
    expect_equal(ask(t, "unload"), (0, "the driver is unloaded\n", ""), "without users")
    expect_equal(ask(t, "unload"), (0, "no driver is loaded\n", ""), "a second time")
    findings = ask(t, "doctor", "--json")
    expect_equal(findings[0], 0, f"it can be loaded again; {findings}")
