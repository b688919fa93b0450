# SPDX-License-Identifier: LGPL-3.0-or-later
"""N1, N2, N4: connections to ports on which the tree listens go through the second proxy, and nobody else's do."""
from conditions import (FAIL_CLOSED, arrival, balanced, events, expect_arrival, expect_refused, expect_reset_by_stop,
                        plain, setting, warnings_in)
from harness import scenario
from lab import ANY, expect_equal, wait_until
from network import packet_rules
from scenarios.outgoing import exchange, expect_untouched, expect_visit

OTHER = {4: 6, 6: 4}


def visit(t, session, peer, to, server, owner, **more):
    """A connection of this peer's to a listener of the tree is led through the incoming proxy."""
    connection = peer.connect(to, **more)
    exchange(connection)
    return expect_arrival(session, connection, server, owner)


def untouched(peer, to, server, owner):
    connection = peer.connect(to)
    exchange(connection)
    expect_untouched(connection, server, owner)
    return connection


def at(host, server):
    return f"{host}/{server.port}"


@scenario("N1", session="own")
def ports_open_before_the_start(t, family):
    """The root's and a descendant's; a connection that was there already is left alone."""
    child = t.child(t.root)
    servers = [(t.echo(t.root, ANY[family]), t.root), (t.echo(child, t.client), child)]
    old = untouched(t.server, at(t.client, servers[0][0]), *servers[0])
    with balanced(t, incoming=True) as session:
        for server, owner in servers:
            visit(t, session, t.server, at(t.client, server), server, owner)
        exchange(old, 50_000, seed=4)
        expect_equal(session.stats()["flows_total"], 2, "redirected connections")


@scenario("N1", session="incoming")
def several_ports_opened_later(t, family):
    child = t.child(t.root)
    grandchild = t.child(child)
    for owner in (t.root, t.root, child, grandchild):
        server = t.echo(owner, ANY[family])
        for peer in (t.server, t.native):
            visit(t, t.session, peer, at(t.client, server), server, owner)


@scenario("N1", session="incoming", families=None)
def dual_stack_listener(t):
    """One IPv6 socket that takes IPv4 as well."""
    server = t.root.serve(f"::/{t.free_port()}", dual=1)
    for peer, hosts in ((t.server, ("10.77.0.1", "fd77::1")), (t.native, ("127.0.0.1", "::1", "10.77.0.11"))):
        for host in hosts:
            visit(t, t.session, peer, at(host, server), server, t.root)


@scenario("N1", session="incoming", families=None)
def listeners_of_both_families_on_one_port(t):
    """The tree's IPv6 listener has nothing to do with a stranger's IPv4 one; and when a dual-stack listener is
    closed, both its halves are gone."""
    port = t.free_port()
    six, four = t.root.serve(f"::/{port}"), t.bystander.serve(f"0.0.0.0/{port}")
    visit(t, t.session, t.server, f"fd77::1/{port}", six, t.root)
    untouched(t.server, f"10.77.0.1/{port}", four, t.bystander)
    untouched(t.native, f"127.0.0.1/{port}", four, t.bystander)
    port = t.free_port()
    both = t.root.listen(f"::/{port}", dual=1)
    near, far = accepted(t.root, both, t.server, f"10.77.0.1/{port}")
    expect_equal(arrival(t.session, near)["onward"], plain(far.peer), "who came to the program")
    both.close()
    four = t.bystander.serve(f"0.0.0.0/{port}")
    untouched(t.server, f"10.77.0.1/{port}", four, t.bystander)


@scenario("N1", session="own")
def port_that_is_named_is_the_trees_whoever_listens(t, family):
    """As http.sys listens for programs of the tree: the socket is another's. Another port of that other is its own."""
    port = t.free_port()
    server, other = t.bystander.serve(f"{ANY[family]}/{port}"), t.echo(t.bystander, ANY[family])
    with balanced(t, incoming=True, listen_port=port) as session:
        wait_until(lambda: session.stats()["tree_listeners"] == 1, "the listener counted")
        for peer in (t.server, t.native):
            visit(t, session, peer, at(t.client, server), server, t.bystander)
            untouched(peer, at(t.client, other), other, t.bystander)
        expect_equal(session.stats()["flows_total"], 2, "redirected connections")


@scenario("N1", session="incoming")
def listener_on_one_address_only(t, family):
    """Others listen on the same port of other addresses."""
    server = t.echo(t.root, t.client)
    others = [(t.bystander, t.client2), (t.native, t.loopback)]
    for owner, host in others:
        other = owner.serve(at(host, server))
        untouched(t.native if owner is t.bystander else t.bystander, other.local, other, owner)
    visit(t, t.session, t.server, at(t.client, server), server, t.root)
    visit(t, t.session, t.native, at(t.client, server), server, t.root)


def accepted(owner, listener, peer, to):
    """(the peer's end, the program's end, which may be the proxy's) of a new connection; both have carried bytes."""
    accepting = owner.begin_accept(listener)
    near = peer.connect(to)
    far = accepting.finish()
    for one, other in ((near, far), (far, near)):
        one.send(9, 3000)
        other.receive(9, 3000)
    return near, far


@scenario("N1", session="incoming")
def port_closed_and_opened_by_another_program(t, family):
    """Tree, stranger, tree again; in between nobody."""
    to = f"{t.client}/{t.free_port()}"
    child = t.child(t.root)
    for owner in (t.root, t.bystander, child, t.bystander, t.root):
        listener = owner.listen(to)
        near, far = accepted(owner, listener, t.server, to)
        if owner is t.bystander:
            expect_equal(far.peer, near.local, "peer that a stranger's server sees")
        else:
            record = arrival(t.session, near)
            expect_equal((record["destination"], record["pid"], record["onward"]), (to, owner.pid, far.peer),
                         "what the proxy saw")
        ending = far.begin("receive_end")
        near.reset()
        ending.result()
        listener.close()
        far.reset()
        expect_refused(t.server, to, "a port that nobody listens on any more")


@scenario("N2", session="incoming")
def peers_from_everywhere(t, family):
    """The other host, this host over each of its addresses, and the tree itself, which counts as incoming (N4)."""
    server = t.echo(t.root, ANY[family])
    child = t.child(t.root)
    visit(t, t.session, t.server, at(t.client, server), server, t.root)
    visit(t, t.session, t.server, at(t.client2, server), server, t.root)
    for peer in (t.native, t.bystander, child):
        for host in (t.loopback, t.client, t.client2):
            record = visit(t, t.session, peer, at(host, server), server, t.root)
            expect_equal(record["status"], 0, "lookup")


@scenario("N2", session="incoming")
def agent_reaches_the_program(t, family):
    server = t.echo(t.root, ANY[family])
    for host in (t.loopback, t.client):
        connection = untouched(t.agent, at(host, server), server, t.root)
        seen = [r for r in t.session.proxied() if r["peer"] == connection.local]
        expect_equal(seen, [], "the agent's connection at the proxy")


@scenario("N1", "N2", session="incoming")
def listeners_of_strangers_and_of_the_agent(t, family):
    for owner in (t.bystander, t.native, t.agent):
        server = t.echo(owner, ANY[family])
        untouched(t.server, at(t.client, server), server, owner)
        untouched(t.native, at(t.loopback, server), server, owner)


@scenario("N2", session="incoming")
def same_port_number_on_another_host(t, family):
    """A stranger's connection to it is left alone, and the tree's own is an outgoing one."""
    far = t.echo()
    t.root.serve(at(ANY[family], far))
    for stranger in (t.native, t.bystander, t.agent):
        untouched(stranger, far.local, far, t.server)
    connection = t.root.connect(far.local)
    exchange(connection)
    record = expect_visit(t, t.session, connection, far, t.server)
    expect_equal(record["incoming"], 0, "incoming, as the proxy was told")


@scenario("N1", "N2", session="own")
def only_incoming(t, family):
    """Outgoing is off."""
    far = t.echo()
    server = t.root.serve(at(ANY[family], far))
    with balanced(t, incoming=True, proxy=0, proxy_families=()) as session:
        for stranger in (t.root, t.bystander):
            untouched(stranger, far.local, far, t.server)
        near = t.echo(t.native, t.loopback)
        untouched(t.root, near.local, near, t.native)
        for peer, host in ((t.server, t.client), (t.native, t.loopback), (t.bystander, t.client)):
            visit(t, session, peer, at(host, server), server, t.root)
        for spared in (t.agent, t.root):
            untouched(spared, at(t.loopback, server), server, t.root)


@scenario("N2", session="own")
def agent_inside_the_tree_listens(t, family):
    """Its listeners are not the tree's, not even the proxy's own."""
    agent = t.child(t.root, "agent.exe")
    with balanced(t, agent=agent, incoming=True, mode="echo") as session:
        server = t.echo(agent, ANY[family])
        untouched(t.server, at(t.client, server), server, agent)
        for peer, host in ((t.server, t.client), (t.root, t.loopback), (t.native, t.client)):
            straight = peer.connect(f"{host}/{session.incoming_port}")
            exchange(straight)
            records = [r["status"] for r in session.proxied() if r["peer"] == straight.local]
            expect_equal(records, [8], "what the proxy was told of a connection straight to it")
        server = t.echo(t.root, ANY[family])
        connection = t.server.connect(at(t.client, server))
        exchange(connection)
        expect_equal(arrival(session, connection)["pid"], t.root.pid, "process that the proxy was told")


@scenario("N2", "O6", session="incoming")
def megabytes_to_the_tree(t, family):
    """Both ways at once, with checksums as they are and with checksums left to the hardware."""
    server = t.echo(t.root, ANY[family])
    for offload in ("off", "on"):
        with setting(t, "offload", offload, "off"):
            connections = [peer.connect(at(host, server))
                           for peer, host in ((t.server, t.client), (t.native, t.loopback))]
            running = [(c.begin("receive", seed=i, n=1 << 21), c.begin("send", seed=i, n=1 << 21))
                       for i, c in enumerate(connections)]
            for pair in running:
                for one in pair:
                    one.result(60)
            for connection in connections:
                expect_arrival(t.session, connection, server, t.root)
                connection.shutdown()
                expect_equal(connection.end(), "fin", "end of the connection")


@scenario("N2", "L1", session="incoming")
def ends_of_incoming_connections(t, family):
    """FIN and RST from each side reach the other."""
    to = f"{t.client}/{t.free_port()}"
    listener = t.root.listen(to)
    for first, second in ((0, 1), (1, 0)):
        ends = accepted(t.root, listener, t.server, to)
        ends[first].shutdown()
        expect_equal(ends[second].end(), "fin", "what the other end saw")
        ends[second].send(2, 9000)
        ends[first].receive(2, 9000)
        ends[second].close()
        expect_equal(ends[first].end(), "fin", "what the first end saw")
        ends = accepted(t.root, listener, t.server, to)
        ending = ends[second].begin("receive_end")
        ends[first].reset()
        expect_equal(ending.result()["end"], "reset", "what the other end saw")
        wait_until(lambda gone=ends[0]: t.agent.call("lookup", peer=gone.local)["status"] == 8, "mapping gone", 5)


@scenario("N2", "S2", session="own")
def stop_resets_incoming_connections(t, family):
    server = t.echo(t.root, ANY[family])
    with t.redirected(incoming=True, mode="echo") as session:
        connections = [t.server.connect(at(t.client, server)), t.native.connect(at(t.loopback, server)),
                       t.bystander.connect(at(t.client, server))]
        for connection in connections:
            exchange(connection)
        expect_reset_by_stop(session, connections)
        untouched(t.server, at(t.client, server), server, t.root)


# ---- N4: no proxy there

def with_log(t):
    return t.lab.stage + "/" + t.world.name("log") + ".txt"


@scenario("N4", session="own")
def incoming_proxy_on_loopback_only(t, family):
    """It serves peers on loopback; others reach the program itself, and the log says so once."""
    log = with_log(t)
    server = t.echo(t.root, ANY[family])
    with balanced(t, incoming=True, incoming_hosts=[t.loopback], log="Z:" + log) as session:
        visit(t, session, t.native, at(t.loopback, server), server, t.root)
        for peer, host in ((t.server, t.client), (t.server, t.client2), (t.native, t.client), (t.bystander, t.client2)):
            untouched(peer, at(host, server), server, t.root)
        expect_equal(session.stats()["proxy_not_listening"], 4, "connections without a proxy")
        expect_equal(session.stats()["flows_total"], 1, "redirected connections")
    expect_equal(len(warnings_in(log)), 1, f"warnings in the log ({warnings_in(log)})")


@scenario("N4", session="own")
def incoming_proxy_on_one_address(t, family):
    server = t.echo(t.root, ANY[family])
    with balanced(t, incoming=True, incoming_hosts=[t.client]) as session:
        for peer in (t.server, t.native):
            visit(t, session, peer, at(t.client, server), server, t.root)
            untouched(peer, at(t.client2, server), server, t.root)


@scenario("N4", session="own")
def incoming_proxy_of_the_other_family(t, family):
    server = t.echo(t.root, ANY[family])
    with balanced(t, incoming=True, incoming_hosts=[ANY[OTHER[family]]]) as session:
        untouched(t.server, at(t.client, server), server, t.root)
        untouched(t.native, at(t.loopback, server), server, t.root)
        t.agent.call("proxy", at=f"{ANY[family]}/{session.incoming_port}")
        visit(t, session, t.server, at(t.client, server), server, t.root)


@scenario("N4", session="own")
def refuse_incoming(t, family):
    """As configured: a peer without a proxy is refused; a stranger's listener is not concerned."""
    server = t.echo(t.root, ANY[family])
    other = t.echo(t.bystander, t.client)
    with balanced(t, made=3, incoming=True, incoming_hosts=[], flags=FAIL_CLOSED) as session:
        for peer, host in ((t.server, t.client), (t.native, t.loopback), (t.bystander, t.client2)):
            expect_refused(peer, at(host, server), f"{peer.name} to {host}")
        untouched(t.server, other.local, other, t.bystander)
        untouched(t.agent, at(t.loopback, server), server, t.root)
        expect_equal(session.stats()["proxy_not_listening"], 3, "connections without a proxy")
        t.agent.call("proxy", at=f"{ANY[family]}/{session.incoming_port}")
        visit(t, session, t.server, at(t.client, server), server, t.root)


@scenario("N4", session="own")
def peers_syn_sent_again_after_the_proxy_came(t, family):
    """Its first SYN passed and was answered by the program; the answer was lost. The handshake goes on as it began."""
    server = t.echo(t.root, ANY[family])
    lost = f"INPUT -p tcp --sport {server.port} --tcp-flags SYN,ACK SYN,ACK -j DROP"
    with balanced(t, incoming=True, incoming_hosts=[]) as session:
        with packet_rules(family, lost, host="server"):
            connecting = t.server.begin_connect(at(t.client, server))
            wait_until(lambda: session.stats()["proxy_not_listening"] == 1, "the SYN", 5)
            t.agent.call("proxy", at=f"{ANY[family]}/{session.incoming_port}")
        connection = connecting.finish()
        exchange(connection)
        expect_untouched(connection, server, t.root)
        visit(t, session, t.server, at(t.client, server), server, t.root)


@scenario("N1", session="own")
def listener_that_no_event_told_of(t, family):
    """It is found by the next look at the TCP table; and so is its end."""
    to = f"{t.client}/{t.free_port()}"
    with balanced(t, incoming=True, scan_interval_ms=100) as session:
        with events(t, "lose all listen", "lose all close"):
            for owner, redirected in ((t.root, True), (t.bystander, False)):
                listener = owner.listen(to)

                def as_it_should_be():
                    before = session.stats()["flows_total"]
                    near, far = accepted(owner, listener, t.server, to)
                    for end in (near, far):
                        end.reset()
                    return (session.stats()["flows_total"] > before) == redirected
                wait_until(as_it_should_be, f"connections to {owner.name} are led right", 3)
                listener.close()


@scenario("N1", session="own")
def doubled_and_late_events_of_listeners(t, family):
    """A LISTEN that comes late counts from then on; one that comes twice counts once; and so with their CLOSE."""
    with balanced(t, incoming=True) as session:
        with events(t, "double on", "delay 150"):
            to = f"{t.client}/{t.free_port()}"
            listener = t.root.listen(to)
            wait_until(lambda: t.lab.counters()["event_faults"]["waiting"] == 0, "late events delivered", 5)
            near, _ = accepted(t.root, listener, t.server, to)
            expect_equal(arrival(session, near)["pid"], t.root.pid, "process that the proxy was told")
            near.reset()
            listener.close()
            wait_until(lambda: t.lab.counters()["event_faults"]["waiting"] == 0, "late events delivered", 5)
            listener = t.bystander.listen(to)
            near, far = accepted(t.bystander, listener, t.server, to)
            expect_equal(far.peer, near.local, "peer that a stranger's server sees")
