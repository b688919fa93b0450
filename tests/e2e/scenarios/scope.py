# SPDX-License-Identifier: LGPL-3.0-or-later
"""O8: link-local addresses keep their scope, in both directions; and what this machine only forwards is left alone."""
import contextlib
import ipaddress
import os
import socket
import struct
import subprocess

from conditions import warnings_in
from harness import REFLECT, scenario
from lab import expect, expect_equal, host_of, on_host, port_of, wait_until
from network import checksum
from scenarios.outgoing import exchange, expect_untouched

SYN = 2


def interface_index(host, name="lan"):
    return int(on_host(host, "ip", "-o", "link", "show", name).split(":")[0])


def link_local(host, name="lan"):
    """The link-local address of a host's interface, with its scope there, once it may be used."""
    def usable():
        words = on_host(host, "ip", "-6", "-o", "addr", "show", "dev", name, "scope", "link").split()
        return "tentative" not in words and next((w for w in words if w.startswith("fe80:")), None)
    return f"{wait_until(usable, 'a link-local address', 10).split('/')[0]}%{interface_index(host, name)}"


def from_client(address):
    """The same address as the client's programs write it."""
    return f"{address.split('%')[0]}%{interface_index('client')}"


def bare(address):
    return ipaddress.IPv6Address(host_of(address).split("%")[0])


def expect_link_local_visit(t, session, connection, server, server_actor):
    """The proxy knows the scope, and has reached the server by it."""
    record = session.proxied_for(connection)
    expect_equal(record["destination"], connection.peer, "destination with its scope")
    expect_equal(record["onward_error"], 0, "the proxy's own connection")
    visitors = [port_of(v["peer"]) for v in server_actor.visitors(server)]
    expect(port_of(record["onward"]) in visitors, f"the server was visited from {visitors}, not by the proxy", record)
    expect(connection.port not in visitors or connection.port == port_of(record["onward"]),
           "the server saw the program itself", connection.local)
    return record


@scenario("O8", "O1", families=(6,))
def a_link_local_destination_keeps_its_scope(t, family):
    there = link_local("server")
    link_local("client")
    server = t.echo(host=there)
    connection = t.root.connect(f"{from_client(there)}/{server.port}")
    exchange(connection)
    expect_equal(connection.peer, f"{from_client(there)}/{server.port}", "peer that the program sees")
    record = expect_link_local_visit(t, t.session, connection, server, t.server)
    expect_equal(host_of(record["peer"]), t.loopback, "address that the proxy sees")


@scenario("O8", "O1", families=(6,))
def an_own_link_local_address_keeps_its_scope(t, family):
    """A loopback packet, at the loopback interface; the scope is that of the address."""
    here = link_local("client")
    server = t.echo(t.bystander, here)
    connection = t.root.connect(server.local)
    exchange(connection)
    expect_link_local_visit(t, t.session, connection, server, t.bystander)


@scenario("O8", "O3", families=(6,), session="own")
def reflected_the_proxys_peer_has_a_scope(t, family):
    there = link_local("server")
    link_local("client")
    server = t.echo(host=there)
    with t.redirected(flags=REFLECT) as session:
        connection = t.root.connect(f"{from_client(there)}/{server.port}")
        exchange(connection)
        record = expect_link_local_visit(t, session, connection, server, t.server)
        expect_equal(host_of(record["peer"]), from_client(there), "address that the proxy sees")
        for asked, status in ((record["peer"], 0), (f"{bare(record['peer'])}/{port_of(record['peer'])}", 0),
                              (f"{bare(record['peer'])}%99/{port_of(record['peer'])}", 8)):
            expect_equal(t.agent.call("lookup", peer=asked)["status"], status, f"lookup of {asked}")


@scenario("O8", "N2", "N3", families=(6,), session="incoming")
def a_link_local_peer_of_the_trees_server_is_known_with_its_scope(t, family):
    here = link_local("client")
    link_local("server")
    server = t.echo(t.root, "::")
    connection = t.server.connect(f"{here.split('%')[0]}%{interface_index('server')}/{server.port}")
    exchange(connection)
    peer = f"{from_client(host_of(connection.local))}/{connection.port}"
    records = [r for r in t.session.proxied() if r["peer"] == peer]
    expect(len(records) == 1, f"the connection of {peer} reached the proxy {len(records)} times", t.session.proxied())
    expect_equal((records[0].get("destination"), records[0]["onward_error"]), (f"{here}/{server.port}", 0),
                 "destination, and the proxy's own connection")
    expect(records[0]["onward"] in [v["peer"] for v in t.root.visitors(server)], "the program was visited by another",
           records[0])


@contextlib.contextmanager
def second_uplink(t, client="fe80::b", server="fe80::9"):
    """Another pair of interfaces, "wlan", between client and server, with these addresses."""
    ends = [f"{os.environ['LAB']}-{host}" for host in ("client", "server")]
    words = ["ip", "link", "add", "wlan", "type", "veth", "peer", "name", "wlan", "netns", ends[1]]
    done = subprocess.run(["ip", "netns", "exec", ends[0], *words], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, "no second pair of interfaces", done.stderr)
    try:
        for host, address in (("client", client), ("server", server)):
            on_host(host, "sysctl", "-qw", "net.ipv6.conf.wlan.addr_gen_mode=1")
            on_host(host, "ip", "link", "set", "wlan", "up")
            on_host(host, "ip", "addr", "add", f"{address}/64", "dev", "wlan", "nodad")
        yield f"{server}%{interface_index('server', 'wlan')}", f"{server}%{interface_index('client', 'wlan')}"
    finally:
        on_host("client", "ip", "link", "del", "wlan")


@contextlib.contextmanager
def further_address(host, address):
    """A link-local address of "lan" besides its own."""
    where = [f"{address}/64", "dev", "lan"]
    on_host(host, "ip", "addr", "add", *where, "nodad")
    try:
        yield
    finally:
        on_host(host, "ip", "addr", "del", *where)


@scenario("O8", "O1", "O5", families=(6,), session="own")
def one_link_local_address_behind_two_interfaces_is_two_hosts(t, family):
    """Each connection reaches the host behind its interface: the tree's by the proxy, a stranger's as it came."""
    link_local("client")
    with further_address("server", "fe80::9"), second_uplink(t) as (on_wlan, by_wlan), t.redirected() as session:
        hosts = {"lan": (f"fe80::9%{interface_index('server')}", f"fe80::9%{interface_index('client')}"),
                 "wlan": (on_wlan, by_wlan)}
        servers = {name: t.echo(host=own) for name, (own, _) in hosts.items()}
        for name in ("lan", "wlan", "lan"):
            server, to = servers[name], f"{hosts[name][1]}/{servers[name].port}"
            connection = t.root.connect(to)
            exchange(connection)
            expect_equal(connection.peer, to, "peer that the program sees")
            expect_link_local_visit(t, session, connection, server, t.server)
            stranger = t.bystander.connect(to)
            exchange(stranger)
            expect(stranger.port in [port_of(v["peer"]) for v in t.server.visitors(server)],
                   "the server did not see the stranger itself", t.server.visitors(server))
        expect_equal(session.stats()["link_local_passed"], 0, "passed")


@scenario("O8", "O5", families=(6,), session="own")
def one_own_link_local_address_of_two_interfaces_leaves_link_local_alone(t, family):
    """Nobody could say by which interface a packet leaves that is sent again: so none are taken."""
    link_local("client")
    with further_address("server", "fe80::9"), further_address("client", "fe80::b"), second_uplink(t) as (on_wlan, by_wlan):
        log = os.path.join(t.agent.cwd, "doubled.log")
        with t.redirected(log="Z:" + log) as session:
            hosts = {"lan": (f"fe80::9%{interface_index('server')}", f"fe80::9%{interface_index('client')}"),
                     "wlan": (on_wlan, by_wlan)}
            for own, to in hosts.values():
                server = t.echo(host=own)
                for actor in (t.root, t.bystander):
                    connection = actor.connect(f"{to}/{server.port}")
                    exchange(connection)
                    expect(connection.port in [port_of(v["peer"]) for v in t.server.visitors(server)],
                           "the server did not see the program itself", t.server.visitors(server))
            expect_equal(session.proxied(), [], "connections at the proxy")
            expect_equal(session.stats()["link_local_passed"], 2, "counted")
            connection = t.root.connect(t.echo().local)
            exchange(connection)
            session.proxied_for(connection)
        expect(any("same link-local address" in line for line in warnings_in(log)), "no warning")


# ---- connections of others

def first_syn(source, destination):
    """A whole SYN packet, from "host/port" to "host/port"."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    addresses = [socket.inet_pton(family, host_of(a)) for a in (source, destination)]
    segment = struct.pack("!HHIIBBHHH", port_of(source), port_of(destination), 1, 0, 0x50, SYN, 8192, 0, 0)
    pseudo = b"".join(addresses) + struct.pack("!IBBBB" if family == socket.AF_INET6 else "!HBBBB",
                                               *((len(segment), 0, 0, 0, 6) if family == socket.AF_INET6
                                                 else (len(segment), 0, 0, 0, 6)))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    if family == socket.AF_INET6:
        return struct.pack("!IHBB", 6 << 28, len(segment), 6, 64) + b"".join(addresses) + segment
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0x4000, 64, 6, 0) + b"".join(addresses)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + segment


@contextlib.contextmanager
def route_to_guests(t, network):
    """The server's answers to guests go by the client, and end there."""
    gateway = t.client
    on_host("server", "ip", "route", "add", network, "via", gateway)
    try:
        yield
    finally:
        on_host("server", "ip", "route", "del", network, "via", gateway)


@scenario("O5", "O2", session="own")
def a_connection_of_a_guest_passes_at_once(t, family):
    """A machine that forwards for others: what it sends for them has their addresses, and no owner here. Such a SYN is
    not held, and the TCP table is not asked."""
    network, guest = {4: ("192.168.137.0/24", "192.168.137.5"), 6: ("fd78::/64", "fd78::5")}[family]
    server = t.echo()
    with t.redirected(hold_timeout_ms=1000) as session, route_to_guests(t, network):
        t.native.call("raw", packets=first_syn(f"{guest}/40000", server.local).hex())
        wait_until(lambda: session.stats()["packets_seen"] >= 1, "the guest's SYN seen", 5)
        stats = session.stats()
        expect_equal((stats["syns_forwarded"], stats["packets_held"]), (1, 0), "forwarded, held")
        expect_equal(stats["packets_passed"], 1, "passed")
        connection = t.bystander.connect(server.local)
        exchange(connection)
        expect_untouched(connection, server, t.server)
        expect_equal(session.stats()["syns_forwarded"], 1, "an own connection is none of them")
