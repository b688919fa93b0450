# SPDX-License-Identifier: LGPL-3.0-or-later
"""O1, O2, O3: what is redirected, that every destination is right, and how it is steered."""
from harness import REFLECT, scenario
from lab import expect, expect_equal, host_of, port_of


def exchange(connection, n=1000, seed=1):
    """n bytes there and back over a connection to an echo server."""
    connection.send(seed, n)
    connection.receive(seed, n)


def expect_visit(t, session, connection, server, server_actor):
    """The connection went over the proxy, and the server saw the proxy's own connection."""
    record = session.proxied_for(connection)
    visitors = [v["peer"] for v in server_actor.visitors(server)]
    expect(record["onward"] in visitors, f"the server was visited by {visitors}, not by the proxy", record)
    expect(connection.local not in visitors, "the server saw the program itself", connection.local)
    return record


def expect_untouched(connection, server, server_actor):
    """The server saw the program itself."""
    visitors = [v["peer"] for v in server_actor.visitors(server)]
    expect(connection.local in visitors, f"the server was visited by {visitors}, not by the program", connection.local)


def connect_and_check(t, actor, session, host=None):
    """A connection of this program's to the server host is redirected."""
    server = t.echo(host=host)
    connection = actor.connect(server.local)
    exchange(connection)
    expect_visit(t, session, connection, server, t.server)


@scenario("O1")
def to_another_machine(t, family):
    server = t.echo()
    connection = t.root.connect(server.local)
    exchange(connection)
    record = expect_visit(t, t.session, connection, server, t.server)
    expect_equal(host_of(record["peer"]), t.loopback, "address that the proxy sees")
    expect_equal(connection.peer, server.local, "peer that the program sees")
    expect_equal(connection.local, f"{t.client}/{connection.port}", "address that the program has")


@scenario("O1")
def loopback_to_loopback(t, family):
    for server_actor in (t.bystander, t.native):
        server = t.echo(server_actor, t.loopback)
        connection = t.root.connect(server.local)
        exchange(connection)
        expect_visit(t, t.session, connection, server, server_actor)


@scenario("O1")
def own_addresses_of_the_machine(t, family):
    for host in (t.client, t.client2):
        server = t.echo(t.bystander, host)
        connection = t.root.connect(server.local)
        exchange(connection)
        expect_visit(t, t.session, connection, server, t.bystander)


@scenario("O1")
def from_one_own_address_to_the_other(t, family):
    server = t.echo(t.bystander, t.client2)
    connection = t.root.connect(server.local, **{"from": f"{t.client}/0"})
    exchange(connection)
    expect_visit(t, t.session, connection, server, t.bystander)


@scenario("O1")
def to_a_listener_of_the_tree(t, family):
    """Incoming redirection is off, so this is an outgoing connection like any other."""
    child = t.child(t.root)
    server = t.echo(child, t.loopback)
    connection = t.root.connect(server.local)
    exchange(connection)
    expect_visit(t, t.session, connection, server, child)


@scenario("O1", session="own")
def agent_linked_with_the_archive(t, family):
    agent = t.child(t.lab.launcher, "agent_static.exe")
    with t.redirected(agent=agent) as session:
        connect_and_check(t, t.root, session)


@scenario("O1", session="own")
def agent_that_uses_the_classic_calls(t, family):
    with t.redirected(api="classic") as session:
        connect_and_check(t, t.root, session)


def expect_burst(t, targets, **arguments):
    before = t.session.stats()
    t.session.forget_proxied()
    answer = t.root.call("burst", limit=120, to=",".join(targets), stamp=1, **arguments)
    expect_equal((answer["ok"], answer["failed"]), (arguments["count"], 0), f"connections that worked ({answer})")
    records = t.session.proxied()
    expect_equal(len(records), arguments["count"], "connections that reached the proxy")
    for i, target in enumerate(targets):
        got = sum(r["status"] == 0 and r["destination"] == target and r["pid"] == t.root.pid for r in records)
        expect_equal(got, len(range(i, arguments["count"], len(targets))), f"connections with destination {target}")
    for counter in ("hold_timeouts", "hold_overflows", "flow_table_full", "send_errors"):
        expect_equal(t.session.stats()[counter], before[counter], counter)


@scenario("O2")
def many_quick_connections(t, family):
    """Whoever answers says which port he is, so a wrong destination cannot go unnoticed."""
    servers = [t.echo(stamp=1) for _ in range(4)]
    servers += [t.echo(t.native, t.loopback, stamp=1) for _ in range(2)]
    servers += [t.echo(t.native, t.client, stamp=1)]
    expect_burst(t, [s.local for s in servers], count=280, workers=8, n=200)


@scenario("O2")
def many_connections_at_once(t, family):
    servers = [t.echo(stamp=1) for _ in range(3)] + [t.echo(t.native, t.loopback, stamp=1)]
    expect_burst(t, [s.local for s in servers], count=200, workers=20, n=3000, hold=1)


@scenario("O3")
def two_local_addresses_with_one_source_port(t, family):
    port = t.free_port()
    servers = [t.echo(), t.echo()]
    connections = [t.root.connect(server.local, reuse=1, **{"from": f"{host}/{port}"})
                   for server, host in zip(servers, (t.client, t.client2))]
    expect_told_apart(t, connections)


@scenario("O3", families=None)
def two_families_with_one_source_port(t):
    port = t.free_port()
    servers = [t.echo(host="10.77.0.2"), t.echo(host="fd77::2"), t.echo(t.native, "127.0.0.1"),
               t.echo(t.native, "::1")]
    locals_ = ("10.77.0.1", "fd77::1", "127.0.0.1", "::1")
    connections = [t.root.connect(server.local, reuse=1, **{"from": f"{host}/{port}"})
                   for server, host in zip(servers, locals_)]
    expect_told_apart(t, connections)


def expect_told_apart(t, connections):
    """Connections with one source port: each has a port of its own at the proxy, and its own destination and bytes."""
    destinations = {c.peer for c in connections}
    expect_equal(len(destinations), len(connections), "different servers")
    for i, connection in enumerate(connections):
        exchange(connection, 5000, seed=i)
    records = [r for r in t.session.proxied() if r.get("destination") in destinations]
    expect_equal({r["destination"] for r in records}, destinations, "destinations that the proxy was told")
    expect_equal(len(records), len(connections), "connections that reached the proxy")
    ports = {port_of(r["peer"]) for r in records}
    expect_equal(len(ports), len(connections), f"different ports at the proxy ({ports})")
    expect(connections[0].port in ports, "the first one did not keep its source port", ports)
    for record in records:
        answer = t.agent.call("lookup", peer=record["peer"])
        expect_equal(answer.get("destination"), record["destination"], f"lookup of {record['peer']}")


@scenario("O3")
def source_port_taken_by_a_connection_straight_to_the_proxy(t, family):
    """Such a connection is no redirected one, but it has its port at the proxy too."""
    t.session.forget_proxied()
    port = t.free_port()
    server = t.echo()
    straight = t.root.begin_connect(f"{t.loopback}/{t.session.proxy_port}", reuse=1,
                                    **{"from": f"{t.loopback}/{port}"}).finish()
    connection = t.root.connect(server.local, reuse=1, **{"from": f"{t.client}/{port}"})
    exchange(connection)
    expect_equal(straight.end(), "reset", "what a relay does with a stranger")
    records = {r["status"]: r for r in t.session.proxied()}
    expect_equal(sorted(records), [0, 8], "one redirected connection and one stranger")
    expect_equal(records[0]["destination"], server.local, "destination")


@scenario("O3", session="own")
def reflect_steering(t, family):
    """The proxy sees the server's address as its peer; loopback connections are steered over loopback all the same."""
    far, near = t.echo(), t.echo(t.native, t.loopback)
    with t.redirected(flags=REFLECT) as session:
        connection = t.root.connect(far.local)
        exchange(connection, 300_000)
        record = expect_visit(t, session, connection, far, t.server)
        expect_equal(host_of(record["peer"]), t.server_host, "address that the proxy sees")
        connection = t.root.connect(near.local)
        exchange(connection, 300_000)
        expect_visit(t, session, connection, near, t.native)
