# SPDX-License-Identifier: LGPL-3.0-or-later
"""S3, O4: the proxy dies, hangs, restarts; the agent or the client ends; the engine stops."""
import os
import signal

from harness import Session
from lab import Failure, end_leftover, expect, expect_equal, has_ended, linux_pid, wait_until
from matrix import case
from scenarios.outgoing import connect_and_check, exchange
from traffic import LIMIT_S, Transfer, await_failed, expect_running, stop_failed

CONNECTION_RESET = 10054


@case("the proxy ends, and comes back", quick=True)
def proxy_ends(t):
    with t.redirected() as session:
        Transfer(t, session)
        t.agent.call("proxy_close_all", limit=60)
        t.expect_direct()
        line = t.logged("nothing listens on")
        missing = session.stats()["proxy_not_listening"]
        expect(missing > 0, "proxy_not_listening is not counted")
        for host in ("127.0.0.1", "::1"):
            t.agent.call("proxy", at=f"{host}/{session.proxy_port}")
        session.seen = 0
        connect_and_check(t, t.root, session)
    return f"connections pass directly until it is back; count proxy_not_listening; log: {line}"


@case("the proxy ends, with REDIRECTOR_FAIL_CLOSED")
def proxy_ends_refuse(t):
    with t.redirected(flags=4) as session:
        t.agent.call("proxy_close_all", limit=60)
        answer = t.root.call("connect", id=t.root.new_id(), to=t.echo().local, may_fail=True)
        expect_equal(answer.get("code"), 10061, f"connect ({answer})")
        exchange(t.bystander.connect(t.echo().local))
        line = t.logged("nothing listens on")
        expect_running(t)
        expect(session.stats()["proxy_not_listening"] > 0, "proxy_not_listening is not counted")
    return f"connect() is refused (10061) at once; strangers' are not; log: {line}"


@case("the proxy hangs: it accepts and reads nothing")
def proxy_hangs(t):
    with t.redirected(mode="hole") as session:
        connection = t.root.connect(t.echo().local)
        sending = connection.begin("send", seed=1, n=1 << 30)
        exchange(t.bystander.connect(t.echo().local))
        expect(not sending.done, "the hole has swallowed a gigabyte")
        session.stop()
        answer = sending.result(LIMIT_S, may_fail=True)
        expect_equal(answer.get("code"), CONNECTION_RESET, f"how the send ended ({answer})")
    return "the tree's connections wait for it, nobody else's; stop resets them"


def agent_ends(name, kill, quick=False):
    @case(name, quick=quick)
    def ends(t):
        agent = t.child(t.lab.launcher, "agent.exe")
        session = Session(t.world, agent, t.root)
        pending = Transfer(t, session).begin(1 << 30)
        pid = linux_pid(agent)
        kill(t, agent)
        agent.alive = lambda: False
        t.extra.remove(agent)
        wait_until(lambda: has_ended(pid), "the agent ended")
        try:
            wait_until(lambda: t.lab.handles() == [], "the driver's handles closed")
        except Failure:
            expect(end_leftover(pid), "the agent is gone, and its handles are open")
            wait_until(lambda: t.lab.handles() == [], "the driver's handles closed, with what Wine had left of the agent")
        for one in pending:
            answer = one.result(LIMIT_S, may_fail=True)
            expect("error" in answer and answer["error"] != "wrong byte", "how the tree's connection ended", answer)
        t.expect_direct()
        return "the tree's connections are reset, new ones pass directly; no handle stays"


agent_ends("the agent is killed (TerminateProcess)", lambda t, agent: t.lab.launcher.call("kill", pid=agent.pid), True)
agent_ends("the agent is killed (signal)", lambda t, agent: os.kill(linux_pid(agent), signal.SIGKILL))
agent_ends("the agent exits without stop", lambda t, agent: agent.call("exit"))


@case("the client ends")
def client_ends(t):
    client = t.child(t.lab.launcher)
    with t.redirected(root=client) as session:
        server = t.echo()
        exchange(client.connect(server.local))
        t.exit(client, t.lab.launcher)
        wait_until(lambda: session.stats()["flows_live"] == 0, "its flows over", 40)
        expect_running(t)
        t.expect_direct()
    return "nothing; its connections end"


@case("the engine's thread stops", keeps=True, quick=True)
def engine_stops(t):
    """More of it, at idle, in a batch, and going on later: tests/e2e/run --only engine_"""
    session = Session(t.world, t.agent, t.root, log="Z:" + t.log, level=4)
    Transfer(t, session)
    expect(t.agent.call("freeze")["frozen"] >= 1, "the engine's thread was not found")
    text = await_failed(t, "ENGINE_STALLED")
    t.expect_direct()
    line = t.logged("redirection has ended").split(":")[0]
    result = stop_failed(t, session, (22,))
    return f"after 2 s: state FAILED: {text}; stop: {result}; log: {line}"
