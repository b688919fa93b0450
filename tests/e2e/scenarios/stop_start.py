# SPDX-License-Identifier: LGPL-3.0-or-later
"""S2, S3: many starts and stops, stops at bad moments, and a redirector that is killed: nobody else's traffic notices.

What service.py shows already is not repeated: a stop under load, at idle, from several threads, of nothing.
"""
import os
import signal

from harness import STOP_MS, Session, scenario
from lab import expect, expect_equal, linux_pid, wait_until
from scenarios.outgoing import connect_and_check, exchange, expect_untouched, expect_visit
from scenarios.service import CONNECTION_RESET, under_load
from scenarios.tcp_life import expect_not_grown

ENDLESS = 1 << 40
AT_ONCE_S = 2
PACE = 2_000_000  # bytes a second: always under way, without filling the driver's queue
CONNECTION_REFUSED = 10061  # what a reset is to a connection that is not there yet
PROXY_BLOCKS = 2  # that the agent's proxy keeps of each cycle: its records of two connections


class Stranger:
    """A bystander's connection that never stops sending, to a server that echoes. `pace`: bytes a second."""

    def __init__(self, t, actor, seed=7, **pace):
        self.t, self.server = t, t.echo()
        self.connection = actor.connect(self.server.local, **pace)
        self.receiving = self.connection.begin("receive", seed=seed, n=ENDLESS)
        self.sending = self.connection.begin("send", seed=seed, n=ENDLESS)

    def echoed(self):
        """Bytes that the server has had of it."""
        visitors = {v["peer"]: v["bytes"] for v in self.t.server.visitors(self.server)}
        return visitors.get(self.connection.local, 0)  # else it came by another way

    def expect_flowing(self, limit=AT_ONCE_S):
        so_far = self.echoed()
        wait_until(lambda: self.echoed() > so_far + 100_000,
                   f"bytes of {self.connection.actor.name} {self.connection.local} flow on from {so_far}", limit)

    def end(self):
        """No byte was wrong and nothing had broken before this."""
        expect(not self.receiving.done and not self.sending.done, "a bystander's connection has broken",
               self.receiving.done and self.receiving.result(may_fail=True))
        self.connection.reset()
        answer = self.receiving.result(may_fail=True)
        expect(answer["error"] in ("receive", "ended"), "what the bystander received", answer)
        expect(answer["bytes"] > 100_000, "the bystander received little", answer)
        self.sending.result(may_fail=True)


def start_and_stop(t, count):
    """Cycles in one process; each redirects a connection of each family; a bystander's stream runs through all of them, and
    another program's connection is used in each."""
    stranger = Stranger(t, t.native, pace=PACE)
    servers = [t.echo(host=host) for host in ("10.77.0.2", "fd77::2")]
    old = t.bystander.connect(servers[0].local)
    for i in range(count):
        session = Session(t.world, t.agent, t.root)
        for server in servers:
            connection = t.root.connect(server.local)
            exchange(connection)
            expect_visit(t, session, connection, server, t.server)
        exchange(old, 20_000, seed=i)
        t.root.call("close_all")
        session.end()
        exchange(old, 20_000, seed=i)
        stranger.expect_flowing()
        if i == 4:
            memory = t.agent.call("memory")
    expect_not_grown(memory, t.agent.call("memory"), PROXY_BLOCKS * (count - 5))
    stranger.end()


@scenario("S2", "O5", families=None, session="own")
def thirty_starts_and_stops(t):
    start_and_stop(t, 30)


@scenario("S2", "O5", families=None, session="own", long=True)
def two_hundred_starts_and_stops(t):
    start_and_stop(t, 200)


UNLOAD_DRIVER = 16


def driver_is_loaded(t):
    t.lab.program_to_end("sc.exe", "query", "WinDivert")
    with open(os.path.join(t.lab.folder, "sc.exe.out"), encoding="utf-8", errors="replace") as answer:
        return "RUNNING" in answer.read()


@scenario("S2", families=None, session="own")
def driver_unloaded_if_nobody_uses_it(t):
    """By an option: with the last handle gone nothing holds the driver's file. While another program has a handle, the driver
    stays; and the next start loads it again."""
    other = t.child(t.lab.launcher, "agent.exe")
    with t.redirected() as session:
        answer = other.call("start", client=t.bystander.pid, proxy=1, flags=UNLOAD_DRIVER)
        expect_equal(answer["result"], 1, f"start ({answer['text']})")
        expect_equal(other.call("stop")["result"], 1, "stop")
        other.call("free")
        expect(driver_is_loaded(t), "the driver is gone, although another program uses it")
        connect_and_check(t, t.root, session, "10.77.0.2")
    expect(driver_is_loaded(t), "the driver is gone, although nobody asked for it")
    for _ in range(3):
        with t.redirected(flags=UNLOAD_DRIVER) as session:
            connect_and_check(t, t.root, session, "10.77.0.2")
        wait_until(lambda: not driver_is_loaded(t), "the driver unloaded")
    with t.redirected() as session:
        connect_and_check(t, t.root, session, "10.77.0.2")


def stop_from_two_threads(t, api):
    """Both at once; both succeed, in time."""
    for pending in [t.agent.begin("stop", api=api) for _ in range(2)]:
        answer = pending.result()
        expect_equal(answer["result"], 1, f"stop (status {answer['status']})")
        expect(answer["ms"] <= STOP_MS, f"stop took {answer['ms']} ms")


@scenario("S2", "L2", session="own")
def stop_from_two_threads_while_lookups_run(t, family):
    """Each lookup finds the right thing or nothing, before, during and after; both interfaces."""
    server = t.echo()
    for api in ("extended", "classic"):
        session = Session(t.world, t.agent, t.root, api=api)
        connection = t.root.connect(server.local)
        exchange(connection)
        hammer = t.agent.begin("hammer", threads=4, ms=3000, family=family, to=server.local, pid=t.root.pid)
        ending = connection.begin("receive_end")
        wait_until(lambda: t.agent.call("hammer_hits")["hits"] > 0, "the hammer has hit")
        stop_from_two_threads(t, api)
        expect(not hammer.done, "the lookups were over before the stop: the scenario shows nothing")
        stop_from_two_threads(t, api)
        answer = hammer.result()
        expect_equal(answer["wrong"], 0, f"wrong answers to lookups ({answer})")
        expect(answer["hits"] > 0 and answer["misses"] > 0, "lookups hit and missed", answer)
        expect_equal(ending.result()["end"], "reset", "what the program got")
        session.end()


@scenario("S2", session="own", families=None)
def stop_while_connections_are_made(t):
    """In the middle of a burst: each of its connections works, redirected before and direct after, or is reset; none
    hangs, and a bystander's stream goes on."""
    servers = [t.echo(host=host) for host in ("10.77.0.2", "fd77::2")]
    stranger = Stranger(t, t.native, pace=PACE)
    session = Session(t.world, t.agent, t.root)
    burst = t.root.begin("burst", to=",".join(s.local for s in servers), count=600, workers=12, n=3000)
    wait_until(lambda: session.stats()["flows_total"] >= 100, "a hundred redirected")
    session.stop()
    expect(not burst.done, "the burst was over before the stop: the scenario shows nothing")
    answer = burst.result(30)
    stranger.expect_flowing()
    stranger.end()
    expect_equal(answer["ok"] + answer["failed"], 600, "connections that ended")
    expect(answer["failed"] <= 12, f"more failed than were open at the stop ({answer})")
    codes = {problem["code"] for problem in answer["problems"]}
    expect(codes <= {0, CONNECTION_RESET, CONNECTION_REFUSED}, f"other errors than resets ({answer['problems']})")
    redirected = {r["onward"] for r in session.proxied()}
    visitors = {v["peer"] for server in servers for v in t.server.visitors(server)}
    expect(visitors - redirected, "nobody went directly although the redirector had stopped")
    expect(visitors & redirected, "nobody went over the proxy")
    session.end()


@scenario("S2", "O5", session="own", long=True)
def stop_while_a_bystander_floods(t, family):
    """Whatever is in the driver's queue, a stop ends in time, and by itself."""
    for _ in range(5):
        strangers = [Stranger(t, t.native), Stranger(t, t.native, seed=8)]
        with t.redirected() as session:
            connect_and_check(t, t.root, session)
            for stranger in strangers:
                stranger.expect_flowing()
            session.stop()
            for stranger in strangers:
                stranger.expect_flowing()
                stranger.end()


# ---- the redirector's process is killed

def kill_by_windows(t, agent):
    t.lab.launcher.call("kill", pid=agent.pid)


def kill_by_linux(t, agent):
    os.kill(linux_pid(agent), signal.SIGKILL)


def kill_the_agent(t, kill):
    """While the tree and bystanders transfer. The bystanders' bytes go on at once; the tree's connections break, for their
    proxy is dead, and new ones go where they are meant to; and the next start works."""
    strangers = [Stranger(t, t.native), Stranger(t, t.bystander)]
    agent = t.child(t.lab.launcher, "agent.exe")
    session = Session(t.world, agent, t.root)
    _, pending = under_load(t, session)
    kill(t, agent)
    agent.alive = lambda: False
    t.extra.remove(agent)
    for stranger in strangers:
        stranger.expect_flowing()
    wait_until(lambda: t.lab.handles() == [], "the driver's handles closed", AT_ONCE_S)
    for one in pending:
        answer = one.result(10, may_fail=True)
        expect_equal(answer.get("code"), CONNECTION_RESET, f"what the program got ({answer})")
    server = t.echo()
    connection = t.root.connect(server.local)
    exchange(connection)
    expect_untouched(connection, server, t.server)
    for stranger in strangers:
        stranger.end()
    with t.redirected() as session:
        connect_and_check(t, t.root, session)


@scenario("S3", "O5", session="own")
def agent_ended_by_terminate_process(t, family):
    kill_the_agent(t, kill_by_windows)


@scenario("S3", "O5", session="own")
def agent_killed_by_signal(t, family):
    kill_the_agent(t, kill_by_linux)
