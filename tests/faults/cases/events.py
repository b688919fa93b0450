# SPDX-License-Identifier: LGPL-3.0-or-later
"""O2: socket events come late, in another order, twice, not at all, or name the wrong process; and the date changes.

A late event is one that its packet has overtaken.
"""
import re

from conditions import events, setting
from lab import expect, expect_equal, wait_until
from matrix import case
from scene import fault
from scenarios.outgoing import connect_and_check, exchange
from traffic import Transfer, expect_running


def events_late(ms, quick):
    @case(f"events come {ms} ms late", quick=quick)
    def late(t):
        with t.redirected() as session:
            with events(t, f"delay {ms}"):
                t.expect_still_redirected(session, 5)
            held = session.stats()["packets_held"]
            expect_running(t)
        return f"nothing; the TCP table told the owner ({held} first packets held)"


for number in (5, 20, 50, 100, 200):
    events_late(number, number == 100)


@case("events come in another order", quick=True)
def shuffled(t):
    """BIND, CONNECT, CLOSE of many connections, each with a lateness of its own: also CLOSE before CONNECT."""
    with t.redirected() as session:
        with events(t, "delay 150", "shuffle on"):
            for _ in range(3):
                t.expect_still_redirected(session, 5)
                t.world.close_connections()
        expect_running(t)
        connect_and_check(t, t.root, session)
    return "nothing"


@case("events come late, and the TCP table knows no owner")
def late_and_unknown(t):
    with t.redirected() as session:
        with events(t, "delay 200"), setting(t, "owners", "off", "on"):
            t.expect_direct()
        expect(session.stats()["hold_timeouts"] > 0, "nothing was held until its time was over")
        connect_and_check(t, t.root, session)
    return "the connection passes directly after hold_timeout_ms; count hold_timeouts"


def events_lost(kind, quick=False):
    @case(f"{kind} events are lost", quick=quick)
    def lost(t):
        with t.redirected() as session:
            with events(t, f"lose all {kind}"):
                t.expect_still_redirected(session, 5)
                t.world.close_connections()
            connect_and_check(t, t.root, session)
            expect_running(t)
        return "nothing"


events_lost("connect", True)
events_lost("close")
events_lost("bind")


@case("LISTEN events are lost")
def listen_lost(t):
    with t.redirected(incoming=True):
        with events(t, "lose all listen"):
            server = t.echo(t.root, t.client)
            connection = t.server.connect(server.local)
            exchange(connection)
        visitors = [v["peer"] for v in t.root.visitors(server)]
    expect_equal(visitors, [connection.local], "who visited the program")
    return "what arrives at that listener passes directly"


@case("all events are lost")
def all_lost(t):
    with t.redirected() as session:
        with events(t, "lose all"):
            t.expect_still_redirected(session, 5)
        connect_and_check(t, t.root, session)
    return "nothing: the TCP table tells the owners"


@case("events come twice", quick=True)
def doubled(t):
    with t.redirected() as session:
        with events(t, "double on"):
            t.expect_still_redirected(session, 5)
        expect_running(t)
    return "nothing"


def wrong_process(pid, what):
    @case(f"an event names {what}", quick=pid == "dead")
    def named(t):
        with t.redirected() as session:
            with fault(t, f"pid {pid} 2"):
                t.expect_direct()  # BIND and CONNECT of it
            t.expect_still_redirected(session)
            expect_running(t)
        return "that connection passes directly; the next is redirected"


wrong_process("dead", "a process that is no more")
wrong_process("4", "process 4 (System)")
wrong_process("0", "process 0 (Idle)")

YEARS = 10 * 365 * 86400


def clock_jumps(seconds, what):
    """The clock of the library is the performance counter; the date is for people. Only the date can jump."""
    @case(f"the date jumps {what}", agent="agent_scarce.exe", quick=seconds < 0)
    def jump(t):
        with t.redirected() as session:
            transfer = Transfer(t, session)
            before = int(re.search(r"\d{4}", first_date(t))[0])
            t.agent.call("clock", seconds=seconds)
            try:
                transfer.exchange()
                t.expect_still_redirected(session)
                with events(t, "delay 200"), setting(t, "owners", "off", "on"):
                    t.expect_direct()  # what is held passes in its time
                t.world.close_connections()
                wait_until(lambda: session.stats()["flows_live"] == 0, "flows over", 20)
                session.stop()
                wait_until(lambda: abs(last_year(t) - before) >= 9, "the log's dates have jumped")
                years = last_year(t) - before
            finally:
                t.agent.call("clock", seconds=0)
        return f"the log's dates jump ({years:+d} years), nothing else"


def lines(t):
    with open(t.log, encoding="utf-8") as text:
        return text.read().splitlines()


def first_date(t):
    return wait_until(lambda: lines(t), "a line in the log")[0]


def last_year(t):
    return int(lines(t)[-1][:4])


clock_jumps(YEARS, "ten years ahead")
clock_jumps(-YEARS, "ten years back")
