# SPDX-License-Identifier: LGPL-3.0-or-later
"""The lab, and who is in it while something is measured: the tree (one program), the agent, which is also the proxy,
the bare loop, and native programs on both hosts (tests/lab)."""
import contextlib
import os

from figures import ROOT

import lab
from lab import Lab, expect_equal, on_host, wire

NATIVE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "native.py")
PROGRAMS = os.path.join(ROOT, "build", "bench", "win")
SERVER, CLIENT, LOOPBACK = lab.SERVER[4], lab.CLIENT[4][0], lab.LOOPBACK[4]


class Scene:
    def __init__(self):
        self.lab = Lab(PROGRAMS)
        self.parts = {}
        self.bare_counts = []  # packets and batches of each time the bare loop ran

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.lab)
            for host in ("client", "server"):  # no connection learns from the ones before it
                on_host(host, "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1")
            stack.pop_all()
        return self

    def __exit__(self, *_):
        self.lab.down()

    def free_port(self):
        return self.lab.free_port()

    def windows(self, name):
        """A Windows program: "tree", "agent", "bare" or another; it stays."""
        if name not in self.parts:
            self.parts[name] = self.lab.program(name, "bench.exe")
        return self.parts[name]

    def windows_child(self, name):
        """A Windows program that the tree has started; it stays."""
        if name not in self.parts:
            self.parts[name] = self.lab.spawn(self.tree, self.lab.prepare(name), "bench.exe")
        return self.parts[name]

    def native(self, host):
        """A native program on "client" (a bystander, or a proxy) or "server"."""
        if host not in self.parts:
            self.parts[host] = self.lab.native(host, host, NATIVE)
        return self.parts[host]

    tree = property(lambda self: self.windows("tree"))
    agent = property(lambda self: self.windows("agent"))

    def answering(self, host=LOOPBACK, lookup=1):
        """The agent reads connections at a new port, to their ends."""
        port = self.free_port()
        self.agent.call("answer", at=f"{host}/{port}", lookup=lookup, backlog=1024)
        return port

    @contextlib.contextmanager
    def redirected(self, proxy, incoming=0, **more):
        """The tree's connections go to this port of the agent."""
        started = self.agent.call("start", limit=60, client=self.tree.pid, proxy=proxy, incoming=incoming, **more)
        expect_equal(started["result"], 1, f"start ({started['text']})")
        try:
            yield
        finally:
            stopped = self.agent.call("stop", limit=30)
            self.agent.call("free")
            expect_equal(stopped["result"], 1, f"stop ({stopped})")

    @contextlib.contextmanager
    def bare(self, port, direction="outbound"):
        """The bare loop takes just what the redirector has to take: both legs of what uses this port."""
        way = f"{direction}+and+" if direction else ""
        with self.bare_filter(f"{way}tcp+and+(tcp.SrcPort+==+{port}+or+tcp.DstPort+==+{port})"):
            yield

    @contextlib.contextmanager
    def bare_filter(self, text):
        """The bare loop takes what this filter does; '+' stands for a space."""
        loop = self.windows("bare")
        loop.call("pass_open", limit=60, filter=text)
        try:
            yield
        finally:
            result = loop.call("pass_close", limit=60)
            expect_equal(result["send_errors"], 0, "sends of the bare loop that failed")
            self.bare_counts.append((result["packets"], result["batches"]))

    def counters(self):
        return self.lab.counters()

    @contextlib.contextmanager
    def loss(self, percent):
        """Loss between the hosts, for each direction alike. Time-outs are short then: with the usual 200 ms, how many
        losses hit the end of a burst would be all that is measured."""
        for host, own in (("client", CLIENT), ("server", SERVER)):
            on_host(host, "ip", "route", "change", "10.77.0.0/24", "dev", "lan", "src", own, "rto_min", "20ms")
        with wire("loss", percent):
            yield

    @contextlib.contextmanager
    def small_loopback(self):
        """Loopback carries packets no larger than the wire's, as the redirected connection's are: its two ends are told
        different sizes, and the smaller one counts. Without this the bare loop would carry 64 KiB a packet."""
        on_host("client", "ip", "link", "set", "lo", "mtu", "1500")
        try:
            yield
        finally:
            on_host("client", "ip", "link", "set", "lo", "mtu", "65528")  # as the lab has it: lab/daemon/capture.c
