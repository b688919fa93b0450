# SPDX-License-Identifier: LGPL-3.0-or-later
"""S3: when the engine makes no progress, the driver's handles are closed, and the machine's traffic flows."""
import os

from harness import Session, scenario
from lab import expect, expect_equal, wait_until
from scenarios.outgoing import connect_and_check, exchange, expect_untouched
from scenarios.service import under_load
from scenarios.stop_start import Stranger

RUNNING, STOPPED, FAILED = 1, 2, 3
WATCHDOG_S = 20  # two seconds and something; what is asserted is that it comes, not when
STOP_MS = 1000


def freeze(t):
    expect(t.agent.call("freeze")["frozen"] >= 1, "the engine's thread was not found")


def expect_failed(t):
    """The state and the log say that it is over, and why; no handle is open any more."""
    wait_until(lambda: t.agent.call("state")["state"] == FAILED, "state: failed", WATCHDOG_S)
    state = t.agent.call("state")
    expect_equal(state["why"], "ENGINE_STALLED", "why it failed")
    expect("no progress" in state["text"], "what it says", state)
    wait_until(lambda: t.lab.handles() == [], "the driver's handles closed", WATCHDOG_S)
    expect_equal(t.agent.call("stats")["watchdog_trips"], 1, "trips of the watchdog")


def freeze_and_recover(t, session, log):
    """The engine's thread is stopped; strangers' new connections hang until the watchdog comes; the next start works, while
    the old thread is still stopped, and also once it goes on."""
    server = t.echo()
    stranger = Stranger(t, t.native)
    expect_equal(t.agent.call("state")["state"], RUNNING, "state")
    freeze(t)
    connecting = t.bystander.begin("connect", id=t.bystander.new_id(), to=server.local)
    expect_failed(t)
    stranger.expect_flowing()
    connecting.result(WATCHDOG_S)
    connection = t.root.connect(server.local)
    exchange(connection)
    expect_untouched(connection, server, t.server)
    t.agent.call("lookup", peer=f"{t.loopback}/{connection.port}")  # must not hang
    answer = t.agent.call("stop", api=session.api)
    expect_equal(answer["status"], 22, "stop of a redirector whose thread is stopped")
    expect(answer["ms"] <= STOP_MS, f"stop took {answer['ms']} ms")
    expect_equal(t.agent.call("state")["state"], STOPPED, "state after stop")
    with open(log, encoding="utf-8") as text:
        expect("made no progress" in text.read(), "the log does not say what happened")
    t.agent.call("free")
    wait_until(lambda: t.lab.counters()["outbound"]["sessions"] == 0, "the firewall permit's session gone")
    t.agent.call("proxy_close_all")
    stranger.end()
    with t.redirected() as again:
        connect_and_check(t, t.root, again)
        t.agent.call("thaw")
        connect_and_check(t, t.root, again)


@scenario("S3", "S2", session="own")
def engine_stopped_at_idle(t, family):
    log = os.path.join(t.lab.stage, t.world.name("log") + ".txt")
    freeze_and_recover(t, Session(t.world, t.agent, t.root, log="Z:" + log, level=4), log)


@scenario("S3", "S2", session="own")
def engine_stopped_in_the_middle_of_a_batch(t, family):
    """Under load it is most likely in a batch; the tree's connections break, for their engine is dead."""
    log = os.path.join(t.lab.stage, t.world.name("log") + ".txt")
    session = Session(t.world, t.agent, t.root, log="Z:" + log, level=4)
    _, pending = under_load(t, session)
    freeze_and_recover(t, session, log)
    for one in pending:
        one.result(30, may_fail=True)


@scenario("S3", session="own")
def engine_that_goes_on_after_the_watchdog(t, family):
    """It finds its handles closed, and ends; stop is clean."""
    session = Session(t.world, t.agent, t.root)
    freeze(t)
    expect_failed(t)
    t.agent.call("thaw")
    answer = t.agent.call("stop", api=session.api)
    expect_equal(answer["result"], 1, f"stop (status {answer['status']})")
    t.agent.call("free")
    t.agent.call("proxy_close_all")
    with t.redirected() as again:
        connect_and_check(t, t.root, again)
