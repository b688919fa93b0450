# SPDX-License-Identifier: LGPL-3.0-or-later
"""What a test expects, and what it waits for. Nothing here needs a lab."""
import time

POLL_S, POLL_LATER_S = 0.005, 0.05


class Failure(Exception):
    """A test has failed; the text says why."""


def expect(condition, why, *details):
    """Fails the test unless the condition holds. The details are shown with the text."""
    if not condition:
        raise Failure(": ".join([why, *(str(detail) for detail in details)]))


def expect_equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: got {got!r}, wanted {wanted!r}")


def wait_until(condition, what, limit=10):
    """Waits until condition() is true, and returns what it returned."""
    end = time.monotonic() + limit
    pause = POLL_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {limit} s")
        time.sleep(pause)
        pause = min(1.2 * pause, POLL_LATER_S)  # what takes longer shall not be asked for all the time
