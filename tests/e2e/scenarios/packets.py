# SPDX-License-Identifier: LGPL-3.0-or-later
"""O6: what redirection does to packets, looked at packet by packet, and to bytes, on bad wires and in great numbers.

An outgoing redirected connection lives on loopback and never meets the wire between the hosts; so what a wire does to
packets is shown with incoming ones, whose peers are on the other host, and for outgoing ones by losing packets at the
receiving side of loopback.
"""
import contextlib
import socket
import struct

from conditions import balanced, imbalance, setting
from harness import NO_PROOF, scenario
from lab import Connection, expect, expect_equal, host_of, port_of, wait_until, wire
from network import (NATIVE_PID, Packet, checksum, increase, kernel_counters, kernel_setting, options_of, packet_rules,
                     recording, tshark_count)
from scenarios.bytes import both_ways
from scenarios.outgoing import exchange, expect_visit

MEGABYTE = 1 << 20
SUM_ERRORS = ("TcpInCsumErrors", "TcpInErrs", "IpInHdrErrors", "Ip6InHdrErrors")
OPTION_FAST_OPEN = 34


@contextlib.contextmanager
def incoming(t, kind=balanced):
    """A redirector of incoming connections too; .target: a port of the tree's program, .incoming_proxy: the proxy's."""
    server = t.echo(t.root, t.client)
    with kind(t, incoming=True) as session:
        session.target, session.incoming_proxy = server.local, f"{t.client}/{session.incoming_port}"
        yield session


def expect_incoming(t, session, connection):
    """The incoming proxy was told whom it stands in for."""
    records = [r for r in session.proxied() if r["peer"] == connection.local]
    expect_equal([(r.get("destination"), r.get("incoming"), r.get("pid")) for r in records],
                 [(session.target, 1, t.root.pid)], f"what the incoming proxy was told about {connection.local}")


@contextlib.contextmanager
def accounted(t, **config):
    """Like balanced(), without waiting until flows that ended by FIN have lingered."""
    config["flags"] = config.get("flags", 0) | NO_PROOF
    with t.redirected(**config) as session:
        yield session
        wait_until(lambda: not imbalance(t, session, 0), "the books balance")


# ---- bad wires

@scenario("O6", "N2", session="own")
def lost_and_reordered_segments_on_the_wire(t, family):
    """1 % lost and 5 % overtaken between the hosts: the connection that crosses the wire is the redirected one."""
    t.lab.ctl("reset")
    with incoming(t) as session, wire("loss", "1"), wire("reorder", "5"):
        before = kernel_counters("server")
        connection = t.server.connect(session.target)
        both_ways(connection, 4 * MEGABYTE)
        expect_incoming(t, session, connection)
        again = increase(before, kernel_counters("server"), "TcpRetransSegs")["TcpRetransSegs"]
        counters = t.lab.counters()
        for name in ("wire_lost", "wire_reordered"):
            expect(counters[name] > 0, f"the wire has done nothing: {name} 0")
        expect(again > 0, "nothing was sent again")


@scenario("O6", session="own")
def lost_segments_on_loopback(t, family):
    """1 % of what arrives on loopback is lost, between program and proxy too, so that both send again."""
    server = t.echo()
    with balanced(t) as session:
        loss = f"INPUT -i lo -p tcp --{{}}port {session.proxy_port} -m statistic --mode random --probability 0.01 -j DROP"
        before = kernel_counters("client")
        with packet_rules(family, loss.format("d"), loss.format("s")):
            connection = t.root.connect(server.local)
            both_ways(connection, 4 * MEGABYTE)
        again = increase(before, kernel_counters("client"), "TcpRetransSegs")["TcpRetransSegs"]
        expect(again > 0, "nothing was sent again")
        expect_visit(t, session, connection, server, t.server)


# ---- great numbers

def transfer(t, session, size):
    """Every byte is compared with the stream's byte at its place, which no hash could do better."""
    server = t.echo()
    connection = t.root.connect(server.local)
    receiving = connection.begin("receive", seed=3, n=size)
    sending = connection.begin("send", seed=3, n=size)
    limit = 30 + size / (MEGABYTE / 2)
    expect_equal(sending.result(limit)["bytes"], size, "bytes sent")
    expect_equal(receiving.result(limit)["bytes"], size, "bytes received")
    connection.shutdown()
    expect_equal(connection.end(), "fin", "end of the connection")
    record = expect_visit(t, session, connection, server, t.server)
    expect_equal((record["up"], record["down"]), (size, size), "bytes that the proxy saw")


@scenario("O6")
def thirty_two_megabytes_each_way(t, family):
    transfer(t, t.session, 32 * MEGABYTE)


@scenario("O6", long=True)
def a_gigabyte_each_way(t, family):
    transfer(t, t.session, 1024 * MEGABYTE)


# ---- packet by packet

def ports(*addresses):
    """What to record: all packets to or from these ports."""
    return [f"--{side}port {port_of(address)}" for address in addresses for side in "ds"]


def sent(packets, names):
    return [p for p in map(Packet, packets) if (p.source, p.destination) == names]


OPTION_MSS = 2
LOOPBACK = {"127.0.0.1": 65495, "::1": 65475}  # and the largest segments there


def with_mss_of_loopback(syn, destination):
    """What this SYN has to be, addresses, ports and checksums apart, when it is led there."""
    data = bytearray(syn.unchanging())
    struct.pack_into("!H", data, options_of(syn.data)[OPTION_MSS] + 2, LOOPBACK[destination])
    return bytes(data)


def expect_only_addresses_changed(record, *ways):
    """Each packet of the redirected connection was there once before and once after the driver, in the same order, and
    differs in addresses, ports and checksums alone; a first SYN that is led to loopback in its MSS option, too. A way:
    ((source, destination) before, the same after)."""
    for before, after in ways:
        one, other = sent(record.packets["before"], before), sent(record.packets["after"], after)
        expect(one, f"no packet {before} was recorded")
        expect_equal(len(other), len(one), f"packets that were {before} and are {after}")
        for i, (packet, changed) in enumerate(zip(one, other)):
            raised = host_of(after[1]) in LOOPBACK and packet.is_first_syn()
            wanted = with_mss_of_loopback(packet, host_of(after[1])) if raised else packet.unchanging()
            expect_equal(changed.unchanging().hex(), wanted.hex(), f"packet {i} of {before}")


def expect_same(record, stranger):
    """All packets of a bystander were injected as they were, to the last bit, in the same order. (Before the driver the
    kernel has not yet computed what it computes last, so checksums are left to tshark.)"""
    names = (stranger.local, stranger.peer)
    before, after = ([p.without_checksums().hex() for p in sent(record.packets[name], names)]
                     for name in ("before", "after"))
    expect(len(before) >= 8, f"only {len(before)} packets of the bystander")
    expect(len(after) >= 3, f"only {len(after)} packets of the bystander came to us")
    expect_equal(after, before[:len(after)], "packets of the bystander")  # the rest may be left to the kernel


def expect_checksums_right(record):
    """As tshark sees them, of all packets that were injected."""
    path = record.paths["after"]
    expect_equal(tshark_count(path, 'tcp.checksum.status == "Bad" or ip.checksum.status == "Bad"'), 0,
                 "injected packets with a wrong checksum")
    good = tshark_count(path, 'tcp.checksum.status == "Good"')
    expect(good >= len(record.packets["after"]) > 0, f"tshark says of only {good} injected packets that they are right")


def outgoing_ways(session, connection, at_proxy, loopback):
    original, steered = (connection.local, connection.peer), (at_proxy, f"{loopback}/{session.proxy_port}")
    return (original, steered), (steered[::-1], original[::-1])


def incoming_ways(session, connection):
    original, steered = (connection.local, session.target), (connection.local, session.incoming_proxy)
    return (original, steered), (steered[::-1], original[::-1])


@contextlib.contextmanager
def native_member(t, kind=balanced):
    """A native program that a rule has put into the tree: its kernel uses more of TCP than Wine lets one ask for."""
    member = t.lab.native(t.world.name("native"), "client")
    member.windows_pid = NATIVE_PID + member.pid
    with kind(t, rules=f"+#{member.windows_pid}") as session:
        yield session, member
        member.call("close_all")
    member.call("exit")
    member.alive = lambda: False


def its_record(session, connection, member):
    records = [r for r in session.proxied() if r.get("destination") == connection.peer]
    expect_equal([r["pid"] for r in records], [member.windows_pid], "process that the proxy was told")
    return records[0]


@scenario("O6", "O5", session="own")
def nothing_but_addresses_changes_outgoing(t, family):
    """And nothing at all of a bystander's connection."""
    server = t.echo()
    with native_member(t, accounted) as (session, member):
        with recording(t, family, *ports(server.local, f"/{session.proxy_port}")) as record:
            connection, stranger = member.connect(server.local), t.native.connect(server.local)
            for i in range(4):  # at first, and few: what a stranger sends more is soon left to the kernel
                exchange(stranger, 700, seed=i)
            stranger.shutdown()
            expect_equal(stranger.end(), "fin", "end of the stranger's connection")
            for i in range(20):
                exchange(connection, 700, seed=i)
            connection.shutdown()
            expect_equal(connection.end(), "fin", "end of the connection")
            at_proxy = its_record(session, connection, member)["peer"]
        expect_only_addresses_changed(record, *outgoing_ways(session, connection, at_proxy, t.loopback))
        expect_same(record, stranger)
        expect_checksums_right(record)


@scenario("O6", "N2", session="own")
def nothing_but_the_port_changes_incoming(t, family):
    with incoming(t, accounted) as session:
        with recording(t, family, *ports(session.target, session.incoming_proxy)) as record:
            connection = t.server.connect(session.target)
            for i in range(20):
                exchange(connection, 700, seed=i)
            connection.shutdown()
            expect_equal(connection.end(), "fin", "end of the connection")
            expect_incoming(t, session, connection)
        expect_only_addresses_changed(record, *incoming_ways(session, connection))
        expect_checksums_right(record)


# ---- Fast Open

FAST_OPEN_CLIENT, FAST_OPEN_ALL_LISTENERS = 0x1, 0x402
FAST_OPEN = "net.ipv4.tcp_fastopen"  # of both families
TAKEN, SENT = "TcpExtTCPFastOpenPassive", "TcpExtTCPFastOpenActive"


def expect_fast_open(t, family, connect, ways_of, hosts, *recorded):
    """The first connection asks for a cookie, the second has data in its SYN: the receiving kernel takes it from there, so
    it was no retransmission. `connect(at)` makes one and returns it; `hosts`: of sender and receiver."""
    first = connect(1000)
    first.receive(1000, 1000)
    with recording(t, family, *recorded) as record:
        before = [kernel_counters(host) for host in hosts]
        connection = connect(2000)
        connection.receive(2000, 1000)
        after = [kernel_counters(host) for host in hosts]
        ways = ways_of(connection)
    expect_equal(increase(before[0], after[0], SENT), {SENT: 1}, "SYNs with data that were acknowledged")
    expect_equal(increase(before[1], after[1], TAKEN), {TAKEN: 1}, "SYNs with data that were taken")
    expect_only_addresses_changed(record, *ways)
    syn = sent(record.packets["after"], ways[0][1])[0]
    expect(OPTION_FAST_OPEN in options_of(syn.data), "the SYN has no cookie", options_of(syn.data))
    expect(len(syn.data) >= syn.at + 20 + 1000, f"the SYN has no data: {len(syn.data)} bytes")


@scenario("O6", session="own")
def fast_open_outgoing(t, family):
    server = t.echo()
    with kernel_setting("client", FAST_OPEN, FAST_OPEN_CLIENT | FAST_OPEN_ALL_LISTENERS), native_member(t) as (session, member):
        def ways(connection):
            record = [r for r in session.proxied() if r.get("destination") == server.local][-1]
            return outgoing_ways(session, connection, record["peer"], t.loopback)
        expect_fast_open(t, family, lambda seed: connect_fast(member, server.local, seed), ways, ("client", "client"),
                         *ports(server.local, f"/{session.proxy_port}"))


@scenario("O6", "N2", session="own")
def fast_open_incoming(t, family):
    with kernel_setting("client", FAST_OPEN, FAST_OPEN_ALL_LISTENERS), kernel_setting("server", FAST_OPEN, FAST_OPEN_CLIENT):
        with incoming(t) as session:
            expect_fast_open(t, family, lambda seed: connect_fast(t.server, session.target, seed),
                             lambda connection: incoming_ways(session, connection), ("server", "client"),
                             *ports(session.target, session.incoming_proxy))


def connect_fast(actor, to, seed):
    """Connects with the first 1000 bytes of the stream in the SYN, if the kernel has a cookie; afterwards else."""
    number = actor.new_id()
    return Connection(actor, number, actor.call("connect_fast", id=number, to=to, seed=seed, n=1000))


# ---- packets that no stack makes

def odd_packets(source, target):
    """A SYN and what may follow it, with whatever the headers can hold."""
    experiment = bytes([253, 6]) + b"what"
    syn_options = bytes([2, 4, 5, 180, 4, 2, 8, 10]) + b"timestmp" + bytes([3, 3, 7]) + experiment + \
        bytes([OPTION_FAST_OPEN, 10]) + b"a cookie"
    sack = bytes([1, 1, 5, 18]) + bytes(range(16))
    md5 = bytes([19, 18]) + bytes(range(100, 116))
    rows = (
        {"flags": 0x02, "options": syn_options, "payload": b"early data"},
        {"flags": 0x10, "options": sack, "payload": b"x"},
        {"flags": 0x38, "urgent": 3, "payload": b"urgent"},
        {"flags": 0xd0, "service": 0x2f, "payload": b"congestion, and all bits of the service field"},
        {"flags": 0x10, "reserved": 15, "hops": 2, "identification": 0xbeef, "payload": b"reserved bits"},
        {"flags": 0x10, "options": md5, "payload": b"odd"},
        {"flags": 0x10, "options": bytes([1] * 39 + [0]), "payload": b""},
        {"flags": 0x00, "payload": b"no flag at all"},
        {"flags": 0x10, "network_options": True, "payload": b"options below TCP"},
        {"flags": 0x10, "window": 0, "flow_label": 0xabcde, "payload": bytes(1300)},
    )
    sequence = 0x10000000
    for row in rows:
        yield odd_packet(source, target, sequence, **row)
        sequence += len(row["payload"]) + (row["flags"] & 0x02 and 1)


def odd_packet(source, target, sequence, flags, payload, options=b"", urgent=0, reserved=0, window=4321, **network):
    options += bytes(-len(options) % 4)
    at = [socket.inet_pton(socket.AF_INET6 if ":" in end else socket.AF_INET, end.rpartition("/")[0])
          for end in (source, target)]
    tcp = bytearray(struct.pack("!HHIIBBHHH", port_of(source), port_of(target), sequence, 0x20000000,
                                (5 + len(options) // 4) << 4 | reserved, flags, window, 0, urgent) + options + payload)
    pseudo = at[0] + at[1] + struct.pack("!II", len(tcp), socket.IPPROTO_TCP)
    struct.pack_into("!H", tcp, 16, checksum(pseudo + bytes(tcp)))
    return (ipv4_header if len(at[0]) == 4 else ipv6_header)(*at, len(tcp), **network) + bytes(tcp)


def ipv4_header(source, target, length, service=0, hops=64, identification=1, network_options=False, flow_label=0):
    del flow_label  # IPv6 only
    options = bytes([148, 4, 0, 0, 1, 1, 1, 0]) if network_options else b""  # router alert, padding
    total = 20 + len(options) + length
    return struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, service, total, identification, 0, hops,
                       socket.IPPROTO_TCP, 0, source, target) + options  # the kernel adds the checksum


def ipv6_header(source, target, length, service=0, hops=64, identification=0, network_options=False, flow_label=0):
    del identification  # IPv4 only
    options = bytes([socket.IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0]) if network_options else b""  # destination options: padding
    following = 60 if network_options else socket.IPPROTO_TCP
    return struct.pack("!IHBB16s16s", 6 << 28 | service << 20 | flow_label, len(options) + length, following, hops, source,
                       target) + options


@scenario("O6", "N2", session="own")
def odd_packets_incoming(t, family):
    """Sent by hand from the other host; each goes through, and only its destination port and checksum are others."""
    with incoming(t) as session:
        source = f"{t.server_host}/{t.free_port()}"
        crafted = list(odd_packets(source, session.target))
        silence = f"OUTPUT -p tcp --dport {port_of(session.target)} --tcp-flags RST RST -j DROP"
        with packet_rules(family, silence, host="server", table="filter"), \
                recording(t, family, *ports(session.target, session.incoming_proxy)) as record:
            t.server.call("raw", packets=",".join(packet.hex() for packet in crafted))
            wait_until(lambda: session.stats()["packets_rewritten"] >= len(crafted), "all of them rewritten")
        forward = ((source, session.target), (source, session.incoming_proxy))
        expect_only_addresses_changed(record, forward)
        arrived = sent(record.packets["after"], forward[1])
        expect_equal([p.unchanging().hex() for p in arrived], [Packet(p).unchanging().hex() for p in crafted],
                     "packets as they were made and as they arrived")
        expect_checksums_right(record)


# ---- checksum flags

@scenario("O6", "O5", session="own")
def every_combination_of_checksum_flags(t, family):
    """Whichever checksums the driver says are valid, those that reach a kernel are. The lab refuses packets whose flag
    claims too much, the kernels count what is wrong, and tshark looks at all of them."""
    far, near = t.echo(), t.echo(t.native, t.loopback)
    with incoming(t) as session:
        recorded = ports(far.local, near.local, session.target, session.incoming_proxy, f"/{session.proxy_port}")
        before = [kernel_counters(host) for host in ("client", "server")]
        with recording(t, family, *recorded) as record:
            for number, which in enumerate(("off", "ip", "transport", "on")):
                with setting(t, "offload", which, "off"):
                    made = [t.root.connect(far.local), t.root.connect(near.local), t.server.connect(session.target),
                            t.bystander.connect(far.local), t.native.connect(near.local)]
                    for connection in made:
                        for n in (1, 1000, 100_000):
                            exchange(connection, n, seed=number)
                    expect_incoming(t, session, made[2])
        for host, counters in zip(("client", "server"), before):
            expect_equal(increase(counters, kernel_counters(host), *SUM_ERRORS), dict.fromkeys(SUM_ERRORS, 0),
                         f"wrong checksums that the kernel of the {host} has met")
        expect_checksums_right(record)
        proxied = [r.get("destination") for r in session.proxied()]
        expect_equal(sorted(proxied), sorted([far.local, near.local, session.target] * 4), "destinations")
