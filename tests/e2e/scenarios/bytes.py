# SPDX-License-Identifier: LGPL-3.0-or-later
"""O5, O6: what is none of our business stays as it is, and of the rest nothing but the addresses changes."""
import contextlib

from harness import scenario
from lab import expect, expect_equal, host_of, wait_until
from scenarios.outgoing import exchange, expect_untouched, expect_visit

MEGABYTE = 1 << 20


def both_ways(connection, n, seed=3):
    """n bytes to an echo server while the same n come back."""
    receiving = connection.begin("receive", seed=seed, n=n)
    connection.send(seed, n)
    receiving.result(120)


@scenario("O5", session="own")
def connections_open_before_the_start(t, family):
    """The tree's own and a bystander's; used before, during and after."""
    near = t.echo(t.native, t.loopback)
    servers = [(t.echo(), t.server), (near, t.native)]
    connections = [(actor.connect(server.local), server, server_actor)
                   for server, server_actor in servers for actor in (t.root, t.bystander)]
    for connection, _, _ in connections:
        exchange(connection)
    with t.redirected() as session:
        for connection, server, server_actor in connections:
            exchange(connection, 200_000, seed=5)
            expect_untouched(connection, server, server_actor)
        expect_equal(session.stats()["flows_total"], 0, "redirected connections")
        session.stop()
        for connection, _, _ in connections:
            exchange(connection, 10_000, seed=6)
            connection.shutdown()
            expect_equal(connection.end(), "fin", "end of a connection that was left alone")


@scenario("O5")
def bystanders_while_others_are_redirected(t, family):
    """Bystanders' bytes both ways, Windows' and native, while the tree transfers as well."""
    t.lab.ctl("reset")
    server, near = t.echo(), t.echo(t.native, t.loopback)
    own = t.root.connect(server.local)
    strangers = [actor.connect(to.local) for actor in (t.bystander, t.native) for to in (server, near)]
    running = [(c.begin("receive", seed=i, n=MEGABYTE // 2), c.begin("send", seed=i, n=MEGABYTE // 2))
               for i, c in enumerate([own, *strangers])]
    for receiving, sending in running:
        sending.result(60)
        receiving.result(60)
    for i, stranger in enumerate(strangers):
        expect_untouched(stranger, *((server, t.server), (near, t.native))[i % 2])
        expect_every_packet_back(t, stranger)
    expect_visit(t, t.session, own, server, t.server)


def expect_every_packet_back(t, connection):
    """Each packet that the driver took from this connection's program was sent again under the same addresses."""
    def flow():
        found = [f for f in t.lab.flows()
                 if (f["source"], f["source_port"]) == (host_of(connection.local), connection.port)]
        return found[0] if found and found[0]["injected"] == found[0]["diverted"] else None
    counters = wait_until(flow, f"every packet of {connection.local} sent again", 5)
    expect(counters["captured"] > 10, "the lab has not seen this connection", counters)


@contextlib.contextmanager
def offload(t, on):
    t.lab.ctl("offload", "on" if on else "off")
    try:
        yield
    finally:
        t.lab.ctl("offload", "off")


def transfer(t, on):
    far, near = t.echo(), t.echo(t.native, t.loopback)
    with offload(t, on):
        for server, server_actor in ((far, t.server), (near, t.native)):
            connection = t.root.connect(server.local)
            both_ways(connection, 3 * MEGABYTE)
            record = expect_visit(t, t.session, connection, server, server_actor)
            connection.shutdown()
            expect_equal(connection.end(), "fin", "end of the connection")
            stranger = t.bystander.connect(server.local)
            both_ways(stranger, MEGABYTE // 4)
            expect_equal(record["status"], 0, "lookup")


@scenario("O6")
def megabytes_both_ways(t, family):
    transfer(t, False)


@scenario("O6")
def megabytes_both_ways_with_checksum_offload(t, family):
    """Checksums are partial sums then, and flagged so."""
    transfer(t, True)


@scenario("O6")
def packets_larger_than_1500_bytes(t, family):
    """Loopback's are; seen in the lab's counters, so that the scenario proves what its name says."""
    server = t.echo(t.native, t.loopback)
    t.lab.ctl("reset")
    connection = t.root.connect(server.local)
    both_ways(connection, 2 * MEGABYTE)
    flows = [f for f in t.lab.flows() if f["source_port"] == connection.port and f["captured"] > 1]
    expect(flows, "the lab counted no such flow")
    mean = max(f["bytes"] / f["captured"] for f in flows)
    expect(mean > 3000, f"the packets had {mean:.0f} bytes on average")
    expect_visit(t, t.session, connection, server, t.native)
