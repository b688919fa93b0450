# SPDX-License-Identifier: LGPL-3.0-or-later
"""O8: connections that the proxy's program decides about before they are answered (redirector_decide)."""
from harness import REFLECT, scenario
from lab import expect, expect_equal, host_of, wait_until
from network import kernel_setting, packet_rules
from scenarios.outgoing import exchange, expect_untouched, expect_visit

ACCEPT, REFUSE, PASS, DROP = 1, 2, 3, 4
OK, NOT_RUNNING, NOT_FOUND = 0, 7, 8
LONG_MS = 60000  # nothing is left to the limit
REFUSED, TIMED_OUT = 10061, 10060


def asked(t, connecting, to):
    """The connection that waits: it is asked about, and not answered."""
    question = t.agent.call("next")
    expect_equal(question["status"], OK, "a connection to decide about")
    expect_equal((question["pid"], question["destination"]), (connecting.actor.pid, to), "which one it is")
    expect_equal(host_of(question["client"]), t.client if host_of(to) != t.loopback else t.loopback, "its own end")
    expect(not connecting.pending.done, "it was answered before anybody has decided", question)
    return question["id"]


def decide(t, number, decision, status=OK):
    expect_equal(t.agent.call("decide", id=number, decision=decision)["status"], status, "decision")


def refusal(actor, to, **arguments):
    """The error with which a connect ends."""
    return actor.begin_connect(to, **arguments).pending.result(may_fail=True).get("code")


@scenario("O8", session="own")
def a_connect_ends_as_it_is_decided(t, family):
    with t.redirected(decision_timeout_ms=LONG_MS) as session:
        server = t.echo()
        closed = f"{t.server_host}/{t.free_port()}"
        connecting = t.root.begin_connect(server.local)
        number = asked(t, connecting, server.local)
        decide(t, number, ACCEPT)
        connection = connecting.finish()
        exchange(connection, 100_000)
        record = expect_visit(t, session, connection, server, t.server)
        expect_equal(record["connection_id"], number, "how the proxy knows it again")
        decide(t, number, REFUSE, NOT_FOUND)

        direct = refusal(t.bystander, closed)
        expect_equal(direct, REFUSED, "a closed port, directly")
        connecting = t.root.begin_connect(closed)
        decide(t, asked(t, connecting, closed), REFUSE)
        expect_equal(connecting.pending.result(may_fail=True).get("code"), direct, "a refused connection")

        connecting = t.root.begin_connect(server.local)
        decide(t, asked(t, connecting, server.local), PASS)
        connection = connecting.finish()
        exchange(connection)
        expect_untouched(connection, server, t.server)
        expect_equal(len(session.proxied()), 1, "connections that reached the proxy")
        expect_equal(t.agent.call("next", ms=0)["status"], NOT_FOUND, "there are no more")
        stats = session.stats()
        expect_equal((stats["decision_waits"], stats["decision_timeouts"], stats["decision_overflows"]), (3, 0, 0),
                     "counters")


@scenario("O8", session="own")
def a_dropped_connect_times_out_as_with_a_silent_destination(t, family):
    to = f"{t.server_host}/{t.free_port()}"
    with kernel_setting("client", "net.ipv4.tcp_syn_retries", 1), t.redirected(decision_timeout_ms=LONG_MS):
        with packet_rules(family, f"INPUT -p tcp --dport {to.split('/')[1]} -j DROP", host="server"):
            direct = refusal(t.bystander, to)
        expect_equal(direct, TIMED_OUT, "a silent destination, directly")
        connecting = t.root.begin_connect(to)
        decide(t, asked(t, connecting, to), DROP)
        expect_equal(connecting.pending.result(may_fail=True).get("code"), direct, "a dropped connection")


@scenario("O8", session="own")
def without_a_decision_connections_are_redirected_at_the_limit(t, family):
    """Nobody asks at all; and somebody asks, and never decides."""
    with t.redirected(decision_timeout_ms=200) as session:
        server = t.echo()
        for take in (False, True):
            connecting = t.root.begin_connect(server.local)
            number = t.agent.call("next")["id"] if take else 0
            connection = connecting.finish()
            exchange(connection)
            expect_visit(t, session, connection, server, t.server)
            if take:
                decide(t, number, REFUSE, NOT_FOUND)
        expect_equal(session.stats()["decision_timeouts"], 2, "connections redirected at the limit")


@scenario("O8", session="own")
def an_agent_that_dies_leaves_connections_to_go_directly(t, family):
    """The SYN that it held is lost with it, and sent again by the program's TCP."""
    agent = t.lab.spawn_apart(t.world.name("agent"), "agent.exe")
    proxy_port = t.free_port()
    agent.call("proxy", at=f"{t.loopback}/{proxy_port}")
    started = agent.call("start", limit=60, client=t.root.pid, proxy=proxy_port, decision_timeout_ms=LONG_MS)
    expect_equal(started["result"], 1, f"start ({started['text']})")
    server = t.echo()
    connecting = t.root.begin_connect(server.local)
    expect_equal(agent.call("next")["status"], OK, "a connection to decide about")
    t.lab.launcher.call("kill", pid=agent.pid)
    agent.alive = lambda: False
    connection = connecting.finish()
    exchange(connection)
    expect_untouched(connection, server, t.server)
    wait_until(lambda: t.lab.handles() == [], "driver handles closed")


@scenario("O8", "S2", session="own")
def stop_lets_connections_that_wait_go_directly(t, family):
    server = t.echo()
    with t.redirected(decision_timeout_ms=LONG_MS) as session:
        connecting = t.root.begin_connect(server.local)
        number = asked(t, connecting, server.local)
        waiting = t.agent.begin("next", ms=0xFFFFFFFF)
        session.stop()
        expect_equal(waiting.result()["status"], NOT_RUNNING, "whoever waits for connections learns of the end")
        connection = connecting.finish()
        exchange(connection)
        expect_untouched(connection, server, t.server)
        decide(t, number, REFUSE, NOT_FOUND)


@scenario("O8", session="own")
def a_program_that_gives_up_is_not_waited_for(t, family):
    to = f"{t.server_host}/{t.free_port()}"
    with t.redirected(decision_timeout_ms=LONG_MS) as session:
        connecting = t.root.begin_connect(to)
        number = asked(t, connecting, to)
        dropped = session.stats()["packets_dropped"]
        t.root.call("close", id=connecting.number)
        wait_until(lambda: session.stats()["packets_dropped"] > dropped, "the SYN given up")
        connecting.pending.result(may_fail=True)
        decide(t, number, ACCEPT, NOT_FOUND)
        expect_equal(session.stats()["flows_total"], 0, "connections redirected")


@scenario("O8", session="own")
def decisions_with_reflection_and_over_loopback(t, family):
    far, near = t.echo(), t.echo(t.native, t.loopback)
    with t.redirected(decision_timeout_ms=LONG_MS, flags=REFLECT) as session:
        for server, actor in ((far, t.server), (near, t.native)):
            connecting = t.root.begin_connect(server.local)
            decide(t, asked(t, connecting, server.local), ACCEPT)
            connection = connecting.finish()
            exchange(connection)
            expect_visit(t, session, connection, server, actor)
            connecting = t.root.begin_connect(server.local)
            decide(t, asked(t, connecting, server.local), REFUSE)
            expect_equal(connecting.pending.result(may_fail=True).get("code"), REFUSED, "a refused connection")
