# SPDX-License-Identifier: LGPL-3.0-or-later
"""S10: every wait of the program has a limit, shown by a peer that stops at that very byte."""
import contextlib
import fcntl
import os
import select
import socket
import subprocess
import threading

from harness import Server, read_all, wait_for
from lab import expect, expect_equal
from test_program import one_line


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
        process.stdin.close()
        parts = []
        while select.select([reader], [], [], 0.1)[0] or process.poll() is None:
            part = select.select([reader], [], [], 0)[0] and os.read(read_end, 65536)
            if part == b"":
                break
            parts.append(part or b"")
        numbers = [int(line.split()[1]) for line in b"".join(parts).splitlines()]
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
