# SPDX-License-Identifier: LGPL-3.0-or-later
"""The program's own relay: short requests against the bare loop, copying against a plain relay, memory.

A program runs under `redirector run`; what it opens goes to the relay, and from there to the other machine, where a
native program answers. The bare loop carries the same program's connection to the same server, both ways. The plain
relay (programs/forward.c) stands in the place of the program's own, as a proxy of the user's: same program, same
redirected path, same server, so that what differs is the relay.
"""
import contextlib
import os
import resource
import time

from figures import Figure, median, say
from scene import LOOPBACK, SERVER
from throughput import MEGABYTE, pairs, seconds_of_bulk
from lab import expect_equal, linux_pid, wait_until, windows_path

ANSWER = 1024  # bytes
PER_PROCESS = 1250  # connections of one Windows program
SPARE_FILES = 1000
CALLS = ("receive_calls", "send_calls", "diverted")


def memory_of(pid):
    """Private memory that is there, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return 1024 * sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))


class Session:
    """`redirector run -- bench.exe`."""

    def __init__(self, scene, *options, exe="redirector.exe"):
        self.scene = scene
        self.program = scene.lab.prepare(f"session-{len(scene.lab.actors)}")
        self.process = scene.lab.popen("wine", exe, "run", "--json", *options, "--", "bench.exe",
                                       windows_path(self.program.commands), windows_path(self.program.answers_path),
                                       out=self.program.std, err=self.program.std + ".err")
        self.program.alive = lambda: self.process.poll() is None
        self.program.wait_ready()

    @property
    def pid(self):
        """redirector.exe's, on Linux: the process with both its name and the program's files."""
        return redirector_pid(self.program)

    def end(self):
        self.program.call("exit")
        expect_equal(self.process.wait(60), 0, "exit status of redirector run")
        self.program.alive = lambda: False


def redirector_pid(program):
    needle = program.commands.encode()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                line = file.read()
            if needle in line and b"redirector.exe" in line and b"\0run\0" in line and b"start" not in line:
                found = int(entry)
                with open(f"/proc/{entry}/comm", encoding="ascii") as name:
                    if name.read().startswith("redirector"):
                        return found
    raise RuntimeError("redirector.exe is not there")


@contextlib.contextmanager
def session(scene, *options, **more):
    one = Session(scene, *options, **more)
    try:
        yield one
    except BaseException:
        one.process.kill()
        raise
    one.end()


# ---- short requests

def requests(scene, program, to, count, workers=1):
    """The answer of `requests`, with what the driver was called for each."""
    program.call("requests", limit=120, to=to, count=20)  # everything warm
    before = scene.counters()
    answer = program.call("requests", limit=300, to=to, count=count, workers=workers)
    expect_equal((answer["failed"], answer["bytes"]), (0, count * ANSWER), "failed connections, bytes")
    wait_until(lambda: settled(scene), "the last packets", 10)
    after = scene.counters()
    for name in CALLS:
        answer[name] = (after[name] - before[name]) / count
    return answer


def settled(scene):
    first = scene.counters()["captured"]
    time.sleep(0.05)
    return scene.counters()["captured"] == first


@contextlib.contextmanager
def bare_pair(scene, first, second):
    """The bare loop takes both legs: what uses either of two ports, in both directions."""
    words = [f"tcp.{end}Port+==+{port}" for port in (first, second) for end in ("Src", "Dst")]
    with scene.bare_filter("tcp+and+(" + "+or+".join(words) + ")"):
        yield


def rounds_of_requests(scene, quick):
    """Rounds of (bare, both, relay): the bare loop on the program's connection to the server; on both legs of the plain
    relay; and the program's own relay, redirected."""
    count, rounds = (30, 5) if quick else (60, 15)
    say(f"relay: {rounds} rounds of {count} short requests")
    server, target, forward = scene.native("server"), scene.free_port(), scene.free_port()
    server.call("answer", at=f"{SERVER}/{target}", n=ANSWER)
    scene.agent.call("forward", at=f"{LOOPBACK}/{forward}", to=f"{SERVER}/{target}")
    to = f"{SERVER}/{target}"

    def bare():
        with scene.bare(target, direction=None):
            return requests(scene, scene.tree, to, count)

    def both():
        with bare_pair(scene, target, forward):
            return requests(scene, scene.tree, f"{LOOPBACK}/{forward}", count)

    def relayed():
        with session(scene) as one:
            return requests(scene, one.program, to, count)
    plain = requests(scene, scene.tree, to, count)["median_us"]
    return plain, [(both(), *pair) for pair in pairs(rounds, bare, relayed)]


def short_requests(scene, quick):
    plain, results = rounds_of_requests(scene, quick)
    return request_figures(plain, results), results


def request_figures(plain, results):
    def calls(answer):
        return answer["receive_calls"] + answer["send_calls"]
    both, bare, relayed = zip(*results)
    limit = median("relay.driver_calls_bare", [calls(answer) for answer in both], "calls",
                   note="a short request through the plain relay, the bare loop on both legs: receives and sends")
    return [
        median("relay.driver_calls_per_connection", [calls(answer) for answer in relayed], "calls", "<", limit.value,
               "the same through the program's own relay, redirected; socket events included"),
        limit,
        median("relay.driver_packets_per_connection", [answer["diverted"] for answer in relayed], "packets",
               note="that the driver took of it"),
        median("relay.driver_packets_bare", [answer["diverted"] for answer in both], "packets",
               note="the same with the plain relay and the bare loop"),
        median("relay.request_ratio", [r["median_us"] / b["median_us"] for r, b in zip(relayed, bare)], "times", "<=", 2,
               "a short request through the relay against a direct one with the bare loop"),
        median("relay.request_ratio_both", [r["median_us"] / b["median_us"] for r, b in zip(relayed, both)], "times",
               note="against the plain relay with the bare loop on both legs"),
        Figure("relay.request_us_plain", plain, "us", note="a short request, direct, without any handle"),
        median("relay.request_us_bare", [answer["median_us"] for answer in bare], "us", note="with the bare loop"),
        median("relay.request_us_relayed", [answer["median_us"] for answer in relayed], "us",
               note="redirected, through the relay")]


# ---- copying, and ten thousand at a time

def copying(scene, quick):
    """Pairs of (the plain relay, the program's own): bytes a second, one way and then the other."""
    n, rounds = (4 * MEGABYTE, 5) if quick else (16 * MEGABYTE, 15)
    say(f"relay: {rounds} pairs of {n // MEGABYTE} MiB")
    server, port = scene.native("server"), scene.free_port()
    to, listener = f"{SERVER}/{port}", server.listen(f"{SERVER}/{port}")
    forward = scene.free_port()
    scene.agent.call("forward", at=f"{LOOPBACK}/{forward}", to=to)

    def speed(*options):
        with session(scene, *options) as one:
            accepting = server.begin_accept(listener)
            near = one.program.connect(to)
            far = accepting.finish()
            took = [seconds_of_bulk(near, far, n, upload) for upload in (True, False)]
            for end in (near, far):
                end.reset()
        return 2 * n / sum(took)
    results = pairs(rounds, lambda: speed("--proxy-port", str(forward)), speed)
    return [median("relay.copy_ratio", [own / plain for plain, own in results], "times", ">=", 0.9,
                   "bulk both ways: the program's own relay against the plain one, redirected alike"),
            *[median(f"relay.copy_{who}", [pair[i] / 1e6 for pair in results], "MB/s", note=note)
              for i, (who, note) in enumerate((("plain", "the plain relay"), ("own", "the program's own")))]], results


def crowd(scene, quick):
    """Bytes of redirector.exe for each of so many connections, on each of which bytes have gone both ways."""
    # One process, wineserver, has all of a connection's three sockets that are not the server's.
    room = (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_FILES) * 10 // (11 * 3)
    count = 500 if quick else min(10_000, room // 100 * 100)
    processes = max(1, count // PER_PROCESS)
    say(f"relay: {count} connections at a time")
    server, ports = scene.native("server"), [scene.free_port() for _ in range(30)]
    targets = ",".join(f"{SERVER}/{port}" for port in ports)
    server.call("echo", at=targets)
    with session(scene) as one:
        programs = [scene.lab.spawn(one.program, scene.lab.prepare(f"caller-{i}"), "bench.exe")
                    for i in range(processes)]

        def open_and_exchange(more):
            opening = [program.begin("hold", to=targets, count=more // processes) for program in programs]
            expect_equal([pending.result(1200)["code"] for pending in opening], [0] * processes, "errors of connect()")
            exchanges = [program.begin("held_exchange", n=2000) for program in programs]
            return sum(pending.result(1200)["right"] for pending in exchanges)
        first = open_and_exchange(count // 10)  # what is taken once
        before = memory_of(one.pid)
        right = open_and_exchange(count) - first
        used = memory_of(one.pid) - before
        for program in programs:
            program.call("held_reset", limit=120)
            program.call("exit")
            program.alive = lambda: False
    return [Figure("relay.connections", right, "", ">=", count, "open at a time through the relay, every byte right; 10 000 where files enough may be open"),
            Figure("relay.memory_per_connection", used / count, "bytes", "<=", 24 * 1024,
                   "private memory of redirector.exe for each of them, engine included")], {"used": used}
