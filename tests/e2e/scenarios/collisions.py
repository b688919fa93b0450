# SPDX-License-Identifier: LGPL-3.0-or-later
"""O3, N3: one source port at the proxy means one connection, however many have it elsewhere: every lookup and every
byte is right."""
from conditions import arrival, balanced, plain, second_server_address
from harness import scenario
from lab import ANY, expect, expect_equal, port_of
from scenarios.outgoing import exchange


def from_port(host, port):
    return {"reuse": 1, "from": f"{host}/{port}"}


def told_apart(t, session, expected):
    """expected: (connection, program's pid, incoming) in the order in which they were opened, all from one source
    port. Bytes go over all of them at once; then each is at the proxy under a port of its own."""
    running = [(c.begin("receive", seed=i, n=100_000), c.begin("send", seed=i, n=100_000))
               for i, (c, _, _) in enumerate(expected)]
    for pair in running:
        for one in pair:
            one.result()
    records = [r for r in session.proxied() if r["status"] == 0]
    wanted = sorted((plain(c.peer), pid, incoming) for c, pid, incoming in expected)
    told = sorted((r["destination"], r["pid"], r["incoming"]) for r in records)
    expect_equal(told, wanted, "what the proxy was told")
    ports = {port_of(r["peer"]) for r in records}
    expect_equal(len(ports), len(expected), f"different ports at the proxy ({ports})")
    expect(expected[0][0].port in ports, "the first one did not keep its source port", ports)
    for record in records:
        port = port_of(record["peer"])
        for host in (record["peer"].rpartition("/")[0], "::" if ":" in record["peer"] else "0.0.0.0"):
            answer = t.agent.call("lookup", peer=f"{host}/{port}")
            expect_equal((answer.get("destination"), answer.get("pid"), answer.get("incoming")),
                         (record["destination"], record["pid"], record["incoming"]), f"lookup of {host}/{port}")
    expect_equal(session.stats()["flows_live"], len(expected), "live flows")


@scenario("O3", session="own", families=None)
def outgoing_from_every_address_at_once(t):
    """Seven local addresses of two families, one source port; by two programs."""
    child = t.child(t.root)
    port = t.free_port()
    places = [(t.server, "10.77.0.2", "10.77.0.1"), (t.server, "fd77::2", "fd77::1"),
              (t.native, "127.0.0.1", "127.0.0.1"), (t.server, "10.77.0.2", "10.77.0.11"),
              (t.native, "::1", "::1"), (t.server, "fd77::2", "fd77::11"),
              (t.native, "127.0.0.1", "127.0.0.2")]
    with balanced(t) as session:
        expected = []
        for i, (server_actor, host, source) in enumerate(places):
            actor = child if i % 2 else t.root
            expected.append((actor.connect(t.echo(server_actor, host).local, **from_port(source, port)), actor.pid, 0))
        told_apart(t, session, expected)


@scenario("N3", session="own")
def two_peers_of_one_port(t, family):
    """Two addresses of the other machine, with the same source port."""
    server = t.echo(t.root, ANY[family])
    port = t.free_port()
    with second_server_address(t) as second, balanced(t, incoming=True) as session:
        expected = [(t.server.connect(f"{t.client}/{server.port}", **from_port(host, port)), t.root.pid, 1)
                    for host in (t.server_host, second)]
        told_apart(t, session, expected)
        peers = {host: [port_of(r["peer"]) for r in session.proxied() if r["peer"].startswith(host + "/")]
                 for host in (t.server_host, second)}
        expect_equal(peers[t.server_host], [port], "port of the first peer at the proxy")
        expect(peers[second] not in ([], [port]), "the later one's port was not translated", peers)
        visits = [v["peer"] for v in t.root.visitors(server)].count(f"{second}/{port}")
        expect_equal(visits, 0, "visits of a peer itself")


@scenario("N3", session="own", families=None)
def peers_and_programs_with_one_port(t):
    """Incoming and outgoing, both families, loopback and other machine: eight connections with one source port."""
    child = t.child(t.root)
    port = t.free_port()
    with balanced(t, incoming=True) as session:
        # The child's servers come after the start, the peers' connections and the tree's own in turn.
        server = child.serve(f"::/{t.free_port()}", dual=1)
        expected = []
        for peer, host, source in ((t.server, "10.77.0.1", "10.77.0.2"), (t.bystander, "127.0.0.1", "127.0.0.1"),
                                   (t.server, "fd77::1", "fd77::2"), (t.bystander, "::1", "::1")):
            expected.append((peer.connect(f"{host}/{server.port}", **from_port(source, port)), child.pid, 1))
        for host, source in (("10.77.0.2", "10.77.0.1"), ("fd77::2", "fd77::1")):
            expected.append((t.root.connect(t.echo(host=host).local, **from_port(source, port)), t.root.pid, 0))
        near = t.echo(t.native, "127.0.0.1")
        expected.append((t.root.connect(near.local, **from_port("127.0.0.9", port)), t.root.pid, 0))
        expected.append((t.root.connect(f"10.77.0.1/{server.port}", **from_port("10.77.0.11", port)), child.pid, 1))
        told_apart(t, session, expected)


@scenario("N3", session="own")
def incoming_and_outgoing_port_are_one_number(t, family):
    """A peer comes from port P to the program's port Q; the program goes from port Q to that peer's port P, on another
    address; and another connection of its own leaves from P."""
    p, q = t.free_port(), t.free_port()
    t.root.serve(f"{t.client}/{q}")
    far = t.server.serve(f"{t.server_host}/{p}")
    with second_server_address(t) as second, balanced(t, incoming=True) as session:
        expected = [(t.server.connect(f"{t.client}/{q}", **from_port(second, p)), t.root.pid, 1),
                    (t.root.connect(far.local, **from_port(t.client2, p)), t.root.pid, 0),
                    (t.root.connect(t.echo().local, **from_port(t.client2, q)), t.root.pid, 0)]
        for i, (connection, _, _) in enumerate(expected):
            exchange(connection, 30_000, seed=i)
        for connection, pid, incoming in expected:
            record = arrival(session, connection) if incoming else session.proxied_for(connection)
            expect_equal((record["destination"], record["pid"], record["incoming"]), (connection.peer, pid, incoming),
                         "what the proxy was told")
        ports = [port_of(r["peer"]) for r in session.proxied()]
        expect_equal(len(set(ports)), 3, f"different ports at the proxy ({ports})")
        expect_equal([v["peer"] for v in t.server.visitors(far)], [session.proxied_for(expected[1][0])["onward"]],
                     "visitors of the peer's server")


@scenario("N3", session="own")
def peer_with_the_proxys_own_port(t, family):
    """A peer's source port may be any number, those of the proxies included."""
    server = t.echo(t.root, ANY[family])
    with balanced(t, incoming=True) as session:
        for port in (session.incoming_port, session.proxy_port, server.port):
            connection = t.server.connect(f"{t.client}/{server.port}", **from_port(t.server_host, port))
            exchange(connection, 20_000, seed=port)
            record = arrival(session, connection)
            expect_equal(record["destination"], connection.peer, "destination")
            session.forget_proxied()
            connection.reset()
