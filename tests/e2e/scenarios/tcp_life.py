# SPDX-License-Identifier: LGPL-3.0-or-later
"""L1, L2, L3: connections that end in unusual ways, that do not end, and very many of them.

What life.py shows with one connection is not repeated here: RST from each side, both FINs, SYN refused.
"""
import time

from conditions import NOT_FOUND, balanced
from harness import LINGER_S, scenario
from lab import CLIENT, LOOPBACK, SERVER, expect, expect_equal, port_of, wait_until
from network import NATIVE_PID, kernel_setting, packet_rules
from scenarios.outgoing import exchange

SCAN_MS = 100
OPENING_S = 30  # FLOW_OPENING_MS: how long a SYN may stay unanswered
# By how much an agent's heaps may have grown. Wine now and then says 200 KB more of one block, with or without connections.
BYTES_BOUND, BLOCKS_BOUND = 512 * 1024, 50


def through(t, session, actor, family=None):
    """A redirected connection to a listener on the server: (program's end, server's end)."""
    host = SERVER[family] if family else t.server_host
    listener = t.server.listen(f"{host}/{t.free_port()}")
    accepting = t.server.begin_accept(listener)
    near = actor.connect(listener.local)
    far = accepting.finish()
    record = session.proxied_for(near)
    expect_equal(far.peer, record["onward"], "who came to the server")
    near.at_proxy = record["peer"]
    return near, far


def both_ways(near, far, n=20_000, at=0):
    for one, other in ((near, far), (far, near)):
        one.send(5, n, at)
        other.receive(5, n, at)


def lookup(session, near):
    return session.agent.call("lookup", peer=near.at_proxy)["status"]


def expect_nothing_left(session, limit=LINGER_S):
    wait_until(lambda: session.stats()["flows_live"] == 0, "no flow left", limit)
    answer = session.agent.call("mappings")
    expect_equal((answer["count"], answer["peers"]), (0, []), "lookups of all ports that still find something")


def syn_ack_lost(session):
    return f"OUTPUT -p tcp --sport {session.proxy_port} --tcp-flags SYN,ACK SYN,ACK -j DROP"


@scenario("L1", "O2", session="own")
def syn_answered_late(t, family):
    """The proxy's answer is lost, the SYN comes again and again: one flow, one mapping, and it works in the end."""
    server = t.echo()
    with balanced(t) as session:
        with packet_rules(family, syn_ack_lost(session)):
            connecting = t.root.begin_connect(server.local)
            wait_until(lambda: session.stats()["flows_live"] == 1, "the flow of an unanswered SYN")
            # The first SYN, and at least one that the program sent again.
            wait_until(lambda: session.stats()["packets_rewritten"] >= 2, "a second SYN redirected")
            expect(not connecting.pending.done, "the connection was there although its answer was lost")
            expect_equal(session.agent.call("mappings")["count"], 1, "mappings while the SYN is unanswered")
        exchange(connecting.finish())
        expect_equal(session.stats()["flows_total"], 1, "flows")
        t.world.close_connections()
        expect_nothing_left(session)


@scenario("L1", "L2", session="own")
def sockets_that_vanish_without_a_word(t, family):
    """A program is killed and its RST is lost: as long as the proxy's end is in the TCP table the flow lives; when that has
    vanished too, looking at the table ends it. Another connection shows that looks do happen, and what they leave alone."""
    with balanced(t, scan_interval_ms=SCAN_MS) as session:
        child = t.child(t.root)
        first, second = through(t, session, child), through(t, session, child)
        bystander = through(t, session, t.root)
        silence = [f"OUTPUT -p tcp --sport {session.proxy_port} --dport {port_of(near.at_proxy)} -j DROP"
                   for near, _ in (first, second)]
        silence += [f"OUTPUT -p tcp --sport {near.port} --dport {port_of(near.peer)} -j DROP" for near, _ in (first, second)]
        for pair in (first, second):
            both_ways(*pair)
            pair[1].send(6, 1000)  # never read: so the kernel ends the socket by RST, and at once
        session_records = {near: session.proxied_for(near) for near, _ in (first, second)}
        expect(all(record["end"] == "" for record in session_records.values()), "the proxy lost a connection early")
        wait_until(lambda: all(session.proxied_for(near)["down"] == 21_000 for near, _ in (first, second)),
                   "the last bytes at the proxy")
        with packet_rules(family, *silence):
            t.lab.launcher.call("kill", pid=child.pid)
            child.alive = lambda: False
            t.extra.remove(child)
            second[1].reset()  # the relay then resets its end, of which nobody hears
            wait_until(lambda: lookup(session, second[0]) == NOT_FOUND, "flow with neither end ended by a look", 10)
            expect_equal(lookup(session, first[0]), 0, "lookup of the flow whose proxy's end is there")
            expect_equal(session.stats()["flows_live"], 2, "flows")
            first[1].reset()
            wait_until(lambda: lookup(session, first[0]) == NOT_FOUND, "the other flow ended too", 10)
        both_ways(*bystander, at=20_000)
        expect_equal(session.stats()["flows_live"], 1, "flows")
        t.world.close_connections()
        expect_nothing_left(session)


def outlive_every_timeout(t, rounds):
    """Idle and half-closed connections, while SYNs into the void come and go, each of which takes OPENING_S to be given up;
    and while the TCP table is looked at ten times a second."""
    with balanced(t, scan_interval_ms=SCAN_MS) as session:
        idle, by_program, by_server = [], [], []
        for family in (4, 6):
            idle.append(through(t, session, t.root, family))
            near, far = through(t, session, t.root, family)
            near.shutdown()
            expect_equal(far.end(), "fin", "what the server saw")
            by_program.append((near, far))
            near, far = through(t, session, t.root, family)
            far.shutdown()
            expect_equal(near.end(), "fin", "what the program saw")
            by_server.append((near, far))
        standing = idle + by_program + by_server
        for i in range(rounds):
            void(t, session, len(standing))
            for near, _ in standing:
                expect_equal(session.agent.call("lookup", peer=near.at_proxy).get("destination"), near.peer, "lookup")
            for near, far in by_program:
                far.send(1, 30_000, i * 30_000)
                near.receive(1, 30_000, i * 30_000)
            for near, far in by_server:
                near.send(2, 30_000, i * 30_000)
                far.receive(2, 30_000, i * 30_000)
        for near, far in idle:
            both_ways(near, far)
        t.world.close_connections()
        expect_nothing_left(session)


def void(t, session, others):
    """One SYN per family that is never answered; the program gives up at once, the flow only after OPENING_S."""
    with packet_rules(4, syn_ack_lost(session)), packet_rules(6, syn_ack_lost(session)):
        before = session.stats()
        attempts = [t.root.begin_connect(f"{SERVER[family]}/{t.free_port()}") for family in (4, 6)]
        wait_until(lambda: session.stats()["flows_live"] == others + 2, "flows of the SYNs")
        began = time.monotonic()
        for attempt in attempts:
            t.root.call("close", id=attempt.number)
            attempt.pending.result(may_fail=True)
        wait_until(lambda: session.stats()["flows_live"] <= others, "flows of unanswered SYNs ended", OPENING_S + 10)
        expect_equal(session.stats()["flows_live"], others, "flows: all but those")
        expect(time.monotonic() - began > OPENING_S / 2, "the flow of an unanswered SYN ended too early")
        expect_equal(session.stats()["flows_total"] - before["flows_total"], 2, "flows")


@scenario("L1", "L2", families=None, session="own")
def idle_and_half_closed_beyond_every_timeout(t):
    outlive_every_timeout(t, 1)


@scenario("L1", "L2", families=None, session="own", long=True)
def idle_and_half_closed_for_minutes(t):
    outlive_every_timeout(t, 8)


# ---- very many

def everywhere(t):
    """Addresses in both families, on the other host and on this one, where nobody needs to be: the proxy echoes."""
    return [f"{host}/{t.free_port()}" for family in (4, 6)
            for host in (SERVER[family], LOOPBACK[family], CLIENT[family][1])]


def expect_no_trace(t, in_turn, at_once):
    """The proxy is a native program, so what the agent's memory shows is the library's. The first burst lets everything
    grow to its size."""
    warm_up = at_once // 2
    with balanced(t, proxy_families=()) as session:
        proxies = [t.native.serve(f"{LOOPBACK[family]}/{session.proxy_port}") for family in (4, 6)]
        expect_burst(t, session, warm_up, workers=20, hold=1)
        before = t.agent.call("memory")
        expect_burst(t, session, in_turn, workers=6)
        expect_burst(t, session, at_once, workers=50, hold=1)
        expect(t.agent.call("mappings")["count"] > 0, "no mapping lingers: the scenario shows nothing")
        expect_nothing_left(session)
        expect_not_grown(before, t.agent.call("memory"))
        visitors = sum(len(t.native.visitors(proxy)) for proxy in proxies)
        expect_equal(visitors, warm_up + in_turn + at_once, "connections that reached the proxy")


def expect_not_grown(before, after, more_blocks=0):
    grown = {name: after[name] - before[name] for name in ("bytes", "blocks")}
    expect(grown["bytes"] <= BYTES_BOUND and grown["blocks"] <= BLOCKS_BOUND + more_blocks, "the agent's heaps have grown",
           grown)


def expect_burst(t, session, count, **burst):
    before = session.stats()
    running = t.root.begin("burst", to=",".join(everywhere(t)), count=count, n=300, **burst)
    if burst.get("hold"):
        wait_until(lambda: running.done or session.stats()["flows_live"] >= count, "all open at once", 120)
    answer = running.result(600)
    after = session.stats()
    expect_equal((answer["ok"], answer["failed"]), (count, 0), f"connections that worked ({answer})")
    expect_equal(after["flows_total"] - before["flows_total"], count, "flows")
    for counter in ("flow_table_full", "hold_timeouts", "hold_overflows", "send_errors", "receive_errors",
                    "proxy_not_listening"):
        expect_equal(after[counter], before[counter], counter)


@scenario("L1", "L2", "L3", families=None, session="own")
def a_thousand_in_turn_then_three_hundred_at_once(t):
    expect_no_trace(t, 1000, 300)


@scenario("L1", "L2", "L3", families=None, session="own", long=True)
def ten_thousand_in_turn_then_two_thousand_at_once(t):
    expect_no_trace(t, 10_000, 2000)


# ---- more than the flow table holds

FLOWS = 65536 - 1024  # one source port means one flow (O3), and flows are given none below 1024
AT_A_TIME = 504
MEMBERS = 4  # a process may not have that many files


@scenario("L3", "O3", families=None, session="own", long=True)
def full_flow_table(t):
    """As many connections of native programs, which rules have put into the tree, as there are source ports, to a proxy
    that lets them wait. The next ones pass, and are counted; when one has ended, the next is redirected again."""
    members = [t.lab.native(t.world.name("native"), "client") for _ in range(MEMBERS)]
    rules = ",".join(f"+#{NATIVE_PID + member.pid}" for member in members)
    backlog = 2 * FLOWS
    with kernel_setting("client", "net.core.somaxconn", backlog), kernel_setting("server", "net.core.somaxconn", backlog), \
            balanced(t, proxy_families=(), rules=rules) as session:
        t.native.call("listen", id=t.native.new_id(), at=f"{LOOPBACK[4]}/{session.proxy_port}", backlog=backlog)
        targets = [f"{SERVER[4]}/{t.free_port()}" for _ in range(MEMBERS)]
        for target in targets:
            t.server.call("listen", id=t.server.new_id(), at=target, backlog=backlog)

        def flood(count, member=members[0]):
            member.call("flood", to=",".join(targets), count=count, limit=60)
            stats = session.stats()
            return stats["flows_live"], stats["flow_table_full"]
        for member in members:
            for _ in range(FLOWS // MEMBERS // AT_A_TIME):
                flood(AT_A_TIME, member)
        expect_equal(session.agent.call("mappings")["count"], FLOWS, "mappings")
        expect_equal(flood(AT_A_TIME), (FLOWS, AT_A_TIME), "flows, and connections that passed")
        members[1].call("flood_reset", count=1)
        wait_until(lambda: session.stats()["flows_live"] == FLOWS - 1, "room for one")
        expect_equal(flood(2), (FLOWS, AT_A_TIME + 1), "flows, and connections that passed")
        for member in members:
            end_flood(session, member)
        expect_nothing_left(session)


def end_flood(session, member):
    """Ends the connections, not more at a time than the driver's queue can hold the packets of."""
    left = 1
    while left:
        seen = session.stats()["packets_seen"]
        left = member.call("flood_reset", count=AT_A_TIME)["open"]
        wait_until(lambda seen=seen: session.stats()["packets_seen"] >= seen + min(left, AT_A_TIME), "resets seen")
    member.call("exit")
    member.alive = lambda: False
