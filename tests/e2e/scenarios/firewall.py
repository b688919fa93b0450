# SPDX-License-Identifier: LGPL-3.0-or-later
"""A firewall that blocks outbound connections unless their program has a permit.

Windows judges a packet that a driver has sent on as a connection of System with protocol 255; so does the lab
(`lab/lab ctl outbound block`). The programs here have their permit, native ones have none.
"""
import contextlib
import os

from harness import scenario
from lab import expect, expect_equal, wait_until
from scenarios.outgoing import exchange, expect_untouched, expect_visit

NO_FIREWALL_PERMIT = 128
PERMITS = 6  # filters of one redirector


@contextlib.contextmanager
def outbound_blocked(t, *programs):
    t.lab.order("outbound", "block")
    try:
        for program in programs or ("probe.exe", "agent.exe"):
            t.lab.order("outbound", "permit", program)
        yield
    finally:
        t.lab.order("outbound", "allow")


def platform(t):
    return t.lab.counters()["outbound"]


def expect_nothing_left(t):
    wait_until(lambda: (platform(t)["filters"], platform(t)["sessions"]) == (0, 0), "filters and sessions gone")


def prevented(t, server):
    """A program without a permit cannot connect."""
    before = platform(t)["prevented"]
    answer = t.native.call("connect", id=t.native.new_id(), to=server.local, may_fail=True)
    expect("error" in answer, "a program that has no permit has connected", answer)
    expect_equal(platform(t)["prevented"], before + 1, "connections that the firewall has prevented")


@scenario("O5", "O1", session="own")
def permitted_programs_connect_where_outbound_is_blocked(t, family):
    """A bystander's SYN is captured and sent on, and so is the proxy's own: they have passed the firewall already. Who
    has no permit gets none by that."""
    server = t.echo()
    expect_nothing_left(t)  # of redirectors before
    with outbound_blocked(t):
        exchange(t.bystander.connect(server.local))
        prevented(t, server)
        with t.redirected() as session:
            expect_equal(session.stats()["firewall_permit"], 1, "permit in force")
            expect_equal(platform(t)["filters"], PERMITS, "filters")
            stranger = t.bystander.connect(server.local)
            exchange(stranger)
            expect_untouched(stranger, server, t.server)
            connection = t.root.connect(server.local)
            exchange(connection)
            expect_visit(t, session, connection, server, t.server)
            expect(session.driver("diverted") > 0, "no packet was captured")
            prevented(t, server)
            t.lab.order("outbound", "as", "tcp")  # as other releases seem to see it
            exchange(t.bystander.connect(server.local))
        expect_nothing_left(t)


@scenario("O5", session="own")
def without_the_permit_they_wait_for_the_end(t, family):
    """By the flag nothing is put into the platform: then Windows blocks what is sent on. When redirection has ended, the
    next SYN of the same connection leaves as any other."""
    server = t.echo()
    t.expect_losses("firewall")
    with outbound_blocked(t):
        session = t.redirected(flags=NO_FIREWALL_PERMIT)
        with session as started:
            expect_equal((started.stats()["firewall_permit"], platform(t)["sessions"]), (0, 0), "permit, sessions")
            before = t.lab.counters()["firewall"]
            connecting = t.bystander.begin_connect(server.local)
            wait_until(lambda: t.lab.counters()["firewall"] > before, "the bystander's SYN blocked")
            started.stop()
            stranger = connecting.finish()
            exchange(stranger)
            expect_untouched(stranger, server, t.server)


def log_lines(t, log, words):
    with open(log, encoding="utf-8") as text:
        return [line for line in text.read().splitlines() if words in line]


@scenario("S1", "S2", families=None, session="own")
def a_platform_that_does_not_answer(t):
    """Start goes on without the permit, and says so; stop is in time. The permit comes when it is answered, and nothing of
    what came too late is left."""
    log = os.path.join(t.lab.stage, t.world.name("log") + ".txt")
    server = t.echo()
    t.lab.order("outbound", "stall", "on")
    try:
        with t.redirected(log="Z:" + log, level=4) as session:
            wait_until(lambda: log_lines(t, log, "has not answered within a second"), "the warning in the log")
            expect_equal(session.stats()["firewall_permit"], 0, "permit")
            exchange(t.root.connect(server.local))
        with t.redirected() as session:
            expect_equal(session.stats()["firewall_permit"], 0, "permit")
            t.lab.order("outbound", "stall", "off")
            wait_until(lambda: session.stats()["firewall_permit"] == 1, "the permit in force, late")
            wait_until(lambda: platform(t)["sessions"] == 1, "the first one's session gone")
    finally:
        t.lab.order("outbound", "stall", "off")
    expect_nothing_left(t)


@scenario("S2", families=None, session="own")
def nothing_is_left_of_a_killed_agent(t):
    """The session ends with its process. Two at a time have a permit each, and one is enough."""
    other = t.child(t.lab.launcher, "agent.exe")
    server = t.echo()
    expect_nothing_left(t)  # of redirectors before
    with outbound_blocked(t), t.redirected():
        answer = other.call("start", client=t.bystander.pid, proxy=1)
        expect_equal(answer["result"], 1, f"start ({answer['text']})")
        expect_equal((platform(t)["filters"], platform(t)["sessions"]), (2 * PERMITS, 2), "filters, sessions")
        t.lab.launcher.call("kill", pid=other.pid)
        other.alive = lambda: False
        t.extra.remove(other)
        wait_until(lambda: (platform(t)["filters"], platform(t)["sessions"]) == (PERMITS, 1), "the killed one's gone")
        exchange(t.bystander.connect(server.local))
    expect_nothing_left(t)
