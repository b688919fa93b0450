# SPDX-License-Identifier: LGPL-3.0-or-later
"""Datagrams through a proxy (RFC 1928, section 7), played here; what it may do wrong; and the names in datagrams."""
import contextlib
import ipaddress
import select
import socket
import struct
import threading

from harness import Server, read_all, read_exactly, wait_for
from lab import expect, expect_equal
from test_limits import EVERYTHING, Halting
from test_names import VERSION_1
from test_udp import Datagrams, dropped, sessions, stats, summary

TYPES = {1: 4, 4: 16}


def header(address, fragment=0, kind=None):
    ip = ipaddress.ip_address(address[0])
    return bytes((0, 0, fragment, kind or (1 if ip.version == 4 else 4))) + ip.packed + struct.pack("!H", address[1])


class UdpProxy(Server):
    """A SOCKS5 proxy that associates. `answer(proxy, port)` is what it says to that; `login`: user and password.
    `relayed` is whatever it relays, `open` its control connections."""

    def __init__(self, family=4, answer=None, login=None, address=None):
        self.answer, self.login = answer or UdpProxy.own_address, login
        self.datagrams = Datagrams(family, address=address)
        self.family, self.requests, self.relayed, self.open, self.clients = family, [], [], [], []
        threading.Thread(target=self.relay, daemon=True).start()
        super().__init__(family, self.serve, address)

    def own_address(self, _):
        return b"\5\0\0" + header(self.datagrams.address)[3:]

    @property
    def url(self):
        address, port = self.destination
        login = "%s:%s@" % self.login if self.login else ""
        return f"socks5://{login}[{address}]:{port}" if ":" in address else f"socks5://{login}{address}:{port}"

    def serve(self, connection):
        _, count = read_exactly(connection, 2)
        read_exactly(connection, count)
        connection.sendall(b"\5\2" if self.login else b"\5\0")
        if self.login:
            read_exactly(connection, 1)
            got = [read_exactly(connection, read_exactly(connection, 1)[0]).decode() for _ in range(2)]
            connection.sendall(b"\1\0" if tuple(got) == self.login else b"\1\1")
        request = connection.recv(1)
        if not request:  # the try before the program goes no further
            return
        request += read_exactly(connection, 3)
        request += read_exactly(connection, TYPES[request[3]] + 2)
        self.requests.append(request)
        self.open.append(connection)
        connection.sendall(self.answer(self, self.datagrams.address[1]))
        with contextlib.suppress(OSError):
            read_all(connection)
        self.open.remove(connection)

    def relay(self):
        """One socket for all associations: whom an answer is for is known by the destination alone, or not at all."""
        onward = {}
        while True:
            ready, _, _ = select.select([self.datagrams.socket, *onward], [], [], 60)
            for s in ready:
                if s in onward:
                    data, sender = s.recvfrom(1 << 16)
                    self.datagrams.socket.sendto(header(sender[:2]) + data, onward[s])
                    continue
                data, client = s.recvfrom(1 << 16)
                self.clients.append(client)
                size = TYPES[data[3]]
                to = (str(ipaddress.ip_address(data[4:4 + size])), *struct.unpack("!H", data[4 + size:6 + size]))
                self.relayed.append((data[:3], to, data[6 + size:]))
                there = socket.socket(socket.AF_INET if size == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
                there.sendto(data[6 + size:], to)
                onward[there] = client


def check_way(t, family=4, via_family=4, **more):
    with Datagrams(family) as server, UdpProxy(via_family, **more) as proxy:
        run = t.relay("--json", "--upstream", proxy.url, udp=[(0, server.address)])
        with Datagrams(family, run.udp_port) as program, Datagrams(family, run.udp_port) as other:
            for one in (program, other):
                for size in (3, 0, 9000):
                    one.send(b"q" * size)
                    data, peer = server.receive_from()
                    server.socket.sendto(data + b"!", peer)
                    expect_equal(one.receive(), b"q" * size + b"!", "what came back")
        lines = run.json()
        zeros = b"\5\3\0\1" + bytes(6) if via_family == 4 else b"\5\3\0\4" + bytes(18)
        expect_equal(proxy.requests, [zeros] * 2, "requests: an association for each socket of the program")
        expect_equal({head for head, _, _ in proxy.relayed}, {b"\0\0\0"}, "headers")
        expect_equal(len(set(proxy.clients)), 2, "sockets towards the proxy")
        expect_equal([(s["bytes_up"], s["bytes_down"], s["upstream"] in proxy.url.replace("user:word@", ""))
                      for s in sessions(lines)], [(9003, 9006, True)] * 2, "sessions")
        expect_equal(dropped(lines), {}, "what was not passed on")
        wait_for(lambda: not proxy.open, "the end of the control connections")


def test_u1_socks(t):
    check_way(t)


def test_u1_socks_ipv6_by_an_ipv4_proxy(t):
    check_way(t, family=6)


def test_u1_socks_ipv4_by_an_ipv6_proxy_with_login(t):
    check_way(t, via_family=6, login=("user", "word"))


def test_u1_socks_at_the_proxys_own_address(t):
    """BND.ADDR of zeros."""
    check_way(t, answer=lambda _, port: b"\5\0\0\1\0\0\0\0" + struct.pack("!H", port))
    check_way(t, answer=lambda _, port: b"\5\0\0\4" + bytes(16) + struct.pack("!H", port))


def test_u1_socks_behind_a_nat(t):
    """BND.ADDR is of a network of the proxy's own, and the proxy was reached at a public address. What is as public, or where
    both are private, is taken as it is said."""
    for family, public, private in ((4, "198.51.100.1", ("10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "169.254.0.1",
                                                         "fd00::1")),
                                    (6, "2001:db8:5::1", ("fd00::1", "fe80::1", "10.1.2.3"))):
        for address in private:
            check_way(t, via_family=family, address=public,
                      answer=lambda _, port, said=address: b"\5\0\0" + header((said, port))[3:])
    check_way(t, address="198.51.100.1", answer=lambda _, port: b"\5\0\0" + header(("198.51.100.1", port))[3:])
    with Datagrams(4) as server, Datagrams(4, address="198.51.100.1") as there, \
            UdpProxy(answer=lambda *_: b"\5\0\0" + header(there.address)[3:]) as proxy:
        run = t.relay("--json", "--upstream", proxy.url, udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program:
            program.send(b"q")
            expect_equal(there.receive()[-1:], b"q", "what came to where the proxy said")
        run.finish()


def test_socks_datagrams_wait_for_the_proxy(t):
    """Sixteen, in order; what is more is lost and counted."""
    def answer(proxy, port):
        go.wait(30)
        return proxy.own_address(port)
    go = threading.Event()
    with Datagrams(4) as server, UdpProxy(answer=answer) as proxy:
        run = t.relay("--json", "--upstream", proxy.url, udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program:
            for number in range(18):
                program.send(b"%d" % number)
            wait_for(lambda: stats(t, run)["udp_lost"] == 2, "those that find no room")
            go.set()
            expect_equal([server.receive() for _ in range(16)], [b"%d" % n for n in range(16)], "what arrived")
        expect_equal(dropped(run.json()), {"udp_lost": 2}, "what was not passed on")


def test_u1_socks_answers_that_lie(t):
    """Too short at each byte, in parts, of no such address, of another host, and from elsewhere: dropped and counted. What
    the destination says comes, as ::ffff: address, too."""
    with Datagrams(4) as server, Datagrams(4) as elsewhere, UdpProxy() as proxy:
        run = t.relay("--json", "--upstream", proxy.url, udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program:
            program.send(b"q")
            server.receive()
            client, good = proxy.clients[0], header(server.address)
            lies = [good[:size] for size in range(len(good))]
            lies += [header(server.address, fragment=1) + b"x", header(server.address, kind=9) + b"x",
                     header(server.address, kind=3) + b"x", header(server.address, kind=4) + b"x",
                     header(("127.0.0.2", server.address[1])) + b"x", header((server.address[0], 1)) + b"x",
                     header(("::1", server.address[1])) + b"x"]
            for lie in lies:
                proxy.datagrams.socket.sendto(lie, client)
            elsewhere.socket.sendto(good + b"x", ("127.0.0.1", client[1]))
            for truth in (good, header(("::ffff:" + server.address[0], server.address[1]))):
                proxy.datagrams.socket.sendto(truth + b"true", client)
                expect_equal(program.receive(), b"true", "what came to the program")
            wait_for(lambda: stats(t, run)["udp_invalid"] == len(lies) + 1, "all lies")
            expect(program.is_silent(), "a lie came to the program")
        expect_equal(dropped(run.json()), {"udp_invalid": len(lies) + 1}, "what was not passed on")


def check_refusal(t, answer, outcome):
    with Datagrams(4) as server, UdpProxy(answer=answer) as proxy:
        run = t.relay("--json", "--upstream", proxy.url, udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program:
            program.send(b"x")
            wait_for(lambda: run.unreachable() == [program.address[1]], "the error")
            expect(server.is_silent(), "something went past the proxy")
            lines = run.json()
        expect_equal([s["outcome"] for s in sessions(lines)], [outcome], "sessions")
        expect_equal((summary(lines)["failed"], dropped(lines)), (1, {"udp_lost": 1}), "the summary")


def test_socks_proxy_that_does_not_associate(t):
    """What it says, or that it lies about where it takes datagrams; and the program is told that nothing arrives."""
    for code, outcome in ((7, "upstream carries no UDP"), (2, "upstream forbids it"), (1, "upstream cannot reach it")):
        check_refusal(t, lambda *_, code=code: bytes((5, code, 0, 1)) + bytes(6), outcome)
    port = b"\0\7"
    for lie in (b"\4\0\0\1\x7f\0\0\1" + port, b"\5\0\0\1\x7f\0\0\1\0\0", b"\5\0\0\1\xe0\0\0\1" + port,
                b"\5\0\0\4\xff\2" + bytes(14) + port, b"\5\0\0\3\3abc" + port, b"\5\0\0\2\x7f\0\0\1" + port):
        check_refusal(t, lambda *_, lie=lie: lie, "upstream is no such proxy")


def test_s10_socks_proxy_that_stops_at_each_byte(t):
    """The wait for an association has a limit; the program is told, and the proxy sees the end of each."""
    steps = [(4, b"\5\2"), (11, b"\1\0"), (10, b"\5\0\0\1\x7f\0\0\1\0\7")]
    length = sum(len(answer) for _, answer in steps)
    with Halting(steps, lambda n: EVERYTHING if n == 0 else n - 1) as proxy, contextlib.ExitStack() as stack:
        run = t.relay("--json", "--connect-timeout", "4", "--upstream", f"socks5://user:word@{proxy.authority}",
                      udp=[(0, ("127.0.0.1", 9))])
        programs = [stack.enter_context(Datagrams(4, run.udp_port)) for _ in range(length)]
        for program in programs:
            program.send(b"x")
        wait_for(lambda: sorted(run.unreachable()) == sorted(p.address[1] for p in programs), "the errors")
        lines = run.json()
        expect_equal([s["outcome"] for s in sessions(lines)], ["upstream does not answer"] * length, "sessions")
        wait_for(lambda: proxy.ended >= length, "the proxy's end of all connections")


def test_u5_socks_association_ends_with_its_control_connection(t):
    """Then the session ends; what the program sends next begins another. One that has failed begins anew after a second."""
    answers = [lambda proxy, port: proxy.own_address(port), lambda *_: bytes((5, 1, 0, 1)) + bytes(6)]
    with Datagrams(4) as server, UdpProxy(answer=lambda proxy, port: (answers.pop(0) if answers else UdpProxy.own_address)(
            proxy, port)) as proxy:
        run = t.relay("--json", "--upstream", proxy.url, udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program:
            program.send(b"one")
            expect_equal(server.receive(), b"one", "what arrived")
            proxy.open[0].shutdown(socket.SHUT_RDWR)
            wait_for(lambda: '"type":"connection"' in run.err(), "the end of the session")
            program.send(b"two")
            wait_for(lambda: "upstream cannot reach it" in run.err(), "the session that fails")
            program.send(b"three")  # too soon
            wait_for(lambda: stats(t, run)["udp_lost"] >= 2 or not server.is_silent(), "the third datagram")

            def again():
                program.send(b"four")
                return not server.is_silent()
            wait_for(again, "a session after a while")
            lines = run.json()
        outcomes = [s["outcome"] for s in sessions(lines)]
        expect_equal(outcomes[:3], ["closed", "upstream cannot reach it", "closed"], "sessions")


def test_http_proxies_carry_no_udp(t):
    """Datagrams go directly, and a message says so, once."""
    with Datagrams(4) as server, Server(4, read_all) as proxy:
        run = t.relay("--json", "--upstream", "http://%s:%d" % proxy.destination, udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program, Datagrams(4, run.udp_port) as other:
            program.exchange(server, b"a", b"b")
            other.exchange(server, b"a", b"b")
        lines = run.json()
        expect_equal([s["upstream"] for s in sessions(lines)], [None, None], "the way")
        expect_equal(len([x for x in lines if x["type"] == "message" and "carries no UDP" in x["text"]]), 1, "messages")


# ---- names

def test_names_of_dns(t):
    """Questions with their answers, as many as there is room for."""
    def message(number, name, kind=1, address=None):
        flags, answers = (0x8180, 1) if address else (0x0100, 0)
        question = b"".join(bytes((len(part),)) + part for part in name.encode().split(b".")) + b"\0"
        record = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(address)) + address if address else b""
        return struct.pack("!6H", number, flags, 1, answers, 0, 0) + question + struct.pack("!HH", kind, 1) + record

    with Datagrams(4, address="127.0.0.1", port=53) as server:
        run = t.relay("--json", udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program, Datagrams(4, run.udp_port) as other:
            program.exchange(server, message(1, "example.org"), message(1, "example.org", address=bytes((192, 0, 2, 1))))
            program.exchange(server, message(2, "example.org", 28), b"no message")
            for number in range(20):
                other.exchange(server, message(number, f"host-{number}.example.org"), b"no message")
        first, second = sorted(sessions(run.json()), key=lambda s: s["number"])
        expect_equal(first["dns"], "A example.org -> 192.0.2.1; AAAA example.org", "the first session")
        expect_equal(second["dns"], "; ".join(f"A host-{n}.example.org" for n in range(9, 20)), "the second session")


def test_names_of_quic(t):
    with Datagrams(4) as server:
        run = t.relay("--json", udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program, Datagrams(4, run.udp_port) as other:
            program.exchange(server, bytes.fromhex("".join(VERSION_1.split())), b"b")
            other.exchange(server, b"no QUIC", b"b")
        expect_equal({s["number"]: s["host"] for s in sessions(run.json())}, {1: "example.com", 2: None}, "names")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
