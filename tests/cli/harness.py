# SPDX-License-Identifier: LGPL-3.0-or-later
"""Runs the program under Wine against the fake redirector, and plays the peers of its relay.

Wine programs write to files, never to pipes: Wine's background services inherit a pipe and keep it open.
"""
import functools
import os
import signal
import socket
import struct
import subprocess
import threading

import schema
from lab import ROOT, Failure, expect, wait_until

TIME_LIMIT = 60  # several tests share the processor
WINE = os.path.join(ROOT, "scripts", "wine64")
wait_for = functools.partial(wait_until, limit=TIME_LIMIT)


def processes():
    """Process id, name and command line of every process of the test's namespace."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", "rb") as name, open(f"/proc/{pid}/cmdline", "rb") as words:
                yield pid, os.fsdecode(name.read()).strip(), os.fsdecode(words.read()).split("\0")
        except OSError:  # it has ended
            continue


class Context:
    """What a test gets: the built programs, a folder of its own, and a way to run redirector.exe."""

    def __init__(self, build, folder):
        self.build = build
        self.folder = folder
        self.running = []
        self.programs = []
        self.wine = WINE

    def path(self, name):
        return os.path.join(self.folder, name)

    def child(self, name="child.exe"):
        return os.path.join(self.build, name)

    def start(self, *arguments, **environment):
        run = Run(self, arguments, environment)
        self.running.append(run)
        return run

    def finish(self, *arguments, **environment):
        run = self.start(*arguments, **environment)
        run.end_input()
        run.wait()
        return run

    def relay(self, *options, destination4=None, destination6=None, program=None, status=0, err=None, udp=()):
        """A redirector whose program waits; its relay leads to the given (address, port) pairs, and what comes by UDP
        to those of Run.udp_flows()."""
        environment = {"err": err, "udp": udp} if err else {"udp": udp}
        if destination4:
            environment["FAKE_DESTINATION4"] = "%s %d" % destination4
        if destination6:
            environment["FAKE_DESTINATION6"] = "%s %d" % destination6
        run = self.start("run", *options, "--", program or self.child(), "wait", str(status), **environment)
        run.read_start()
        wait_for(lambda: os.path.exists(run.waiting_path), "the program's first instruction")
        return run

    def close(self):
        for process in [run.process for run in self.running] + self.programs:
            process.stdin.close()  # the programs that wait for it end, too
            if process.poll() is None:
                process.kill()
                process.wait()


class Run:
    """One redirector.exe. `err` is a file for its standard error, instead of one that err() reads."""

    count = 0

    def __init__(self, context, arguments, environment):
        Run.count += 1
        base = context.path("run%d" % Run.count)
        self.out_path, self.err_path = base + ".out", base + ".err"
        self.start_path, self.stop_path = base + ".start", base + ".stop"
        self.rules_path = base + ".rules"
        self.told_path, self.waiting_path = base + ".told", base + ".waiting"
        self.udp_path, self.unreachable_path = base + ".udp", base + ".unreachable"
        self.udp_flows(environment.pop("udp", ()))
        other_err = environment.pop("err", None)
        environment = dict(os.environ, FAKE_RULES="Z:" + self.rules_path, FAKE_PORT_FILE="Z:" + self.start_path,
                           FAKE_STOP_FILE="Z:" + self.stop_path, FAKE_UDP="Z:" + self.udp_path,
                           FAKE_TOLD="Z:" + self.told_path,
                           FAKE_UNREACHABLE="Z:" + self.unreachable_path,
                           WAITING_FILE="Z:" + self.waiting_path,
                           **environment)
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen([WINE, os.path.join(context.build, "redirector.exe"), *arguments],
                                            stdin=subprocess.PIPE, stdout=out, stderr=other_err or err, env=environment,
                                            cwd=context.folder)

    def read_start(self):
        def there():
            expect(self.process.poll() is None, "redirector ended early: " + self.err())
            return os.path.exists(self.start_path) and open(self.start_path).read().count("\n") >= 3
        wait_for(there, "the redirector's start")
        numbers, self.windivert_dir, self.log_path = open(self.start_path).read().splitlines()
        self.port, self.pid, self.agent, self.incoming, self.level, self.udp_port = map(int, numbers.split())

    def udp_flows(self, flows):
        """The UDP flows from now on: (peer's port or 0 for any, (address, port))."""
        text = "".join("%d %s %d\n" % (peer, *destination) for peer, destination in flows).encode("ascii")
        expect(len(text) <= 1024, "there are too many flows")
        file = os.open(self.udp_path, os.O_WRONLY | os.O_CREAT)
        os.pwrite(file, text.ljust(1024), 0)  # at once: it is read meanwhile
        os.close(file)

    def unreachable(self):
        """The ports of the peers that were told so."""
        if not os.path.exists(self.unreachable_path):
            return []
        with open(self.unreachable_path, encoding="ascii") as file:
            return [int(line) for line in file]

    def told(self):
        """Lines of what the library was told while it ran."""
        if not os.path.exists(self.told_path):
            return []
        with open(self.told_path, encoding="utf-8") as file:
            return file.read().splitlines()

    def end_input(self):
        self.process.stdin.close()

    def interrupt(self):
        """Wine turns SIGINT of its process into the console's Ctrl-C for that program alone."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, seconds=TIME_LIMIT):
        try:
            self.status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"redirector did not end within {seconds} s; it said: {self.err()}") from None
        return self.status

    def finish(self):
        """Lets the program end; returns the lines of redirector, the summary last."""
        self.end_input()
        self.wait()
        return self.lines()

    def out(self):
        return open(self.out_path, encoding="utf-8", newline="").read().replace("\r\n", "\n")

    def err(self):
        return open(self.err_path, encoding="utf-8", newline="").read()

    def lines(self):
        text = self.err()
        expect(text == "" or text.endswith("\n"), f"the last line has no end: {text!r}")
        return text.split("\n")[:-1]

    def json(self):
        """Lets the program end; returns redirector's lines, each checked against the schema."""
        return [schema.parse(line) for line in self.finish()]

    def connect(self, family=4):
        client = socket.create_connection(("127.0.0.1" if family == 4 else "::1", self.port), TIME_LIMIT)
        client.settimeout(TIME_LIMIT)
        return client

    def expect_refusal(self, what, family=4):
        """The relay accepts, and resets at once; that may already show while connecting."""
        try:
            client = self.connect(family)
        except ConnectionResetError:
            return
        with client:
            expect_reset(client, what)


class Server:
    """A listening socket; `serve`, if given, handles each connection in a thread of its own."""

    def __init__(self, family=4, serve=None, address=None, scope=0, port=0):
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        self.socket = socket.socket(kind)
        self.socket.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND: the address may come later
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address or ("127.0.0.1" if family == 4 else "::1"), port, *([0, scope] if family == 6 else [])))
        self.socket.listen(1024)
        self.socket.settimeout(TIME_LIMIT)
        self.destination = self.socket.getsockname()[:2]
        self.errors = []
        if serve:
            self.thread = threading.Thread(target=self.loop, args=(serve,), daemon=True)
            self.thread.start()

    def accept(self):
        connection, _ = self.socket.accept()
        connection.settimeout(TIME_LIMIT)
        return connection

    def loop(self, serve):
        def guarded(connection):
            try:
                with connection:
                    serve(connection)
            except OSError as error:
                self.errors.append(error)
        while True:
            try:
                connection = self.accept()
            except OSError:
                return
            threading.Thread(target=guarded, args=(connection,), daemon=True).start()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_exactly(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        expect(part, f"the connection ended after {len(data)} of {size} bytes")
        data += part
    return data


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def expect_reset(connection, what):
    try:
        data = connection.recv(1)
    except ConnectionResetError:
        return
    raise Failure(f"{what}: no reset, but {'the end of data' if data == b'' else data!r}")
