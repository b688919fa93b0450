# SPDX-License-Identifier: LGPL-3.0-or-later
"""U1: the relay passes datagrams on, and answers come back; strangers, ends, limits."""
import os
import select
import socket

import schema
from harness import Server, wait_for
from lab import expect, expect_equal
from test_program import one_line
from test_relay import parse

PATIENCE = 60
LARGEST = {4: 65507, 6: 65527}


def loopback(family):
    return "127.0.0.1" if family == 4 else "::1"


class Datagrams:
    """A UDP socket, of a program or of a destination."""

    def __init__(self, family=4, to=None, address=None, port=0):
        self.socket = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((address or loopback(family), port))
        self.address = self.socket.getsockname()[:2]
        if to:
            self.socket.connect((loopback(family), to))

    def send(self, data):
        self.socket.send(data)

    def receive(self):
        return self.socket.recv(1 << 16)

    def receive_from(self):
        data, peer = self.socket.recvfrom(1 << 16)
        return data, peer[:2]

    def is_silent(self):
        return not select.select([self.socket], [], [], 0)[0]

    def exchange(self, server, question, answer):
        """With a destination; returns whom that has seen."""
        self.send(question)
        got, peer = server.receive_from()
        expect_equal(got, question, "what arrived")
        server.socket.sendto(answer, peer)
        expect_equal(self.receive(), answer, "what came back")
        return peer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def sessions(lines, kind="connection"):
    return [line for line in lines if line["type"] == kind and line["protocol"] == "udp"]


def summary(lines):
    return [line for line in lines if line["type"] == "summary"][0]


def dropped(lines):
    """Of the summary, what is not 0 of what was not passed on."""
    return {key: value for key, value in summary(lines).items() if key.startswith("udp_") and value}


def test_u1_datagrams_both_ways(t):
    """Both families, every size, in order; an empty one is one, too. Each session comes from a port of its own."""
    with Datagrams(4) as server4, Datagrams(6) as server6:
        run = t.relay("--json", udp=[(0, server4.address), (0, server6.address)])
        count = total = 0
        for family, server in ((4, server4), (6, server6)):
            with Datagrams(family, run.udp_port) as one, Datagrams(family, run.udp_port) as other:
                seen = {program: {program.exchange(server, os.urandom(size), os.urandom(LARGEST[family] - size))
                                  for size in (0, 1, 1472, 1473, 9000, LARGEST[family])} for program in (one, other)}
                expect_equal([len(peers) for peers in seen.values()], [1, 1], "ports of each session")
                expect(seen[one] != seen[other], "two sockets come from one port")
                for number in range(50):
                    one.send(b"%d" % number)
                expect_equal([server.receive_from()[0] for _ in range(50)], [b"%d" % n for n in range(50)], "order")
        lines = run.json()
        expect_equal(sorted((s["destination"], s["port"], s["outcome"]) for s in sessions(lines)),
                     [(*server.address, "closed") for server in (server4, server4, server6, server6)], "sessions")
        expect_equal(len(sessions(lines, "open")), 4, "sessions that began")
        up = [sum((0, 1, 1472, 1473, 9000, LARGEST[f])) for f in (4, 6)]
        first = min(sessions(lines), key=lambda s: s["number"])
        expect_equal((first["bytes_up"], first["bytes_down"], first["pid"], first["process"]),
                     (up[0] + 90, 6 * LARGEST[4] - up[0], run.pid, "child.exe"), "the first session")
        expect_equal(dropped(lines), {}, "what was not passed on")


def test_u1_lines_for_people(t):
    with Datagrams(4) as server:
        run = t.relay(udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program, Datagrams(4, run.udp_port) as stranger:
            program.exchange(server, b"question", b"answer")
            run.udp_flows([(program.address[1], server.address)])
            stranger.send(b"x")
            flows = t.start("flows")
            flows.end_input()
            flows.wait()
            expect("%s:%d/udp" % server.address in flows.out(), f"flows: {flows.out()}")
        line, last = run.finish()
        expect_equal(parse(line), ("child.exe", run.pid, "%s:%d/udp" % server.address, 8, 6, "closed"), "line")
        expect(last.endswith("0 unknown peers, 1 UDP datagram from unknown peers"), f"summary: {last}")


def test_u1_a_link_local_destination_is_reached_by_its_scope(t):
    scope = socket.if_nametoindex("hole")
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.bind(("fe80::77", 0, 0, scope))
    server.settimeout(PATIENCE)
    run = t.relay("--json", udp=[(0, (f"fe80::77%{scope}", server.getsockname()[1]))])
    with Datagrams(6, run.udp_port) as program, server:
        program.send(b"question")
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)
        expect_equal(program.receive(), b"question", "what came back")
        expect_equal([s["destination"] for s in sessions(run.json())], [f"fe80::77%{scope}"], "destinations")


def test_u1_strangers_are_not_served(t):
    """Nor is a port whose flow has ended, or is another socket's now, as it was before."""
    with Datagrams(4) as server, Datagrams(4) as later:
        run = t.relay("--json")
        with Datagrams(4, run.udp_port) as program:
            for _ in range(3):
                program.send(b"stranger")
            wait_for(lambda: stats(t, run)["udp_unknown_peers"] == 3, "the strangers' datagrams")
            run.udp_flows([(program.address[1], server.address)])
            program.exchange(server, b"one", b"two")
            run.udp_flows([(program.address[1], later.address)])
            program.exchange(later, b"three", b"four")
            expect(server.is_silent(), "the former destination got something")
            run.udp_flows([])
            program.send(b"late")
            wait_for(lambda: stats(t, run)["udp_unknown_peers"] == 4, "the late datagram")
        lines = run.json()
        expect_equal([(s["destination"], s["port"]) for s in sessions(lines)], [server.address, later.address], "sessions")
        expect_equal(dropped(lines), {"udp_unknown_peers": 4}, "what was not passed on")


def stats(t, run):
    asked = t.start("stats", "--json")
    asked.end_input()
    expect_equal(asked.wait(), 0, f"status of stats: {asked.err()}")
    return schema.parse(asked.out())


def test_u5_a_session_ends_with_its_flow(t):
    """Its socket is closed, and nothing is left of it; others go on."""
    with Datagrams(4) as server, Datagrams(4) as other:
        run = t.relay("--json")
        with Datagrams(4, run.udp_port) as program, Datagrams(4, run.udp_port) as second:
            flows = [(program.address[1], server.address), (second.address[1], other.address)]
            run.udp_flows(flows)
            peer = program.exchange(server, b"a", b"b")
            second.exchange(other, b"c", b"d")
            run.udp_flows(flows[1:])
            wait_for(lambda: '"type":"connection"' in run.err(), "the end of the session")
            server.socket.sendto(b"late", peer)
            second.exchange(other, b"e", b"f")
            expect(program.is_silent(), "an answer came after the end")
        expect_equal([(s["port"], s["bytes_up"]) for s in sessions(run.json())],
                     [(server.address[1], 1), (other.address[1], 2)], "sessions")


def test_u4_nobody_receives_at_the_destination(t):
    """The program is told, each time; and the session goes on when somebody does receive."""
    with Datagrams(4) as server:
        address = server.address
    run = t.relay("--json", udp=[(0, address)])
    with Datagrams(4, run.udp_port) as program:
        program.send(b"x")
        wait_for(lambda: run.unreachable() == [program.address[1]], "the first error")
        lines = run.json()
    expect_equal([(s["outcome"], s["bytes_down"]) for s in sessions(lines)], [("refused", 0)], "sessions")
    expect_equal((summary(lines)["failed"], dropped(lines)), (1, {}), "the summary")


def test_u4_a_destination_that_comes_later(t):
    """The session goes on after an error, and errors after that are told, too."""
    with Datagrams(4) as server:
        address = server.address
    run = t.relay("--json", udp=[(0, address)])
    with Datagrams(4, run.udp_port) as program:
        program.send(b"x")
        wait_for(lambda: run.unreachable() == [program.address[1]], "the first error")
        server = Datagrams(4, port=address[1])
        program.exchange(server, b"a", b"b")
        server.socket.close()
        program.send(b"y")
        wait_for(lambda: len(run.unreachable()) >= 2, "the second error")
        expect_equal([s["outcome"] for s in sessions(run.json())], ["closed"], "sessions")


def test_u4_unreachable(t):
    run = t.relay("--json", udp=[(0, ("203.0.113.1", 53))])  # the namespace has no route there
    with Datagrams(4, run.udp_port) as program:
        program.send(b"x")
        wait_for(lambda: run.unreachable() == [program.address[1]], "the error")
        lines = run.json()
    expect_equal([(s["outcome"], s["os_error"]) for s in sessions(lines)], [("unreachable", 10051)], "sessions")
    expect_equal(dropped(lines), {"udp_lost": 1}, "what was not passed on")


def test_u5_sessions_have_a_bound(t):
    """The one that has been silent longest makes room, and is counted; it begins anew when it speaks again."""
    bound, more = 4096, 3
    with Datagrams(4) as server:
        server.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        run = t.relay("--json", udp=[(0, server.address)])
        programs = [Datagrams(4, run.udp_port) for _ in range(bound + more)]
        seen = []
        for start in range(0, len(programs), 100):
            for program in programs[start:start + 100]:
                program.send(b"a")
            seen += [server.receive_from()[1] for _ in programs[start:start + 100]]
            programs[0].exchange(server, b"still", b"here")
        wait_for(lambda: stats(t, run)["udp_evicted"] == more, "sessions that made room")
        expect_equal([programs[i].exchange(server, b"b", b"c") in seen for i in (0, 1)], [True, False], "still the same")
        lines = run.json()
        expect_equal((dropped(lines), len(sessions(lines))), ({"udp_evicted": more + 1}, bound + more + 1), "in the end")
        for program in programs:
            program.socket.close()


def test_u5_nothing_leaks(t):
    """Sessions that end leave neither memory nor sockets of the program behind."""
    def memory():
        with open(f"/proc/{run.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmData:"))

    def sessions_begin_and_end(count):
        for i in range(count):
            with Datagrams(4, run.udp_port) as program:
                run.udp_flows([(program.address[1], server.address)])
                program.exchange(server, b"a", b"b")
        run.udp_flows([])
        wait_for(lambda: run.err().count('"type":"connection"') == run.err().count('"type":"open"'), "the ends")

    with Datagrams(4) as server:
        run = t.relay("--json")
        sessions_begin_and_end(200)
        before = memory()
        sessions_begin_and_end(600)
        expect(memory() < before + 2048, f"memory has grown from {before} to {memory()} KB")
        run.json()


def test_s2_run_ends_although_sessions_are_open(t):
    """Nobody is left to get an answer, so nobody waits for a time-out."""
    with Datagrams(4) as server:
        run = t.relay("--json", udp=[(0, server.address)])
        with Datagrams(4, run.udp_port) as program:
            program.exchange(server, b"a", b"b")
            run.end_input()
            run.wait()
        expect_equal([s["outcome"] for s in sessions([schema.parse(x) for x in run.lines()])], ["closed"], "sessions")


def test_tcp_goes_on_beside_datagrams(t):
    """While datagrams come as fast as they can, a connection gets its bytes."""
    with Datagrams(4) as sink, Server(4, lambda c: c.sendall(b"x" * (4 << 20))) as server:
        run = t.relay("--json", destination4=server.destination, udp=[(0, sink.address)])
        with Datagrams(4, run.udp_port) as program, run.connect() as client:
            client.setblocking(False)
            got = 0
            while got < 4 << 20:
                for _ in range(64):
                    program.send(b"y" * 1200)
                if select.select([client], [], [], 0)[0]:
                    got += len(client.recv(1 << 20))
        run.json()


# ---- what else may become of UDP

def test_udp_options(t):
    child = t.child()
    for words, part in ((["--udp", "maybe"], "--udp needs relay, pass or block"),
                        (["--udp-proxy-port", "0"], "--udp-proxy-port needs a port"),
                        (["--udp", "relay", "--udp-proxy-port", "5"], "give one of them"),
                        (["--no-outgoing", "--incoming", "--udp", "block"], "have no meaning"),
                        (["--block-quic", "--udp-proxy-port", "5"], "it may drop them"),
                        (["--udp-proxy-port", "9"], "nothing receives on UDP port 9")):
        one_line(t.finish("run", *words, "--", child), 3 if "nothing" in part else 2, part)


def test_udp_goes_where_the_options_say(t):
    with Server() as proxy, Datagrams(4) as own:
        for words, wanted in (([], "relay"), (["--udp", "relay"], "relay"), (["--udp", "block"], "relay"),
                              (["--udp", "pass"], 0), (["--incoming", "--no-outgoing"], 0),
                              (["--proxy-port", str(proxy.destination[1])], 0),
                              (["--proxy-port", str(proxy.destination[1]), "--udp", "relay"], "relay"),
                              (["--udp-proxy-port", str(own.address[1])], own.address[1])):
            run = t.relay(*words)
            expect_equal("relay" if run.udp_port not in (0, own.address[1]) else run.udp_port, wanted, f"port with {words}")
            run.finish()


def test_udp_takes_the_relays_port(t):
    with Datagrams(4) as server, Server() as free:
        port = free.destination[1]
        free.close()
        run = t.relay("--relay-port", str(port), udp=[(0, server.address)])
        expect_equal((run.port, run.udp_port), (port, port), "ports")
        with Datagrams(4, port) as program:
            program.exchange(server, b"a", b"b")
        one_line(t.finish("run", "--relay-port", str(port), "--", t.child()), 3, f"port {port} is in use")
        run.finish()


def test_udp_block(t):
    """Nothing leaves, and the programs are told at once; with --block-quic that is so for port 443 alone."""
    with Datagrams(4) as server:
        for words, blocked, free in ((["--udp", "block"], ("127.0.0.1", 9), None),
                                     (["--block-quic"], ("127.0.0.1", 443), server.address)):
            run = t.relay("--json", *words)
            with Datagrams(4, run.udp_port) as program, Datagrams(4, run.udp_port) as other:
                run.udp_flows([(program.address[1], blocked)] + ([(other.address[1], free)] if free else []))
                program.send(b"x")
                wait_for(lambda: run.unreachable() == [program.address[1]], "the error")
                if free:
                    other.exchange(server, b"a", b"b")
                lines = run.json()
            expect_equal((dropped(lines), len(sessions(lines))), ({"udp_blocked": 1}, 1 if free else 0), f"with {words}")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
