# SPDX-License-Identifier: LGPL-3.0-or-later
"""O2: whose connection it is. The event comes before the SYN, after it, twice, too late or never, and the SYN itself
comes again; the right connections are redirected all the same, and what nobody knows passes."""
from conditions import balanced, events, outsider, owners_unknown, setting, timed_connect
from harness import scenario
from lab import expect, expect_equal, port_of, wait_until, wire
from network import Packet, packet_rules, recording
from scenarios.outgoing import exchange, expect_untouched, expect_visit


def targets(t):
    """Servers far and near: (server, its program)."""
    return [(t.echo(), t.server), (t.echo(t.native, t.loopback), t.native)]


def expect_led_right(t, session, tree, others):
    """Connections of the tree reach the servers by the proxy, those of others directly."""
    for server, owner in targets(t):
        for actor in (*tree, *others):
            connection = actor.connect(server.local)
            exchange(connection)
            if actor in tree:
                expect_visit(t, session, connection, server, owner)
            else:
                expect_untouched(connection, server, owner)


def events_at_rest(t):
    """No event is on its way any more."""
    wait_until(lambda: t.lab.counters()["event_faults"]["waiting"] == 0, "late events delivered", 5)


@scenario("O2", session="own")
def event_before_syn(t, family):
    """As it mostly is: nothing is held."""
    with balanced(t) as session:
        for server, owner in targets(t):
            for i in range(5):
                for actor, check in ((t.root, expect_visit), (t.bystander, None), (t.native, None)):
                    connection = actor.connect(server.local)
                    exchange(connection, seed=i)
                    if check:
                        record = [r for r in session.proxied() if port_of(r["peer"]) == connection.port]
                        expect_equal([r.get("destination") for r in record], [server.local], "destination")
                    else:
                        expect_untouched(connection, server, owner)
        stats = session.stats()
        expect_equal((stats["flows_total"], stats["hold_timeouts"]), (10, 0), "redirected, unknown")
        expect_equal(stats["packets_held"], 0, "held, although the event came first")


@scenario("O2", session="own")
def event_after_syn(t, family):
    """The SYN is held until the event comes."""
    with balanced(t, hold_timeout_ms=600) as session:
        with events(t, "delay 60"):
            for server, owner in targets(t):
                connection, ms = timed_connect(t.root, server.local)
                expect(ms >= 60, f"the connection was there after {ms:.0f} ms; the event came after 60")
                exchange(connection)
                expect_visit(t, session, connection, server, owner)
                for actor in (t.bystander, t.native):
                    connection = actor.connect(server.local)
                    exchange(connection)
                    expect_untouched(connection, server, owner)
        stats = session.stats()
        expect(stats["packets_held"] >= 6, "SYNs were not held", stats)
        expect_equal(stats["hold_timeouts"], 0, "owners that stayed unknown")


@scenario("O2", session="own")
def event_lost(t, family):
    """The owner is looked up in the TCP table, which is that of a busy machine."""
    child = t.child(t.root)
    with balanced(t) as session:
        with events(t, "lose all connect"), setting(t, "table", "50000", "0"):
            expect_led_right(t, session, (t.root, child), (t.bystander, t.native, t.agent))
        stats = session.stats()
        expect(stats["packets_held"] >= 10, "SYNs were not held", stats)
        expect(stats["table_waits"] >= 10, "SYNs did not wait for the TCP table", stats)
        expect_equal((stats["hold_timeouts"], stats["table_timeouts"], stats["table_failures"]), (0, 0, 0),
                     "owners that stayed unknown, readings that came too late or failed")


@scenario("O2", session="own")
def event_never_and_owner_unknown(t, family):
    """A program that neither an event nor the table tells of: its SYN passes unchanged at the deadline, and nothing
    else of it is ever held."""
    with balanced(t, hold_timeout_ms=400) as session, outsider(t) as stranger:
        for i, (server, owner) in enumerate(targets(t)):
            connection, ms = timed_connect(stranger, server.local)
            expect(ms >= 400, f"the connection was there after {ms:.0f} ms, the deadline was 400")
            exchange(connection, 100_000)
            expect_untouched(connection, server, owner)
            stats = session.stats()
            expect_equal((stats["hold_timeouts"], stats["packets_held"], stats["flows_total"]), (i + 1, i + 1, 0),
                         "deadlines passed, packets held, redirected connections")
        stranger.call("close_all")


@scenario("O2", "O5", session="own")
def held_syn_of_a_stranger_leaves_as_it_came(t, family):
    """Every byte of every packet, and in order."""
    server = t.echo()
    port = port_of(server.local)
    with balanced(t, hold_timeout_ms=200) as session, outsider(t) as stranger:
        exchange(t.root.connect(server.local))  # while the tree is busy, strangers' other packets come to us, too
        with recording(t, family, f"--dport {port}", f"--sport {port}") as record:
            connection = stranger.connect(server.local)
            for i in range(10):  # pieces that are packets as they are: larger ones are cut on their way
                exchange(connection, 1000, seed=i)
            connection.shutdown()
            expect_equal(connection.end(), "fin", "end of the connection")
        own = {name: [p.without_checksums() for p in map(Packet, packets) if p.destination == server.local]
               for name, packets in record.packets.items()}  # the sums of what leaves the kernel are not yet there
        expect(len(own["before"]) > 3, f"only {len(own['before'])} packets were recorded")
        # Its later packets may be left to the kernel: then they do not come to us, and are not sent by us.
        different = [i for i, pair in enumerate(zip(own["before"], own["after"])) if pair[0] != pair[1]]
        expect(own["after"] and not different, f"{len(own['before'])} packets came, of {len(own['after'])} that left others "
               "than came", different)
        expect_equal(session.stats()["hold_timeouts"], 1, "deadlines passed")


def syn_lost_before_the_driver(t, family, keep_ms):
    """A CONNECT whose SYN comes so much later; statistics afterwards."""
    server = t.echo()
    with balanced(t) as session, setting(t, "syn", str(keep_ms), "0"):
        with packet_rules(family, f"OUTPUT -p tcp --dport {port_of(server.local)} -j DROP"):
            connecting = t.root.begin_connect(server.local)
            wait_until(lambda: t.lab.counters()["events"] and session.stats()["events_seen"] > 0, "the event", 5)
        connection = connecting.finish()
        exchange(connection)
        expect_visit(t, session, connection, server, t.server)
        return session.stats()


@scenario("O2", session="own")
def event_waits_for_its_syn(t, family):
    """Two seconds: it is still known then, so that nothing is held."""
    expect_equal(syn_lost_before_the_driver(t, family, 2000)["packets_held"], 0, "held packets")


@scenario("O2", session="own", long=True)
def event_does_not_wait_for_ever(t, family):
    """Eight seconds: it is forgotten, and the TCP table is asked."""
    expect_equal(syn_lost_before_the_driver(t, family, 8000)["packets_held"], 1, "held packets")


@scenario("O2", session="own")
def event_too_late(t, family):
    """It comes when the SYN has passed, and its answer is still on the way: not redirected in mid-handshake."""
    far = t.echo()
    with balanced(t, hold_timeout_ms=50) as session, owners_unknown(t):
        with wire("delay", "150"), events(t, "delay 150"):
            connection = t.root.connect(far.local)
            events_at_rest(t)
            exchange(connection)
            expect_untouched(connection, far, t.server)
        with wire("loss", "100"), events(t, "delay 150"):
            connecting = t.root.begin_connect(far.local)
            wait_until(lambda: session.stats()["hold_timeouts"] == 2, "the deadline", 5)
            events_at_rest(t)
        connection = connecting.finish()  # by the SYN that is sent again
        exchange(connection)
        expect_untouched(connection, far, t.server)
        stats = session.stats()
        expect_equal((stats["flows_total"], stats["hold_timeouts"]), (0, 2), "redirected, deadlines passed")


@scenario("O2", session="own")
def syn_sent_again_while_held(t, family):
    """It is one connection: the SYN leaves once, and its retransmissions are dropped."""
    with balanced(t, hold_timeout_ms=1000) as session, owners_unknown(t):
        dropped = 0
        with setting(t, "syn", "40", "0"):
            for server, owner in targets(t):
                with events(t, "delay 250"):
                    connection = t.root.connect(server.local)
                exchange(connection)
                expect_visit(t, session, connection, server, owner)
                stats = session.stats()
                expect(stats["packets_dropped"] >= dropped + 2, "no SYN was sent again while it was held", stats)
                dropped = stats["packets_dropped"]
        expect_equal((stats["flows_total"], stats["packets_held"]), (2, 2), "redirected connections, held SYNs")
        expect_equal(len(session.proxied()), 2, "connections that reached the proxy")


@scenario("O2", session="own")
def syn_sent_again_after_it_passed(t, family):
    """A stranger's SYN that was held, passed and was lost: the next one follows at once, and is not held again."""
    far = t.echo()
    with balanced(t, hold_timeout_ms=200) as session, outsider(t) as stranger:
        with setting(t, "syn", "400", "0"):
            with wire("loss", "100"):
                connecting = stranger.begin_connect(far.local)
                wait_until(lambda: session.stats()["hold_timeouts"] == 1, "the deadline", 5)
            connection = connecting.finish()
        exchange(connection)
        expect_untouched(connection, far, t.server)
        stats = session.stats()
        expect_equal((stats["packets_held"], stats["hold_timeouts"]), (1, 1), "held, deadlines passed")
        stranger.call("close_all")


def one_after_the_other(t, session, server, owner, actors):
    """Connections on one and the same tuple, each reset before the next; every one is judged by its own program."""
    source = f"{t.client}/{t.free_port()}"
    for i, actor in enumerate(actors):
        session.forget_proxied()
        connection = actor.connect(server.local, reuse=1, **{"from": source})
        exchange(connection, seed=i)
        reached = [(r["destination"], r["pid"]) for r in session.proxied() if r["status"] == 0]
        expect_equal(reached, [(server.local, actor.pid)] if actor is t.root else [], f"connection {i} at the proxy")
        visits = [v["peer"] for v in owner.visitors(server)].count(source)
        expect_equal(visits, sum(a is not t.root for a in actors[:i + 1]), "visits from this very address")
        connection.reset()


@scenario("O2", session="own")
def same_tuple_used_again_at_once(t, family):
    """By turns by the tree and by strangers, with the events in time, late, lost and doubled."""
    turns = [t.root, t.root, t.bystander, t.root, t.native, t.bystander, t.root]
    with balanced(t, hold_timeout_ms=300) as session:
        for faults in ((), ("delay 30",), ("lose all connect",), ("double on",)):
            server = t.echo()
            with events(t, *faults):
                one_after_the_other(t, session, server, t.server, turns)
        expect_equal(session.stats()["hold_timeouts"], 0, "owners that stayed unknown")


@scenario("O2", session="own")
def event_of_the_former_connection_on_a_tuple(t, family):
    """It comes when the next SYN on that tuple is already held, and must not decide about that one."""
    server = t.echo()
    source = f"{t.client}/{t.free_port()}"
    with balanced(t, hold_timeout_ms=400) as session:
        for first, second in ((t.bystander, t.root), (t.root, t.bystander)):
            session.forget_proxied()
            with events(t, "delay 300"):  # later than the look at the table, which decides about the first
                former = first.connect(server.local, reuse=1, **{"from": source})
                former.reset()
                connection = second.connect(server.local, reuse=1, **{"from": source})
            exchange(connection)
            at_proxy = [r["pid"] for r in session.proxied() if r["status"] == 0]
            expect_equal(at_proxy, [t.root.pid], "connections at the proxy")
            connection.reset()


@scenario("O2", session="own")
def doubled_events(t, family):
    """Of every kind."""
    with balanced(t) as session:
        with events(t, "double on"):
            expect_led_right(t, session, (t.root,), (t.bystander, t.native))
        expect(t.lab.counters()["events_doubled"] >= 12, "the lab doubled no events")
        expect_equal(session.stats()["flows_total"], 2, "redirected connections")


@scenario("O2", session="own")
def many_held_at_once(t, family):
    """Late events of many quick connections: each is held, none passes, every destination is right."""
    servers = [t.echo() for _ in range(3)] + [t.echo(t.native, t.loopback)]
    with balanced(t, hold_timeout_ms=1000) as session:
        with events(t, "delay 200"):
            under_way = [t.root.begin_connect(servers[i % 4].local) for i in range(80)]
            connections = [connecting.finish() for connecting in under_way]
        running = [(c.begin("receive", seed=i, n=5000), c.begin("send", seed=i, n=5000))
                   for i, c in enumerate(connections)]
        for pair in running:
            for one in pair:
                one.result()
        reached = [r["destination"] for r in session.proxied() if r["status"] == 0 and r["pid"] == t.root.pid]
        expect_equal({s.local: reached.count(s.local) for s in servers}, {s.local: 20 for s in servers}, "destinations")
        stats = session.stats()
        expect_equal((stats["hold_timeouts"], stats["hold_overflows"]), (0, 0), "deadlines passed, no room")
        expect(stats["packets_held"] >= 60, "SYNs were not held", stats)
