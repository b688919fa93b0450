# SPDX-License-Identifier: LGPL-3.0-or-later
"""S10: every wait of the program has a limit, shown by a peer that stops at that very byte."""
import contextlib
import fcntl
import os
import select
import socket
import subprocess
import threading

from harness import Server, expect_reset, read_all, read_exactly, reset, wait_for
from lab import expect, expect_equal
from test_program import one_line
from test_relay import connecting_to, outcomes, parse
from test_upstream import Proxy, check_way, http, socks_open

SILENT = "198.51.100.2"  # the runner has made an interface behind which nothing ever answers


class Halting(Server):
    """A peer that speaks a protocol as the steps say: so many bytes are read, then these are sent. Connection number n
    (from 0) gets only as many bytes as `budget(n)` says, one packet each; then the peer waits for its end."""

    def __init__(self, steps, budget):
        self.steps, self.budget = steps, budget
        self.count, self.ended = 0, 0
        self.lock = threading.Lock()
        super().__init__(4, self.serve)

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            left = self.budget(self.count)
            self.count += 1
        with contextlib.suppress(ConnectionResetError):
            for size, answer in self.steps:
                if not read_upto(connection, size):
                    return
                for byte in answer[:left]:
                    connection.sendall(bytes((byte,)))
                left -= len(answer)
                if left < 0:
                    break
            read_all(connection)
        with self.lock:
            self.ended += 1

    @property
    def authority(self):
        return "%s:%d" % self.destination


def read_upto(connection, size):
    """So many bytes, or up to an empty line if `size` is None. False: the end came first."""
    data = b""
    while (not data.endswith(b"\r\n\r\n")) if size is None else (len(data) < size):
        part = connection.recv(1)
        if not part:
            return False
        data += part
    return True


EVERYTHING = 1 << 20
SOCKS = [(3, b"\5\0"), (10, b"\5\0\0\1" + bytes(6))]
SOCKS_NAME = [(3, b"\5\0"), (10, b"\5\0\0\3\7a.proxy\0\0")]
SOCKS_LOGIN = [(4, b"\5\2"), (11, b"\1\0"), (10, b"\5\0\0\4" + bytes(18))]
HTTP = [(None, b"HTTP/1.1 200 OK\r\nVia: a\r\n\r\n")]
PROTOCOLS = (("socks5://%s", SOCKS), ("socks5://%s", SOCKS_NAME), ("socks5://user:word@%s", SOCKS_LOGIN),
             ("http://%s", HTTP))


def test_upstream_that_stops_at_each_byte(t):
    """The connections through it are reset at the limit, and it sees the end of each."""
    for url, steps in PROTOCOLS:
        length = sum(len(answer) for _, answer in steps)
        # the first one is the try before the program
        with Halting(steps, lambda n: EVERYTHING if n == 0 else n - 1) as proxy, Server() as server:
            run = t.relay("--connect-timeout", "2", "--upstream", url % proxy.authority,
                          destination4=server.destination)
            clients = [run.connect() for _ in range(length)]
            for client in clients:
                with client:
                    expect_reset(client, f"{url}: connection whose upstream has stopped")
            expect_equal(outcomes(run.finish()), ["upstream does not answer  via " + url.split("//")[0] + "//" +
                                                  proxy.authority] * length, f"{url}: outcomes")
            # of HTTP the try sends nothing
            wait_for(lambda: proxy.ended >= length, f"{url}: the upstream's end of all connections")


def test_upstream_that_sends_a_byte_now_and_then(t):
    """The limit is for all of the upstream's answer."""
    def talk(_, connection):
        if connection.recv(4096):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            with contextlib.suppress(OSError):
                while not over.wait(0.02):
                    connection.sendall(b"x")
    over = threading.Event()
    with Proxy(talk) as proxy, Server() as server:
        run = t.relay("--connect-timeout", "1", "--upstream", f"http://{proxy.authority}",
                      destination4=server.destination)
        with run.connect() as client:
            client.sendall(b"the program speaks first")
            expect_reset(client, "connection whose upstream dribbles")
        over.set()
        expect_equal(outcomes(run.finish()), [f"upstream does not answer  via http://{proxy.authority}"], "outcomes")


def check_starts(t, urls, *parts):
    """The program does not run, and the message says why; the starts wait at the same time."""
    runs = [t.start("run", "--connect-timeout", "1", "--upstream", url, "--", t.child(), "args", "has run")
            for url in urls]
    for run in runs:
        run.end_input()
    for run in runs:
        run.wait()
        one_line(run, 3, *parts)


def test_upstream_that_stops_at_each_byte_of_the_try(t):
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(Halting(SOCKS_LOGIN, lambda _, stop=stop: stop)) for stop in range(4)]
        check_starts(t, [f"socks5://user:word@{proxy.authority}" for proxy in proxies], "does not answer")
        wait_for(lambda: all(proxy.ended for proxy in proxies), "the upstream's end of the try")


def test_upstream_that_does_not_accept(t):
    check_starts(t, [f"socks5://{SILENT}", f"http://{SILENT}"], "cannot be reached: no answer")


@contextlib.contextmanager
def replaced(t, path, text):
    """A file of the machine, as this test's namespace sees it."""
    other = t.path(os.path.basename(path))
    with open(other, "w", encoding="utf-8") as file:
        file.write(text)
    subprocess.run(["mount", "--bind", other, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def test_name_service_that_does_not_answer(t):
    with replaced(t, "/etc/resolv.conf", f"nameserver {SILENT}\noptions timeout:30\n"):
        check_starts(t, ["http://proxy.test:1"], "'proxy.test' was not found", "does not answer")


def test_destination_that_does_not_answer(t):
    run = t.relay("--connect-timeout", "1", destination4=(SILENT, 80))
    with run.connect() as client:
        expect_reset(client, "connection to a destination that does not answer")
    expect_equal(outcomes(run.finish()), ["timed out"], "outcomes")
    expect(not connecting_to("026433C6:0050"), "the relay still tries to connect")


# ---- an upstream with several addresses (RFC 8305)


def test_upstream_by_a_name_with_two_families(t):
    """Whichever family the proxy listens in, and whichever the name service names first."""
    with replaced(t, "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"):
        for family in (4, 6):
            for scheme, talk in (("http", http()), ("socks5", socks_open)):
                with Server(4, lambda c: c.sendall(b"x")) as server, Proxy(talk, family) as proxy:
                    run = t.relay("--upstream", f"{scheme}://localhost:{proxy.destination[1]}",
                                  destination4=server.destination)
                    with run.connect() as client:
                        expect_equal(read_all(client), b"x", f"what comes from a proxy on IPv{family}")
                    run.finish()
                    expect_equal(proxy.asked, [server.destination], "what the proxy was asked")


def test_upstream_whose_first_address_is_silent(t):
    """The second one wins, and nothing of the first attempt is left."""
    with replaced(t, "/etc/hosts", "2001:db8:5::2 twofold.test\n127.0.0.1 twofold.test\n"):
        with Server(4, lambda c: c.sendall(b"x")) as server, Proxy(socks_open) as proxy:
            port = proxy.destination[1]
            run = t.relay("--upstream", f"socks5://twofold.test:{port}", destination4=server.destination)
            with run.connect() as client:
                expect_equal(read_all(client), b"x", "what comes by the second address")
            run.finish()
    with open("/proc/net/tcp6", encoding="ascii") as table:
        expect(not any(line.split()[3] == "02" for line in table), "an attempt to connect is left")


# ---- ends that are noticed


def test_program_that_ends_while_its_upstream_is_silent(t):
    """It has said something already; the limit has nothing to do with it."""
    def talk(_, connection):
        request = connection.recv(4096)
        if request:  # not the try before the program
            asked.set()
            expect_reset(connection, "connection to the proxy")
    asked = threading.Event()
    with Server() as server, Proxy(talk) as proxy:
        run = t.relay("--connect-timeout", "600", "--upstream", f"http://{proxy.authority}",
                      destination4=server.destination)
        client = run.connect()
        client.sendall(b"the program speaks first")
        expect(asked.wait(30), "the proxy was not asked")
        reset(client)
        wait_for(run.err, "the line of the connection")
        expect_equal(outcomes(run.finish()), [f"reset by program  via http://{proxy.authority}"], "outcomes")


def test_program_that_ends_while_its_destination_is_silent(t):
    run = t.relay("--connect-timeout", "600", destination4=(SILENT, 80))
    client = run.connect()
    client.sendall(b"the program speaks first")
    wait_for(lambda: connecting_to("026433C6:0050"), "the relay's attempt to connect")
    reset(client)
    wait_for(run.err, "the line of the connection")
    expect_equal(outcomes(run.finish()), ["reset by program"], "outcomes")


def test_program_that_ends_while_nobody_reads_it(t):
    """The destination learns of it at once, as without a relay; so does the program in the other direction."""
    for name in ("program", "destination"):
        with Server() as server:
            run = t.relay(destination4=server.destination)
            with run.connect() as client, server.accept() as upstream:
                sender, reader = (client, upstream) if name == "program" else (upstream, client)
                sender.settimeout(1)
                with contextlib.suppress(TimeoutError):
                    while True:
                        sender.send(bytes(65536))
                reset(sender)
                wait_for(run.err, "the line of the connection")
                with contextlib.suppress(ConnectionResetError):
                    while reader.recv(65536):
                        pass
                    expect(False, "the other end came to the end of data")
            expect_equal(outcomes(run.finish()), [f"reset by {name}"], "outcomes")


def test_run_ends_although_an_answer_is_outstanding(t):
    """The last process has gone and has said all; nobody reads what the destination might say some day."""
    with Server() as server:
        run = t.relay(destination4=server.destination)
        with run.connect() as client, server.accept() as upstream:
            client.sendall(b"all")
            client.shutdown(socket.SHUT_WR)
            expect_equal(read_all(upstream), b"all", "what arrived")
            expect_equal(outcomes(run.finish()), ["closed"], "outcomes")


def test_run_ends_although_a_destination_is_silent(t):
    run = t.relay("--connect-timeout", "600", destination4=(SILENT, 80))
    with run.connect() as client:
        client.shutdown(socket.SHUT_WR)
        wait_for(lambda: connecting_to("026433C6:0050"), "the relay's attempt to connect")
        expect_equal(outcomes(run.finish()), ["reset by program"], "outcomes")


# ---- the program's own output, control channel and doctor


def test_reader_that_never_reads(t):
    """The program ends all the same; what came is whole lines up to the last."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    with Server(4, lambda c: c.sendall(b"x")) as server, os.fdopen(read_end, "rb") as reader:
        with os.fdopen(write_end, "wb") as writer:
            run = t.relay("--json", err=writer, destination4=server.destination)
        for _ in range(40):  # two lines of more than 200 bytes each
            with run.connect() as client:
                expect_equal(read_all(client), b"x", "what comes")
        run.end_input()
        expect_equal(run.wait(), 0, "status")
        os.set_blocking(read_end, False)
        got = reader.read()
        expect(2000 < len(got) <= 4096 and b"summary" not in got, f"{len(got)} bytes were read")


def test_reader_that_reads_late(t):
    """What does not fit into the queue is lost, and counted: none too many, none too few. The others come in order."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    count = 20_000  # the queue takes 16384
    with os.fdopen(read_end, "rb") as reader:
        with os.fdopen(write_end, "wb") as err, open(t.path("out"), "wb") as out:
            process = subprocess.Popen([t.wine, t.child("writer.exe"), "lines", str(count)], stdin=subprocess.PIPE,
                                       stdout=out, stderr=err)
        t.programs.append(process)

        def said():
            with open(t.path("out"), encoding="ascii") as file:
                return file.read().split()
        wait_for(said, "the lines")
        data = b""
        while data.count(b"\n") < 16_384:  # before the end: after it there is a limit of time
            expect(select.select([reader], [], [], 60)[0], f"only {len(data)} bytes came")
            data += os.read(read_end, 65536)
        process.stdin.close()
        while select.select([reader], [], [], 0.1)[0] or process.poll() is None:
            part = select.select([reader], [], [], 0)[0] and os.read(read_end, 65536)
            if part == b"":
                break
            data += part or b""
        numbers = [int(line.split()[1]) for line in data.splitlines()]
        process.wait(30)
        expect_equal(process.returncode, 0, "status")
        expect_equal(numbers, sorted(set(numbers)), "lines")
        expect(16_384 <= len(numbers) < count, f"{len(numbers)} lines came")
        expect_equal(said(), ["written", str(count - len(numbers))], "what it says of lost lines")


def test_reader_of_packets_that_never_reads(t):
    """--pcap to a pipe."""
    process = subprocess.Popen([t.wine, t.child("writer.exe"), "packets"], stdin=subprocess.PIPE)
    t.programs.append(process)
    expect_equal(process.wait(30), 0, "status")


def test_redirector_that_stops_answering(t):
    """flows and stats ask a process that has the channel's name, and speaks so far and no further."""
    answers = ("", "no", "a line\n", "a line\nand no end")
    programs = []
    for answer in answers:
        programs.append(subprocess.Popen([t.wine, t.child(), "answer", answer], stdin=subprocess.PIPE,
                                         stdout=open(t.path(f"answer{len(programs)}"), "wb")))
        t.programs.append(programs[-1])
    pids = [wait_for(lambda i=i: open(t.path(f"answer{i}")).read().strip(), "the channel") for i in range(len(answers))]
    runs = [t.start("flows", "--pid", pid) for pid in pids]
    for run, pid in zip(runs, pids):
        run.end_input()
        run.wait()
        one_line(run, 1, f"process {pid} is no redirector")


def test_doctors_peer_that_stops_at_each_byte(t):
    """The process that doctor starts to be redirected waits for a word."""
    word = b"redirected"
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Halting([(0, word)], lambda _, stop=stop: stop))
                   for stop in range(len(word) + 1)]
        runs = [t.start("doctor-connect", server.destination[0], str(server.destination[1])) for server in servers]
        statuses = [run.wait() for run in runs]
        expect_equal(statuses, [1] * len(word) + [0], "statuses")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
