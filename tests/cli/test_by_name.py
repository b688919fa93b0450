# SPDX-License-Identifier: LGPL-3.0-or-later
"""R2: rules that name hosts, judged by the name that a program's first data has: SNI of TLS and QUIC, Host of HTTP."""
import socket
import struct

import schema
from harness import Server, expect_reset, read_all, read_exactly, wait_for
from lab import expect, expect_equal
from test_commands import client_hello
from test_names import SHUFFLED, VERSION_1
from test_routes import Forwarder
from test_rules import write
from test_udp import Datagrams, dropped, sessions
from test_udp_socks import UdpProxy
from test_upstream import http, socks_open


def connections(lines):
    return [line for line in lines if line["type"] == "connection"]


def request(host):
    return f"GET / HTTP/1.1\r\nAccept: */*\r\nHost: {host}\r\n\r\n".encode()


def echo():
    """Sends all back, once it has the end."""
    return Server(4, lambda c: c.sendall(read_all(c)))


def has_read(run, client):
    """Whether the relay has received all that has come from there."""
    ends = "0100007F:%04X 0100007F:%04X" % (run.port, client.getsockname()[1])
    with open("/proc/net/tcp", encoding="ascii") as table:
        queues = [row.split()[4] for row in table if ends in row]
    return [queue.endswith(":00000000") for queue in queues] == [True]


def said_and_heard(run, *parts):
    """What comes back of what is said, each part read before the next one is sent."""
    with run.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            client.sendall(part)
            wait_for(lambda: has_read(run, client), "the relay's receive")
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def relay(t, server, *lines, options=()):
    write(t, "names.rules", "".join(line + "\n" for line in lines))
    return t.relay("--json", "--rules", "names.rules", *options, destination4=server.destination)


def test_r2_each_action_by_the_name_that_is_said(t):
    """By Host with a port, in any case; the last rule that matches wins. Where no rule matches, what the library said
    counts: the fake one takes the last rule's way."""
    with echo() as server, Forwarder(http()) as other, Forwarder(socks_open) as way:
        run = relay(t, server, "redirect to *.example.test", "pass to direct.example.test", "block to blocked.example.test",
                    f"redirect to way.example.test through socks5://{way.authority}",
                    options=("--upstream", f"http://{other.authority}"))
        for host in ("direct.example.test", "WAY.Example.test:8080", "other.example.test"):
            expect_equal(said_and_heard(run, request(host)), request(host), f"what comes back for {host}")
        with run.connect() as client:
            client.sendall(request("blocked.example.test."))
            expect_reset(client, "a name that is blocked")
        seen = [(c["host"], c["upstream"], c["outcome"], c["bytes_up"]) for c in connections(run.json())]
        expect_equal(seen, [("direct.example.test", None, "closed", len(request("direct.example.test"))),
                            ("WAY.Example.test:8080", f"socks5://{way.authority}", "closed", len(request("WAY.Example.test:8080"))),
                            ("other.example.test", f"http://{other.authority}", "closed", len(request("other.example.test"))),
                            ("blocked.example.test.", f"socks5://{way.authority}", "blocked", 0)], "connections")
        expect_equal((way.asked, other.asked), ([server.destination], [server.destination]), "who was asked")


def test_r2_a_hello_in_parts(t):
    """Of TLS, byte by byte at first, and one that fills more than a segment (RFC 8446 with a post-quantum key)."""
    hello = client_hello("secure.example.test")
    long = client_hello("secure.example.test", key_bytes=3000)
    with echo() as server, Forwarder(http()) as way:
        run = relay(t, server, f"redirect to secure.example.test through http://{way.authority}", "pass to other.test")
        for parts in ([hello], [hello[:1], hello[1:6], hello[6:]], [long[:1400], long[1400:]]):
            expect_equal(said_and_heard(run, *parts, b"more"), b"".join(parts) + b"more", "what comes back")
        seen = connections(run.json())
        expect_equal([(c["host"], c["upstream"]) for c in seen], 3 * [("secure.example.test", f"http://{way.authority}")], "ways")


def test_r2_what_says_no_name(t):
    """Another protocol, a request that ends early, one without Host, an end without a word; a server that speaks first. They
    go as the library has it."""
    said = [b"SSH-2.0-x\r\n", b"GET / HT", b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", b"", b"\x16\x03\x01\x02\x00\x01"]
    with echo() as server:
        run = relay(t, server, "block to *.example.test")
        for data in said:
            expect_equal(said_and_heard(run, data), data, f"what comes back for {data}")
        expect_equal([c["outcome"] for c in connections(run.json())], len(said) * ["closed"], "ends")
    with Server(4, lambda c: c.sendall(b"greeting")) as first:
        run = relay(t, first, "block to *.example.test")
        with run.connect() as client:
            expect_equal(read_all(client), b"greeting", "what the server says first")
        run.finish()


def test_r2_a_name_that_comes_late_still_blocks(t):
    with Server(4) as server:
        run = relay(t, server, "block to *.example.test")
        with run.connect() as client, server.accept() as far:
            far.sendall(b"greeting")
            expect_equal(read_exactly(client, 8), b"greeting", "what the server says first")
            client.sendall(request("late.example.test"))
            expect_reset(client, "a name that is blocked")
        expect_equal([c["outcome"] for c in connections(run.json())], ["blocked"], "ends")


def test_r2_nobody_waits_where_no_name_can_matter(t):
    """Behind the rule that names a host one decides whatever the name is; or its port is another. The server is connected
    though nothing is said, and a name that is said changes nothing."""
    with Server(4) as server:
        for lines in (["block to *.example.test", "redirect"], ["block to *.example.test port 1"],
                      ["block program other.exe to *.example.test"], ["block from 192.0.2.0/24", "block udp to *.example.test"]):
            run = relay(t, server, *lines)
            with run.connect() as client, server.accept() as far:
                client.sendall(request("www.example.test"))
                expect_equal(read_exactly(far, 5), b"GET /", f"what arrives with {lines}")
            run.finish()


def test_r2_who_goes_while_a_name_is_waited_for(t):
    """The program resets, or redirector ends."""
    with Server(4) as server:
        run = relay(t, server, "block to *.example.test")
        client = run.connect()
        client.sendall(b"GET / HTTP")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        seen = connections(run.json())
        expect(all(c["outcome"] in ("reset by program", "closed", "refused") for c in seen), f"ends: {seen}")
        run = relay(t, server, "block to *.example.test")
        run.interrupt()
        wait_for(lambda: "Ctrl-C twice" in run.err(), "the hint")
        with run.connect() as client:
            client.sendall(b"GET / HTTP")
            wait_for(lambda: run.interrupt() or run.process.poll() is not None, "redirector's end")
            expect_reset(client, "the program's connection")
        run.wait()
        expect_equal([c["outcome"] for c in connections(map(schema.parse, run.lines()))], ["stopped"], "ends")


def test_r2_rules_that_change_count_for_the_next_connection(t):
    with echo() as server:
        run = relay(t, server, "pass to www.example.test")
        expect_equal(said_and_heard(run, request("www.example.test")), request("www.example.test"), "what comes back")
        write(t, "names.rules", "block to www.example.test\n")
        wait_for(lambda: "1 rule is in force now" in run.err(), "the change")
        with run.connect() as client:
            client.sendall(request("www.example.test"))
            expect_reset(client, "a name that is blocked")
        run.finish()


def udp_relay(t, server, *lines):
    write(t, "names.rules", "".join(line + "\n" for line in lines))
    return t.relay("--json", "--rules", "names.rules", udp=[(0, server.address)])


def test_r2_quic_by_its_servers_name(t):
    """Through a proxy, or directly, by the first datagram."""
    with Datagrams(4) as server, UdpProxy(4) as proxy:
        for line, way in ((f"redirect to example.com through {proxy.url}", proxy.url), ("pass to example.com", None)):
            run = udp_relay(t, server, line)
            with Datagrams(4, run.udp_port) as program:
                program.exchange(server, bytes.fromhex("".join(VERSION_1.split())), b"answer")
            lines = run.json()
            expect_equal([(s["host"], s["upstream"]) for s in sessions(lines)], [("example.com", way)], "sessions")
            expect_equal(dropped(lines), {}, "what was not passed on")
        expect_equal([to for _, to, _ in proxy.relayed], [server.address], "what came by the proxy")


def test_r2_quic_that_is_blocked(t):
    """Counted, and the program is told; also by a name that comes with the second datagram only."""
    for name, datagrams in (("example.com", [VERSION_1]), ("shuffled.example.org", SHUFFLED)):
        datagrams = [bytes.fromhex("".join(d.split())) for d in datagrams]
        with Datagrams(4) as server:
            run = udp_relay(t, server, f"block to {name}")
            with Datagrams(4, run.udp_port) as program:
                for data in datagrams:
                    program.send(data)
                for data in datagrams[:-1]:
                    expect_equal(server.receive_from()[0], data, "what comes before the name")
                wait_for(lambda: run.unreachable() == [program.address[1]], "that the program is told")
                program.send(b"once more")
                wait_for(lambda: len(run.unreachable()) == 2, "that it is told again")
                expect(server.is_silent(), "a datagram of a blocked host arrived")
            lines = run.json()
            expect_equal([(s["host"], s["outcome"]) for s in sessions(lines)], [(name, "blocked")], "sessions")
            expect_equal(dropped(lines), {"udp_blocked": 2}, "what was not passed on")
            expect_equal(len(run.unreachable()), 2, "how often the program was told")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_r2_")]
