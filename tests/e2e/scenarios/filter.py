# SPDX-License-Identifier: LGPL-3.0-or-later
"""S9: a driver's filter that is replaced too late, or cannot be replaced, is no silent way around the proxy."""
import contextlib

from conditions import FAIL_CLOSED, balanced, expect_refused, warnings_in
from harness import scenario
from lab import expect, expect_equal, wait_until
from scenarios.outgoing import connect_and_check, exchange, expect_untouched

CAPTURE_ALL = 64
LATE_MS = 7000  # longer than a SYN waits for its filter


@contextlib.contextmanager
def filter_fault(t, words):
    """Of the first filter that replaces another one."""
    t.lab.order("fault", words)
    try:
        yield
    finally:
        t.lab.ctl("fault", "clear")


def log_path(t):
    return t.lab.stage + "/" + t.world.name("log") + ".txt"


def expect_late(session, log, count, what):
    """Counted under its own name, and the log warns of it."""
    stats = session.stats()
    expect_equal((stats["capture_timeouts"], stats["hold_timeouts"], stats["flows_total"]), (count, 0, 0),
                 "filters too late, owners unknown, redirected")
    warnings = [line for line in warnings_in(log) if "filter" in line and what in line]
    expect_equal(len(warnings), 1, f"warnings in the log ({warnings_in(log)})")


@scenario("S9", session="own")
def filter_that_comes_too_late(t, family):
    """The connection passes, but not before its time, is counted, and is warned of; the next one is redirected."""
    log = log_path(t)
    server = t.echo()
    with balanced(t, log="Z:" + log) as session:
        with filter_fault(t, f"open-late {LATE_MS} on network"):
            connection = t.root.connect(server.local)
            exchange(connection)
            expect_untouched(connection, server, t.server)
            expect_late(session, log, 1, "passes directly")
        wait_until(lambda: session.stats()["filter_replacements"], "the filter that is late", 20)
        connect_and_check(t, t.root, session)


@scenario("S9", "O4", session="own")
def filter_that_comes_too_late_is_no_way_around(t, family):
    """As configured: refused, by an answer of this machine alone; the server never hears of it."""
    log = log_path(t)
    server = t.echo()
    with t.redirected(flags=FAIL_CLOSED, log="Z:" + log) as session:
        with filter_fault(t, f"open-late {LATE_MS} on network"):
            answer = t.root.call("connect", id=t.root.new_id(), to=server.local, may_fail=True)
            expect(session.stats()["capture_timeouts"] == 1, "the filter was not late", session.stats())
            expect_equal(answer.get("code") or "connected", 10061, "what connect says")
            expect_equal(t.server.visitors(server), [], "visitors of the server")
            expect_late(session, log, 1, "is refused")
        wait_until(lambda: session.stats()["filter_replacements"], "the filter that is late", 20)
        connect_and_check(t, t.root, session)


@scenario("S9", "O4", session="own")
def filter_that_cannot_be_had_is_no_way_around(t, family):
    server = t.echo()
    with t.redirected(flags=FAIL_CLOSED) as session:
        with filter_fault(t, "open 1450 all on network"):
            expect_refused(t.root, server.local, "the tree's connection")
            stranger = t.bystander.connect(server.local)
            exchange(stranger)
            expect_untouched(stranger, server, t.server)
            expect(session.stats()["capture_timeouts"] > 0, "it was refused for another reason", session.stats())
        connect_and_check(t, t.root, session)


@scenario("S9", session="own")
def filter_that_is_whole_is_never_replaced(t, family):
    """REDIRECTOR_CAPTURE_ALL: no connection depends on a new filter."""
    with t.redirected(flags=CAPTURE_ALL, incoming=True) as session:
        with filter_fault(t, "open 1450 all on network"):
            for _ in range(5):
                connect_and_check(t, t.root, session)
                inward = t.server.connect(t.echo(t.root, t.client).local)
                exchange(inward)
        stats = session.stats()
        expect_equal((stats["capture_waits"], stats["capture_timeouts"], stats["filter_replacements"]), (0, 0, 0),
                     "waits, time-outs, replacements")
