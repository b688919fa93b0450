# SPDX-License-Identifier: LGPL-3.0-or-later
"""O6: what the proxy answers comes in segments as loopback carries them; where they do not arrive, in smaller ones."""
import contextlib

from harness import REFLECT, SMALL_SEGMENTS, scenario
from lab import expect, expect_equal, host_of, port_of
from network import recording, tshark_count
from scenarios.bytes import MEGABYTE, both_ways
from scenarios.outgoing import exchange, expect_visit
from scenarios.packets import expect_checksums_right, ports, transfer

N = 2 * MEGABYTE
CARD = 1500  # bytes of a packet that a network card takes


def answers(t, connection):
    """How many packets were sent to this program as its server's answers."""
    host, port = host_of(connection.local), connection.port
    return sum(f["injected"] for f in t.lab.flows()
               if (f["destination"], f["destination_port"]) == (host, port) and f["source"] == host_of(connection.peer))


def expect_few(t, connection, n=N):
    """The proxy passes on what it gets, as it gets it: so they are not as large as they could be."""
    expect(answers(t, connection) < n // CARD // 2, "packets of the answers", answers(t, connection))


@contextlib.contextmanager
def largest(t, limit):
    """The machine loses packets that come in and are longer."""
    t.expect_losses("inbound_too_large")
    t.lab.ctl("largest", str(limit))
    try:
        yield
    finally:
        t.lab.ctl("largest", "0")


@scenario("O6")
def answers_in_large_segments(t, family):
    server = t.echo()
    connection = t.root.connect(server.local)
    both_ways(connection, N)
    expect_few(t, connection)
    expect_visit(t, t.session, connection, server, t.server)
    connection.shutdown()
    expect_equal(connection.end(), "fin", "end of the connection")
    expect_equal(t.session.stats()["segments_cut"], 0, "segments_cut")


@scenario("O6", session="own")
def segments_as_tshark_reads_them(t, family):
    """A handshake and what follows it, recorded behind the driver."""
    server = t.echo()
    with t.redirected() as session:
        with recording(t, family, *ports(server.local, f"/{session.proxy_port}")) as record:
            connection = t.root.connect(server.local)
            both_ways(connection, MEGABYTE)
            connection.shutdown()
            expect_equal(connection.end(), "fin", "end of the connection")
        syn = f"tcp.flags.syn == 1 && tcp.dstport == {session.proxy_port} && tcp.options.mss_val == "
        answer = f"tcp.srcport == {port_of(server.local)} && tcp.dstport == {connection.port} && tcp.len > "
        path = record.paths["after"]
        expect_equal(tshark_count(path, syn + str(65495 if family == 4 else 65475)), 1, "SYNs that were raised")
        large, all_of_them = tshark_count(path, answer + str(CARD)), tshark_count(path, answer + "0")
        expect(0 < large <= all_of_them < MEGABYTE // CARD // 2, "answers with data, large and all", large, all_of_them)
        expect_checksums_right(record)


@scenario("O6", session="own")
def reflected_answers_as_the_card_takes_them(t, family):
    with t.redirected(flags=REFLECT):
        connection = t.root.connect(t.echo().local)
        both_ways(connection, MEGABYTE // 4)
        expect(answers(t, connection) > MEGABYTE // 4 // CARD, "packets of the answers", answers(t, connection))


@scenario("O6", session="own")
def a_machine_that_takes_no_large_segments(t, family):
    """Two connections find out; from the third on all is as a card would have it."""
    with t.redirected() as session, largest(t, CARD):
        server = t.echo()
        for _ in range(2):
            connection = t.root.connect(server.local)
            both_ways(connection, MEGABYTE // 4)
            connection.shutdown()
            expect_equal(connection.end(), "fin", "end of the connection")
        cut = session.stats()["segments_cut"]
        expect(cut > 0, "segments_cut")
        connection = t.root.connect(server.local)
        both_ways(connection, MEGABYTE // 4)
        expect_equal(session.stats()["segments_cut"], cut, "segments_cut, of a connection that begins later")
        expect_visit(t, session, connection, server, t.server)


@scenario("O6", "S8", session="own")
def a_start_that_sees_that_they_do_not_arrive(t, family):
    """No connection has to find out, and what the program sends does not get larger either."""
    with largest(t, CARD), t.redirected() as session:
        expect_equal(session.stats()["large_segments"], 0, "large_segments")
        connection = t.root.connect(t.echo().local)
        both_ways(connection, MEGABYTE // 4)
        expect(answers(t, connection) > MEGABYTE // 4 // CARD, "packets of the answers", answers(t, connection))
        expect_equal(session.stats()["segments_cut"], 0, "segments_cut")
    with t.redirected() as session:
        expect_equal(session.stats()["large_segments"], 1, "large_segments, of a start without the limit")


@scenario("O6", session="own")
def who_wants_small_segments(t, family):
    with t.redirected(flags=SMALL_SEGMENTS) as session:
        expect_equal(session.stats()["large_segments"], 0, "large_segments")
        connection = t.root.connect(t.echo().local)
        both_ways(connection, MEGABYTE // 4)
        expect(answers(t, connection) > MEGABYTE // 4 // CARD, "packets of the answers", answers(t, connection))


@scenario("O6", session="own", long=True)
def a_gigabyte_each_way_in_small_segments(t, family):
    with t.redirected(flags=SMALL_SEGMENTS) as session:
        transfer(t, session, 1024 * MEGABYTE)


@scenario("O6", session="own")
def a_limit_in_the_middle_of_a_connection(t, family):
    with t.redirected() as session:
        connection = t.root.connect(t.echo().local)
        both_ways(connection, N)
        expect_few(t, connection)
        with largest(t, CARD):
            both_ways(connection, MEGABYTE // 4, seed=9)
            expect(session.stats()["segments_cut"] > 0, "segments_cut")
            other = t.root.connect(t.echo().local)
            exchange(other)
        both_ways(connection, MEGABYTE // 4, seed=10)
        connection.shutdown()
        expect_equal(connection.end(), "fin", "end of the connection")
