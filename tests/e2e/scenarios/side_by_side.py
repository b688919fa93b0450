# SPDX-License-Identifier: LGPL-3.0-or-later
"""O7: redirectors side by side, in one process and in several, with trees of their own and with trees within each other."""
import contextlib
import os

from conditions import warnings_in
from harness import REFLECT, Session, scenario
from lab import expect, expect_equal, wait_until
from scenarios.outgoing import exchange, expect_untouched, expect_visit

CONNECTIONS = 20
WITHOUT_HOLD = ("hold_timeouts", "hold_overflows", "send_errors", "receive_errors", "priority_shared")


def log_of(t, name):
    return os.path.join(t.lab.stage, t.world.name(name) + ".txt")


@contextlib.contextmanager
def side_by_side(t, *wishes):
    """Redirectors, each of (agent, root, configuration), started in this order and all ended together."""
    sessions = []
    try:
        for agent, root, config in wishes:
            sessions.append(Session(t.world, agent, root, **config))
        yield sessions
        t.world.close_connections()
        for actor in t.extra:
            actor.call("close_all")
    finally:
        for session in sessions:
            stop(session)
    wait_until(lambda: t.lab.handles() == [], "driver handles closed after the last stop")
    for session in sessions:
        session.agent.call("proxy_close_all")


@contextlib.contextmanager
def one_more(t, agent, root):
    """Another redirector beside those that run."""
    session = Session(t.world, agent, root)
    try:
        yield session
    finally:
        stop(session)


def stop(session):
    """Ends one of several; again is fine. Its proxy stays."""
    if getattr(session, "over", False):
        return
    session.over = True
    answer = session.agent.call("stop", api=session.api, instance=session.instance)
    expect_equal(answer["result"], 1, f"stop (status {answer['status']})")
    if session.api == "extended":
        session.agent.call("free", instance=session.instance)


def another(t, parent=None, exe="probe.exe"):
    return t.child(parent or t.lab.launcher, exe)


def each_its_own(t, sessions, count=CONNECTIONS, host=None):
    """So many connections of each tree: all at the tree's own proxy, none held until the deadline."""
    before = [s.stats() if s.api == "extended" else None for s in sessions]
    for session in sessions:
        session.forget_proxied()
    servers = [t.echo(host=host) for _ in sessions]
    for _ in range(count):
        for session, server in zip(sessions, servers):
            exchange(session.root.connect(server.local))
    for session, server, counters in zip(sessions, servers, before):
        mine = [r for r in session.proxied() if r.get("destination") == server.local and r["pid"] == session.root.pid]
        expect_equal(len(mine), count, f"connections of {session.root.name} at its own proxy")
        expect_equal(len(session.proxied()), count, f"connections at the proxy of {session.root.name}")
        if counters:
            now = session.stats()
            for counter in WITHOUT_HOLD:
                expect_equal(now[counter], counters[counter], counter)


def bands(t):
    """The priorities of the packet handles, lowest first; each at most once."""
    found = sorted(h["priority"] for h in t.lab.handles() if h["layer"] == 0)
    expect_equal(len(found), len(set(found)), f"no two packet handles at one priority ({found})")
    return found


@scenario("O7", session="own")
def two_in_one_process(t, family):
    with side_by_side(t, (t.agent, t.root, {}), (t.agent, another(t), {"instance": 1})) as sessions:
        each_its_own(t, sessions)
        bands(t)


@scenario("O7", session="own")
def two_processes_and_the_classic_calls(t, family):
    """One by the classic calls, one by the extended ones in the same process, one in another."""
    agent = another(t, exe="agent.exe")
    wishes = [(t.agent, t.root, {"api": "classic"}), (t.agent, another(t), {"instance": 1}), (agent, another(t), {})]
    with side_by_side(t, *wishes) as sessions:
        each_its_own(t, sessions, 10)


@scenario("O7", session="own")
def by_reflection_beside_loopback(t, family):
    """Either may reflect, the one that stands above and the one below."""
    for flags in ((REFLECT, 0), (0, REFLECT), (REFLECT, REFLECT)):
        agent = another(t, exe="agent.exe")
        with side_by_side(t, (t.agent, t.root, {"flags": flags[0]}), (agent, another(t), {"flags": flags[1]})) as both:
            each_its_own(t, both, 5)


@scenario("O7", session="own")
def incoming_beside_incoming(t, family):
    """Connections to the listeners of either tree, from this machine and from another."""
    agent, root = another(t, exe="agent.exe"), another(t)
    with side_by_side(t, (t.agent, t.root, {"incoming": True}), (agent, root, {"incoming": True})) as sessions:
        for session in sessions:
            for peer, host in ((t.server, t.client), (t.native, t.loopback)):
                server = t.echo(session.root, host)
                exchange(peer.connect(server.local))
                told = [r for r in session.proxied() if r.get("destination") == server.local]
                expect_equal([(r["incoming"], r["pid"]) for r in told], [(1, session.root.pid)], "what its proxy was told")
        each_its_own(t, sessions, 5)
        expect_equal([s.stats()["hold_timeouts"] for s in sessions], [0, 0], "deadlines passed")


@scenario("O7", session="own")
def one_stops_and_starts_beside_the_other(t, family):
    """The other's connections go on, and its new ones go to its proxy, whichever of the two stops."""
    agent, root = another(t, exe="agent.exe"), another(t)
    for first in (True, False):
        server = t.echo()
        wishes = [(t.agent, t.root, {}), (agent, root, {})]
        with side_by_side(t, *(wishes if first else wishes[::-1])) as (stays, ends):
            old = stays.root.connect(server.local)
            exchange(old)
            broken = ends.root.connect(server.local)
            exchange(broken)
            stop(ends)
            expect_equal(broken.end(), "reset", "how the other's connection ended")
            exchange(old)
            each_its_own(t, [stays], 5)
            direct = ends.root.connect(server.local)
            exchange(direct)
            expect_untouched(direct, server, t.server)
            ends.agent.call("proxy_close_all")
            with one_more(t, ends.agent, ends.root) as again:
                each_its_own(t, [stays, again], 5)
                exchange(old)


@scenario("O7", session="own")
def while_filters_are_replaced(t, family):
    """New strangers that send much, so that both replace their filters: none is lost to the other."""
    agent, root = another(t, exe="agent.exe"), another(t)
    with side_by_side(t, (t.agent, t.root, {}), (agent, root, {})) as sessions:
        server = t.echo()

        def both_have_replaced():
            stranger = t.bystander.connect(server.local)
            exchange(stranger, 200_000)
            stranger.close()
            for session in sessions:
                exchange(session.root.connect(server.local))
            return all(s.stats()["filter_replacements"] >= 3 for s in sessions)
        wait_until(both_have_replaced, "both have replaced their filters three times", 90)
        for session in sessions:
            stats = session.stats()
            expect_equal(stats["flows_total"], len(session.proxied()), f"redirected connections of {session.root.name}")
        bands(t)


@scenario("O7", session="own", families=None)
def six_of_them(t):
    agents = [another(t, exe="agent.exe") for _ in range(2)]
    wishes = [(agent, another(t), {"instance": i}) for i in range(3) for agent in agents]
    with side_by_side(t, *wishes) as sessions:
        each_its_own(t, sessions, 3, "10.77.0.2")
        bands(t)


@scenario("O7", session="own", families=None)
def two_that_start_at_the_same_moment(t):
    agents, roots = [another(t, exe="agent.exe") for _ in range(4)], [another(t) for _ in range(4)]
    for _ in range(5):
        starts = [agent.begin("start", client=root.pid, proxy=1) for agent, root in zip(agents, roots)]
        for pending in starts:
            expect_equal(pending.result(60)["result"], 1, "start")
        bands(t)
        expect_equal([agent.call("stats")["priority_shared"] for agent in agents], [0] * 4, "priority_shared")
        for agent in agents:
            agent.call("stop")
            agent.call("free")
        wait_until(lambda: t.lab.handles() == [], "driver handles closed")


# ---- trees within each other

def nested(t, inner_first):
    """Outer: an agent of the lab's, with a tree in which another redirector runs. -> (outer's, inner's) wishes"""
    inner_agent = another(t, t.root, "agent.exe")
    program = another(t, inner_agent)
    outer = (t.agent, t.root, {"log": "Z:" + log_of(t, "outer")})
    inner = (inner_agent, program, {})
    return [inner, outer] if inner_first else [outer, inner]


def expect_inner_leads(t, outer, inner, chained=True):
    """The inner one's program goes to the inner proxy, whose own connection goes to the outer's, as it is one of its
    tree; and what is not the inner one's goes to the outer's at once."""
    server = t.echo()
    before = outer.stats()
    connection = inner.root.connect(server.local)
    exchange(connection)
    record = inner.proxied_for(connection)
    at_outer = [r for r in outer.proxied() if r.get("destination") == server.local]
    if chained:
        expect_equal([(r["pid"], r["peer"].rpartition("/")[2]) for r in at_outer],
                     [(inner.agent.pid, record["onward"].rpartition("/")[2])], "what the outer proxy was told")
    else:
        expect_equal(at_outer, [], "what the outer proxy was told")
    after = outer.stats()
    expect_equal(after["led_by_others"] - before["led_by_others"], 1, "led_by_others of the outer one")
    for counter in WITHOUT_HOLD:
        expect_equal(after[counter], before[counter], f"{counter} of the outer one")
    own = t.root.connect(server.local)
    exchange(own)
    outer.forget_proxied()
    inner.forget_proxied()
    expect_equal(inner.stats()["led_by_others"], 0, "led_by_others of the inner one")


def says_so(path, inner):
    expect(any("another redirector" in line or "belongs to this tree" in line for line in warnings_in(path)),
           f"the outer one's log does not say that the redirector of {inner.agent.name} leads", warnings_in(path))


def nested_case(t, inner_first):
    wishes = nested(t, inner_first)
    log = wishes[inner_first][2]["log"][2:]
    with side_by_side(t, *wishes) as sessions:
        outer, inner = sessions[inner_first], sessions[not inner_first]
        for _ in range(3):
            expect_inner_leads(t, outer, inner)
        wait_until(lambda: "redirector" in "".join(warnings_in(log)), "the log says so", 5)
        says_so(log, inner)
        stop(inner)
        server = t.echo()
        connection = inner.root.connect(server.local)
        exchange(connection)
        expect_visit(t, outer, connection, server, t.server)


@scenario("O7", session="own")
def a_tree_within_a_tree_the_outer_first(t, family):
    nested_case(t, False)


@scenario("O7", session="own")
def a_tree_within_a_tree_the_inner_first(t, family):
    nested_case(t, True)


@scenario("O7", session="own")
def nested_trees_of_one_process(t, family):
    """Both redirectors in an agent outside of both trees: the tree within the other is the inner one."""
    for inner_first in (False, True):
        program = another(t, t.root)
        outer, inner = (t.agent, t.root, {}), (t.agent, program, {"instance": 1})
        with side_by_side(t, *([inner, outer] if inner_first else [outer, inner])) as sessions:
            expect_inner_leads(t, sessions[inner_first], sessions[not inner_first], chained=False)


@scenario("O7", session="own")
def one_tree_claimed_twice(t, family):
    """The redirector that was started later leads."""
    agent = another(t, exe="agent.exe")
    server = t.echo()
    with side_by_side(t, (t.agent, t.root, {}), (agent, t.root, {})) as (first, later):
        connection = t.root.connect(server.local)
        exchange(connection)
        expect_visit(t, later, connection, server, t.server)
        expect_equal(first.proxied(), [], "connections at the earlier one's proxy")
        expect_equal(first.stats()["led_by_others"], 1, "led_by_others of the earlier one")
        expect_equal(first.stats()["hold_timeouts"], 0, "deadlines passed")
        stop(later)
        connection = t.root.connect(server.local)
        exchange(connection)
        expect_visit(t, first, connection, server, t.server)


@scenario("O7", session="own")
def nested_and_incoming_from_this_machine(t, family):
    """A connection to the inner program's listener: the inner proxy has it, and its own reaches the program."""
    inner_agent = another(t, t.root, "agent.exe")
    program = another(t, inner_agent)
    with side_by_side(t, (t.agent, t.root, {"incoming": True}),
                      (inner_agent, program, {"incoming": True})) as (outer, inner):
        server = t.echo(program, t.loopback)
        exchange(t.native.connect(server.local))
        told = [(r["incoming"], r["pid"]) for r in inner.proxied() if r.get("destination") == server.local]
        expect_equal(told, [(1, program.pid)], "what the inner proxy was told")
        expect_equal(outer.proxied(), [], "connections at the outer proxy")
        expect_equal([outer.stats()["hold_timeouts"], inner.stats()["hold_timeouts"]], [0, 0], "deadlines passed")
