# SPDX-License-Identifier: LGPL-3.0-or-later
"""O1, O4, O8: connections that stay on the machine; and what happens where there is no proxy."""
from conditions import FAIL_CLOSED, balanced, events, expect_refused, plain, setting, warnings_in
from harness import REFLECT, scenario
from lab import CLIENT, LOOPBACK, SERVER, expect, expect_equal, host_of, wait_until, wire
from scenarios.outgoing import exchange, expect_untouched, expect_visit

NOT_FOUND = 8


def visit(t, session, server, owner, actor=None):
    connection = (actor or t.root).connect(server.local)
    exchange(connection)
    return expect_visit(t, session, connection, server, owner)


def untouched(actor, server, owner):
    connection = actor.connect(server.local)
    exchange(connection)
    expect_untouched(connection, server, owner)
    return connection


@scenario("O1", families=(4,))
def every_loopback_address(t, family):
    """All of 127.0.0.0/8, from one to another as well."""
    for source, host in (("127.0.0.1", "127.0.0.5"), ("127.0.0.7", "127.0.0.1"), ("127.1.2.3", "127.3.2.1")):
        server = t.echo(t.native, host)
        connection = t.root.connect(server.local, **{"from": f"{source}/0"})
        exchange(connection)
        expect_visit(t, t.session, connection, server, t.native)
        expect_equal(connection.local, f"{source}/{connection.port}", "address that the program has")


@scenario("O1", families=None)
def dual_stack_server(t):
    """One IPv6 socket that takes IPv4 too, of another program on this machine, and of another machine."""
    near = t.bystander.serve(f"::/{t.free_port()}", dual=1)
    far = t.server.serve(f"::/{t.free_port()}", dual=1)
    for server, owner, hosts in ((near, t.bystander, [LOOPBACK[4], LOOPBACK[6], *CLIENT[4], *CLIENT[6]]),
                                 (far, t.server, SERVER.values())):
        for host in hosts:
            connection = t.root.connect(f"{host}/{server.port}")
            exchange(connection)
            record = t.session.proxied_for(connection)
            visitors = [plain(v["peer"]) for v in owner.visitors(server)]
            expect(record["onward"] in visitors, f"the server was visited by {visitors}, not by the proxy", record)
            expect(connection.local not in visitors, "the server saw the program itself", connection.local)


@scenario("O1", families=None)
def ipv4_from_a_dual_stack_socket(t):
    """The program's socket is an IPv6 one, its packets are IPv4: that is what counts."""
    for host, actor in (("10.77.0.2", t.server), ("127.0.0.1", t.native)):
        server = t.echo(actor, host)
        connection = t.root.connect("::ffff:" + server.local, dual=1)
        exchange(connection)
        records = [r for r in t.session.proxied() if r.get("destination") == server.local]
        expect_equal([(r["peer"], r["pid"]) for r in records], [(f"127.0.0.1/{connection.port}", t.root.pid)],
                     "what the proxy saw")
        stranger = t.bystander.connect("::ffff:" + server.local, dual=1)
        exchange(stranger)
        expect(plain(stranger.local) in [v["peer"] for v in actor.visitors(server)], "a bystander was redirected")


@scenario("O1", "I3", session="own")
def straight_to_the_proxy_with_bytes(t, family):
    """Over loopback, where it listens, and over the machine's own address, where it listens too; by the tree and by
    strangers; such a connection is no redirected one, and is not taken for one."""
    with balanced(t, mode="echo") as session:
        t.agent.call("proxy", at=f"{t.client}/{session.proxy_port}", mode="echo")
        server = t.echo()
        for host in (t.loopback, t.client):
            for actor in (t.root, t.bystander, t.native):
                connection = actor.connect(f"{host}/{session.proxy_port}")
                exchange(connection, 20_000)
                records = [(r["status"], r["up"]) for r in session.proxied() if r["peer"] == connection.local]
                expect_equal(records, [(NOT_FOUND, 20_000)], "what the proxy saw")
        connection = t.root.connect(server.local)
        exchange(connection, 20_000)
        expect_equal(host_of(session.proxied_for(connection)["peer"]), t.loopback, "address that the proxy sees")
        expect_equal(session.stats()["flows_total"], 1, "redirected connections")


NO_LOOPBACK = 32
PAIRS = 20


def pairs_agree(actor, places, what):
    """The program makes emulated socketpairs, and finds the names of both ends the same."""
    for at, more in places:
        expect_equal(actor.call("pair", at=f"{at}/0", n=PAIRS, **more)["agreed"], PAIRS, f"{what}: pairs at {at} {more}")


def places_to_pair(t):
    """On each of the machine's addresses, and by listeners on all of them, dual-stack ones too."""
    places = [(host, {}) for host in (LOOPBACK[4], LOOPBACK[6], CLIENT[4][0], CLIENT[6][0], "127.0.0.7")]
    places += [("0.0.0.0", {"to": "127.0.0.1/1"}), ("::", {"to": "::1/1"}), ("0.0.0.0", {"to": f"{CLIENT[4][0]}/1"})]
    places += [("::", {"to": f"::ffff:{host}/1", "dual": 1}) for host in ("127.0.0.1", CLIENT[4][0])]
    return places


@scenario("O8", families=None)
def a_program_that_connects_to_itself(t):
    """socketpair() as libraries make it on Windows. What the program's child connects to is redirected all the same."""
    before = t.session.stats()["self_connections"]
    pairs_agree(t.root, places_to_pair(t), "outgoing")
    expect_equal(t.session.stats()["self_connections"] - before, PAIRS * len(places_to_pair(t)), "self_connections")
    pairs_agree(t.bystander, places_to_pair(t), "a bystander")
    server = t.echo(t.root, "127.0.0.1")
    untouched(t.root, server, t.root)
    visit(t, t.session, server, t.root, t.child(t.root))


@scenario("O8", session="incoming", families=None)
def a_program_that_connects_to_itself_with_incoming(t):
    pairs_agree(t.root, places_to_pair(t), "incoming")


@scenario("O8", session="own", families=None)
def a_program_that_connects_to_itself_in_all_ways(t):
    """By reflection; with incoming connections alone; with events that are late, or of which LISTEN is lost."""
    few = places_to_pair(t)[:4]
    with t.redirected(flags=REFLECT):
        pairs_agree(t.root, few, "reflection")
    with t.redirected(incoming=True, flags=REFLECT):
        pairs_agree(t.root, few, "reflection, incoming")
    with balanced(t) as session:
        with events(t, "delay 40"):
            expect_equal(t.root.call("pair", at="127.0.0.1/0", n=5)["agreed"], 5, "pairs while events are late")
            expect_equal(t.root.call("pair", at="::1/0", n=5)["agreed"], 5, "pairs while events are late")
        expect_equal(session.stats()["flows_total"], 0, "redirected connections")
        with events(t, "lose all listen"): # then it is found in the TCP table, within a second
            server = t.echo(t.root, "127.0.0.1")

            def left_alone():
                exchange(t.root.connect(server.local))
                return session.stats()["self_connections"] > 10
            wait_until(left_alone, "a connection left alone", 3)


@scenario("O1", session="own", families=None)
def loopback_as_a_whole_left_alone(t):
    """REDIRECTOR_NO_LOOPBACK: neither what the tree opens within the machine nor what comes to it from there."""
    with balanced(t, incoming=True, flags=NO_LOOPBACK) as session:
        for host in (LOOPBACK[4], LOOPBACK[6], CLIENT[4][0], CLIENT[6][0]):
            untouched(t.root, t.echo(t.native, host), t.native)
            untouched(t.bystander, t.echo(t.root, host), t.root)
        expect_equal(session.stats()["flows_total"], 0, "redirected connections within the machine")
        visit(t, session, t.echo(), t.server)
        inward = t.server.connect(t.echo(t.root, t.client).local)
        exchange(inward)
        expect_equal(session.stats()["flows_total"], 2, "redirected connections of other machines")


@scenario("I4", session="own")
def what_a_program_listens_on_left_alone(t, family):
    """A rule by who listens at the other end: as for a product that redirects connections to a proxy of its own."""
    with balanced(t) as session:
        guard, other = t.echo(t.bystander, t.loopback), t.echo(t.native, t.loopback)
        visit(t, session, guard, t.bystander)
        expect_equal(t.agent.call("set_rules", rules="->PROBE.exe")["status"], 0, "rules")
        untouched(t.root, guard, t.bystander)
        visit(t, session, other, t.native)
        visit(t, session, t.echo(), t.server)
        expect_equal(session.stats()["flows_total"], 3, "redirected connections")


def places(t):
    """Servers on the other machine, on loopback and on this machine's own address."""
    return [(t.echo(), t.server), (t.echo(t.native, t.loopback), t.native),
            (t.echo(t.bystander, t.client), t.bystander)]


@scenario("O4", session="own", families=None)
def proxy_on_ipv4_only(t):
    """IPv6 passes directly, IPv4 is redirected."""
    log = t.lab.stage + "/" + t.world.name("log") + ".txt"
    fours = [(t.echo(host="10.77.0.2"), t.server), (t.echo(t.native, "127.0.0.1"), t.native)]
    sixes = [(t.echo(host="fd77::2"), t.server), (t.echo(t.native, "::1"), t.native),
             (t.echo(t.native, "fd77::1"), t.native)]
    with balanced(t, proxy_families=(4,), log="Z:" + log) as session:
        for _ in range(2):
            for server, owner in fours:
                visit_again(t, session, server, owner)
            for server, owner in sixes:
                untouched(t.root, server, owner)
        stats = session.stats()
        expect_equal((stats["flows_total"], stats["proxy_not_listening"]), (4, 6), "redirected, without a proxy")
    warnings = warnings_in(log)
    expect_equal(len(warnings), 1, f"warnings in the log ({warnings})")
    expect(f"[::1]:{session.proxy_port}" in warnings[0], "the warning does not say where nobody listens", warnings)


def visit_again(t, session, server, owner):
    session.forget_proxied()
    visit(t, session, server, owner)


@scenario("O4", session="own", families=None)
def proxy_on_ipv6_only(t):
    """IPv4 passes directly, whether the proxy listens on loopback or on all IPv6 addresses."""
    for host in ("::1", "::"):
        six, four = t.echo(host="fd77::2"), t.echo(host="10.77.0.2")
        with balanced(t, proxy_families=()) as session:
            t.agent.call("proxy", at=f"{host}/{session.proxy_port}")
            visit(t, session, six, t.server)
            untouched(t.root, four, t.server)


@scenario("O4", session="own")
def nothing_listens_and_then_the_proxy_comes(t, family):
    """Connections pass directly, the log says so once; the first one after the proxy is there is redirected; when it
    has gone again they pass again."""
    log = t.lab.stage + "/" + t.world.name("log") + ".txt"
    with balanced(t, proxy_families=(), log="Z:" + log) as session:
        for _ in range(2):
            for server, owner in places(t):
                untouched(t.root, server, owner)
        expect_equal((session.stats()["proxy_not_listening"], session.stats()["flows_total"]), (6, 0),
                     "connections without a proxy, redirected")
        t.agent.call("proxy", at=f"{t.loopback}/{session.proxy_port}")
        for server, owner in places(t):
            visit(t, session, server, owner)
        t.agent.call("proxy_close_all")
        for server, owner in places(t):
            untouched(t.root, server, owner)
        expect_equal(session.stats()["proxy_not_listening"], 9, "connections without a proxy")
    expect_equal(len(warnings_in(log)), 1, f"warnings in the log ({warnings_in(log)})")


@scenario("O4", session="own")
def proxy_that_comes_unnoticed(t, family):
    """No event tells of its listener: it is found in the TCP table, within a second."""
    server = t.echo()
    with balanced(t, proxy_families=()) as session:
        with events(t, "lose all listen"):
            untouched(t.root, server, t.server)
            t.agent.call("proxy", at=f"{t.loopback}/{session.proxy_port}")

            def redirected():
                exchange(t.root.connect(server.local))
                return session.stats()["flows_total"]
            wait_until(redirected, "a connection redirected", 3)


@scenario("O4", session="own")
def syn_sent_again_after_the_proxy_came(t, family):
    """A SYN that has passed is not redirected when it is sent again, whether it was held before or not."""
    for faults in ((), ("delay 60",)):
        server = t.echo()
        with balanced(t, proxy_families=(), hold_timeout_ms=500) as session, setting(t, "syn", "300", "0"):
            with wire("loss", "100"), events(t, *faults):
                connecting = t.root.begin_connect(server.local)
                wait_until(lambda: session.stats()["proxy_not_listening"] == 1, "the SYN", 5)
                t.agent.call("proxy", at=f"{t.loopback}/{session.proxy_port}")
            connection = connecting.finish()
            exchange(connection)
            expect_untouched(connection, server, t.server)
            connection = t.root.connect(server.local)
            exchange(connection)
            expect_visit(t, session, connection, server, t.server)
            expect_equal(session.stats()["flows_total"], 1, "redirected connections")


@scenario("O4", session="own")
def refuse_while_nothing_listens(t, family):
    """As configured: the tree's connections are refused at once, and nobody else's."""
    with balanced(t, made=3, proxy_families=(), flags=FAIL_CLOSED) as session:
        for server, owner in places(t):
            expect_refused(t.root, server.local, "the tree's connection")
            expect_equal(owner.visitors(server), [], "visitors of a server behind no proxy")
            untouched(t.native, server, owner)
            untouched(t.agent, server, owner)
        expect_equal(session.stats()["proxy_not_listening"], 3, "connections without a proxy")
        t.agent.call("proxy", at=f"{t.loopback}/{session.proxy_port}")
        for server, owner in places(t):
            visit(t, session, server, owner)


@scenario("O4", session="own")
def refuse_what_was_held(t, family):
    """A connection whose event comes late is refused then."""
    server = t.echo()
    with balanced(t, made=1, proxy_families=(), flags=FAIL_CLOSED, hold_timeout_ms=500) as session:
        with events(t, "delay 60"):
            expect_refused(t.root, server.local, "the tree's connection")
            untouched(t.native, server, t.server)
        expect_equal(session.stats()["hold_timeouts"], 0, "deadlines passed")
