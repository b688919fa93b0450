# SPDX-License-Identifier: LGPL-3.0-or-later
"""The relay: what goes in comes out, and ends as it would without it."""
import calendar
import hashlib
import json
import os
import re
import select
import shutil
import socket
import subprocess
import threading
import time

from harness import Server, expect_reset, processes, read_all, read_exactly, reset, wait_for
from lab import Failure, expect, expect_equal
from test_program import HOSTILE_NAME

LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d\d\d  (\S.*)\((\d+)\) +(\S+) +up (\d+)  down (\d+)  \d+\.\d\d\d s  (.+)$")


def parse(line):
    match = LINE.match(line)
    expect(match, f"not the line of a connection: {line!r}")
    process, pid, destination, up, down, outcome = match.groups()
    return process, int(pid), destination, int(up), int(down), outcome


def outcomes(lines):
    return [parse(line)[5] for line in lines[:-1]]


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def check_bytes_both_ways(t, family):
    size = 8 << 20
    up, down = os.urandom(size), os.urandom(size + 1)

    def serve(connection):
        sender = threading.Thread(target=connection.sendall, args=(down,))
        sender.start()
        received.append(hashlib.sha256(read_all(connection)).digest())
        sender.join()

    received = []
    with Server(family, serve) as server:
        run = t.relay(**{f"destination{family}": server.destination})
        with run.connect(family) as client:
            sender = threading.Thread(target=lambda: (client.sendall(up), client.shutdown(socket.SHUT_WR)))
            sender.start()
            expect_equal(hashlib.sha256(read_all(client)).digest(), hashlib.sha256(down).digest(),
                         "hash of what came down")
            sender.join()
        lines = run.finish()
        expect_equal(received, [hashlib.sha256(up).digest()], "hash of what went up")
        address, port = server.destination
        destination = f"{address}:{port}" if family == 4 else f"[{address}]:{port}"
        expect_equal(parse(lines[0]), ("child.exe", run.pid, destination, size, size + 1, "closed"), "line")
        expect_equal(lines[1:], [f"redirector: 1 connection, {size} bytes up, {size + 1} bytes down, 0 failed, "
                                "0 unknown peers"], "summary")


def test_bytes_both_ways_ipv4(t):
    check_bytes_both_ways(t, 4)


def test_bytes_both_ways_ipv6(t):
    check_bytes_both_ways(t, 6)


class LinkLocalServer(Server):
    """On the link-local address that tests/cli/run has given to an interface: only by its scope it can be reached."""

    def __init__(self, serve=None):
        self.scope = socket.if_nametoindex("hole")
        super().__init__(6, serve, "fe80::77", self.scope)
        self.port = self.destination[1]
        self.destination = (f"fe80::77%{self.scope}", self.port)


def test_o8_a_link_local_destination_is_reached_by_its_scope(t):
    with LinkLocalServer(echo) as server:
        for json_lines in (False, True):
            run = t.relay(*["--json"] * json_lines, destination6=server.destination)
            with run.connect(6) as client:
                client.sendall(b"question")
                client.shutdown(socket.SHUT_WR)
                expect_equal(read_all(client), b"question", "what came back")
            if json_lines:
                lines = [line for line in run.json() if line["type"] in ("open", "connection")]
                expect_equal([(line["destination"], line["port"]) for line in lines], [server.destination] * 2, "lines")
            else:
                expect_equal(parse(run.finish()[0])[2:], (f"[fe80::77%{server.scope}]:{server.port}", 8, 8, "closed"), "line")


def test_200_connections_at_once(t):
    count, size = 200, 50_000
    with Server(4, echo) as server4, Server(6, echo) as server6:
        run = t.relay(destination4=server4.destination, destination6=server6.destination)
        clients = [run.connect(4 if i % 2 else 6) for i in range(count)]
        payloads = [os.urandom(size) for _ in clients]
        wrong = []

        def talk(client, payload):
            sender = threading.Thread(target=lambda: (client.sendall(payload), client.shutdown(socket.SHUT_WR)))
            sender.start()
            if read_all(client) != payload:
                wrong.append(client)
            sender.join()

        threads = [threading.Thread(target=talk, args=pair) for pair in zip(clients, payloads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect_equal(len(wrong), 0, "connections with wrong bytes")
        for client in clients:
            client.close()
        lines = run.finish()
        expect_equal(outcomes(lines), ["closed"] * count, "outcomes")
        total = count * size
        expect_equal(lines[-1], f"redirector: {count} connections, {total} bytes up, {total} bytes down, 0 failed, "
                               "0 unknown peers", "summary")


def test_nothing_leaks(t):
    """Connections that end in every way leave neither memory nor sockets of the program behind."""
    def sizes():
        with open(f"/proc/{run.process.pid}/status") as file:
            memory = next(int(line.split()[1]) for line in file if line.startswith("VmData:"))
        return memory, len(os.listdir(f"/proc/{wineserver_pid}/fd"))

    def connect_often(count):
        for i in range(count):
            if i % 3 == 0:
                run.expect_refusal("refused upstream", 6)
                continue
            client = run.connect()
            with server.accept() as upstream:
                client.sendall(b"x")
                expect_equal(upstream.recv(1), b"x", "data")
                (reset if i % 3 == 1 else socket.socket.close)(client)
        nonlocal ended
        ended += count
        wait_for(lambda: len(run.lines()) == ended, "the lines of all connections")

    ended = 0
    wineserver_pid, = (pid for pid, name, _ in processes() if name.startswith("wineserver"))
    with Server() as server:
        run = t.relay(destination4=server.destination, destination6=("::1", 9))
        connect_often(300)
        memory, files = sizes()
        connect_often(900)
        memory_after, files_after = sizes()
        expect(memory_after < memory + 2048, f"memory has grown from {memory} to {memory_after} KB")
        expect(files_after < files + 200, f"open files have grown from {files} to {files_after}")
        expect("1200 connections" in run.finish()[-1], "summary")


def half_close(t, by_the_program):
    """One end has said all; the other goes on."""
    with Server() as server:
        run = t.relay(destination4=server.destination)
        with run.connect() as client, server.accept() as upstream:
            first, second = (client, upstream) if by_the_program else (upstream, client)
            first.sendall(b"question")
            first.shutdown(socket.SHUT_WR)
            expect_equal(read_all(second), b"question", "what the second end got")
            for part in (b"an", b"swer"):
                second.sendall(part)
                expect_equal(read_exactly(first, len(part)), part, "what the first end got after the half-close")
            second.shutdown(socket.SHUT_WR)
            expect_equal(read_all(first), b"", "end of data")
        expect_equal(outcomes(run.finish()), ["closed"], "outcomes")


def test_half_close_by_the_program(t):
    half_close(t, True)


def test_half_close_by_the_destination(t):
    half_close(t, False)


def test_back_pressure(t):
    """What the destination does not read is not read from the program either; all of it arrives in the end."""
    with Server() as server:
        run = t.relay(destination4=server.destination)
        with run.connect() as client, server.accept() as upstream:
            for end in (client, upstream):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            client.setblocking(False)
            block, sent = os.urandom(65536), 0
            while select.select([], [client], [], 1.0)[1]:
                sent += client.send(block[sent % 65536:])
                expect(sent < 64 << 20, "64 MB went into a connection that nobody reads")
            client.settimeout(30)
            client.shutdown(socket.SHUT_WR)
            received = read_all(upstream)
            expect_equal(len(received), sent, "bytes that arrived")
            expect(received == (block * (sent // 65536 + 1))[:sent], "other bytes arrived than were sent")
        expect_equal(outcomes(run.finish()), ["closed"], "outcomes")


def unused_destination():
    with Server() as server:
        return server.destination


def test_refused(t):
    destination = unused_destination()
    run = t.relay(destination4=destination)
    for _ in range(2):
        run.expect_refusal("refused upstream")
    lines = run.finish()
    expect_equal(parse(lines[0])[2:], ("%s:%d" % destination, 0, 0, "refused"), "line")
    expect("2 connections" in lines[-1] and "2 failed" in lines[-1], f"summary: {lines[-1]}")


def test_unreachable(t):
    run = t.relay(destination4=("203.0.113.1", 80))  # the namespace has no route there
    run.expect_refusal("unreachable destination")
    lines = run.finish()
    expect(outcomes(lines)[0].startswith("unreachable (error 10051)"), f"lines: {lines}")
    expect("1 failed" in lines[-1], f"summary: {lines[-1]}")


def connecting_to(destination):
    """Is a connection to it in SYN_SENT? The destination is in the kernel's notation."""
    with open("/proc/net/tcp") as table:
        return any(line.split()[2:4] == [destination, "02"] for line in table)


def test_program_gives_up_while_connecting(t):
    """The runner has made an interface behind which nothing ever answers."""
    run = t.relay(destination4=("198.51.100.2", 80))
    client = run.connect()
    wait_for(lambda: connecting_to("026433C6:0050"), "the relay's attempt to connect")
    reset(client)
    wait_for(lambda: run.err(), "the line of the connection")
    expect_equal(parse(run.lines()[0])[3:], (0, 0, "reset by program"), "line")
    run.finish()


def test_data_before_the_destination_answers(t):
    """The destination answers only when its address has come into being, after data and its end wait in the relay."""
    with Server(address="198.51.100.3") as server:
        run = t.relay(destination4=server.destination)
        with run.connect() as client:
            wait_for(lambda: connecting_to("036433C6:%04X" % server.destination[1]), "the relay's attempt to connect")
            client.sendall(b"early" * 10_000)
            client.shutdown(socket.SHUT_WR)
            subprocess.run(["ip", "address", "add", "198.51.100.3/32", "dev", "lo"], check=True)
            with server.accept() as upstream:
                expect_equal(read_all(upstream), b"early" * 10_000, "what arrived")
            expect_equal(read_all(client), b"", "end of data")
        expect_equal(outcomes(run.finish()), ["closed"], "outcomes")


def check_idle(sender, receiver):
    """What has come from `sender` is passed on. Once the relay has also served the other way, it waits to receive."""
    receiver.sendall(b"!")
    expect_equal(read_exactly(sender, 1), b"!", "data the other way")


def test_keep_alive(t):
    """On both legs, in the kernel's eyes: a peer that vanishes while a connection is idle is noticed."""
    def timers():
        table = subprocess.run(["ss", "-tnoH", "state", "established"], stdout=subprocess.PIPE, check=True, text=True)
        return {tuple(line.split()[2:4]): "timer:(keepalive," in line for line in table.stdout.splitlines()}

    with Server() as server:
        run = t.relay(destination4=server.destination)
        with run.connect() as client, server.accept() as upstream:
            check_idle(client, upstream)
            there = timers()
            ends = [connection.getsockname() for connection in (client, upstream)]
            peers = [connection.getpeername() for connection in (client, upstream)]
            legs = [tuple("%s:%d" % end for end in (peer, own)) for own, peer in zip(ends, peers)]
            expect_equal([there.get(leg) for leg in legs], [True, True], f"keep-alive of {legs} in {there}")
        run.finish()


def test_urgent_data(t):
    """The byte that is marked as urgent arrives, in its place, in both directions; the mark does not."""
    with Server() as server:
        run = t.relay(destination4=server.destination)
        with run.connect() as client, server.accept() as upstream:
            for sender, receiver in ((client, upstream), (upstream, client)):
                sender.sendall(b"ab")
                sender.send(b"X", socket.MSG_OOB)
                sender.sendall(b"cd")
                expect_equal(read_exactly(receiver, 5), b"abXcd", "what arrived")
        expect_equal(parse(run.finish()[0])[3:], (5, 5, "closed"), "line")


def check_reset_by_the_program(t, idle):
    with Server() as server:
        run = t.relay(destination4=server.destination)
        client = run.connect()
        with server.accept() as upstream:
            client.sendall(b"abc")
            expect_equal(read_exactly(upstream, 3), b"abc", "data before the reset")
            if idle:
                check_idle(client, upstream)
            reset(client)
            expect_reset(upstream, "reset by the program")
        lines = run.finish()
        expect_equal(parse(lines[0])[3:], (3, 1 if idle else 0, "reset by program"), "line")
        expect("0 failed" in lines[-1], f"summary: {lines[-1]}")


def check_reset_by_the_destination(t, idle):
    with Server() as server:
        run = t.relay(destination4=server.destination)
        with run.connect() as client:
            upstream = server.accept()
            upstream.sendall(b"abcd")
            expect_equal(read_exactly(client, 4), b"abcd", "data before the reset")
            if idle:
                check_idle(upstream, client)
            reset(upstream)
            expect_reset(client, "reset by the destination")
        expect_equal(parse(run.finish()[0])[3:], (1 if idle else 0, 4, "reset by destination"), "line")


def test_reset_by_the_program(t):
    check_reset_by_the_program(t, idle=False)


def test_reset_by_the_program_when_idle(t):
    check_reset_by_the_program(t, idle=True)


def test_reset_by_the_destination(t):
    check_reset_by_the_destination(t, idle=False)


def test_reset_by_the_destination_when_idle(t):
    check_reset_by_the_destination(t, idle=True)


def test_reset_while_sending(t):
    with Server() as server:
        run = t.relay(destination4=server.destination)
        with run.connect() as client:
            upstream = server.accept()
            reset(upstream)
            try:
                while True:
                    client.sendall(bytes(65536))
            except (ConnectionResetError, BrokenPipeError):
                pass
        expect_equal(outcomes(run.finish()), ["reset by destination"], "outcomes")


def test_strangers(t):
    with Server() as server:
        run = t.relay(destination4=server.destination)  # no destination for IPv6: there all are strangers
        for _ in range(3):
            run.expect_refusal("stranger", 6)
        with run.connect() as client, server.accept():
            client.sendall(b"x")
        lines = run.finish()
        expect_equal(len(lines), 2, f"number of lines of {lines}")
        expect("1 connection," in lines[1] and lines[1].endswith("0 failed, 3 unknown peers"), f"summary: {lines[1]}")


def test_only_loopback_is_served(t):
    with Server() as server:
        run = t.relay(destination4=server.destination)
        try:
            socket.create_connection(("198.51.100.1", run.port), 5).close()
        except ConnectionRefusedError:
            run.finish()
            return
        raise Failure("the relay answers on an address that is not loopback")


def test_json(t):
    before = time.time()
    with Server(4, echo) as server4, Server(6, echo) as server6:
        run = t.relay("--json", destination4=server4.destination, destination6=server6.destination)
        for family, size in ((4, 100), (6, 200)):
            with run.connect(family) as client:
                client.sendall(bytes(size))
                client.shutdown(socket.SHUT_WR)
                expect_equal(len(read_all(client)), size, "bytes that came back")
            wait_for(lambda: len(run.lines()) == family - 2, "the lines of the connection")
        server4.close()
        lines = run.json()
        expect_equal([line["number"] for line in lines if line["type"] == "open"], [1, 2], "numbers of those that open")
        lines = [line for line in lines if line["type"] != "open"]
        for line, destination, size in zip(lines, (server4.destination, server6.destination), (100, 200)):
            stamp = time.strptime(line.pop("time")[:19], "%Y-%m-%dT%H:%M:%S")
            expect(before - 2 <= calendar.timegm(stamp) <= time.time() + 1, f"time of {line}")
            expect(0 < line.pop("duration_ms") < 30_000, f"duration of {line}")
            number = 1 if size == 100 else 2
            expect_equal(line, {"type": "connection", "number": number, "process": "child.exe", "pid": run.pid,
                               "protocol": "tcp", "direction": "out", "destination": destination[0],
                               "port": destination[1], "host": None, "dns": None,
                               "upstream": None, "bytes_up": size, "bytes_down": size, "outcome": "closed"},
                        "connection")
        expect_equal(lines[2:], [{"type": "summary", "connections": 2, "bytes_up": 300, "bytes_down": 300, "failed": 0,
                                 "unknown_peers": 0, "lines_dropped": 0, "udp_unknown_peers": 0, "udp_invalid": 0,
                                 "udp_lost": 0, "udp_blocked": 0, "udp_evicted": 0}], "summary")


def test_json_failure_and_hostile_name(t):
    shutil.copy(t.child(), t.path(HOSTILE_NAME))
    run = t.relay("--json", destination4=("203.0.113.1", 80), program=t.path(HOSTILE_NAME))
    run.expect_refusal("unreachable destination")
    _, line, summary = run.finish()
    expect("\u009b" not in line and "\u202e" not in line, f"a hostile character is raw in {line!r}")
    connection = json.loads(line)
    expect_equal((connection["process"], connection["outcome"], connection["os_error"]),
                 (HOSTILE_NAME, "unreachable", 10051), "process, outcome, error")
    expect_equal(json.loads(summary)["failed"], 1, "failed")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
