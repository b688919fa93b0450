# SPDX-License-Identifier: LGPL-3.0-or-later
"""U1, U2, U5: real programs that speak UDP, through the relay of `redirector run`: a resolver, QUIC, NTP, and datagrams
at a rate; beside them programs of others, which must not notice.

The clients are Windows programs in Go (clients/), children of the program that runs under redirector.exe; what they get
is checked there. Each of their flows must have gone through the relay, with the destination that they meant.
"""
import json
import os

from harness import scenario
from lab import SERVER, expect, expect_equal, on_host, wait_until, windows_path
from scenarios.program import Run, ask, schema
from servers import servers

STREAM = 2000 * 1200  # bytes that clients/datagrams.go sends


class Tree:
    """`redirector run`, whose program starts clients."""

    def __init__(self, t, *options):
        self.t, self.run = t, Run(t, *options)
        self.run.probe.wait_ready()

    def begin(self, exchange, server, family):
        """A client of that server: its pid and where its answer will be."""
        port = servers(self.t).port(server)
        out = os.path.join(servers(self.t).folder, self.t.world.name(exchange) + ".json")
        exe = os.path.join(self.t.lab.stage, "clients.exe")
        expect(os.path.exists(exe), "clients.exe is not there: see build/e2e/clients.log")
        pid = self.run.probe.call("spawn", exe=windows_path(exe), commands=f"{exchange}@{SERVER[family]}/{port}",
                                  answers=windows_path(out), std=windows_path(out + ".std"))["pid"]
        return pid, out

    def end_of(self, client):
        """What the client says when it has come to its end, its pid, and its exit status."""
        pid, out = client
        code = self.run.probe.call("wait_exit", pid=pid, limit=60)["exit_code"]
        with open(out, encoding="utf-8") as text:
            return json.load(text), pid, code

    def finish(self, client):
        """The same of one that is to come to a good end."""
        said, pid, code = self.end_of(client)
        expect_equal((code, said.get("error")), (0, None), f"how the client ended, which says {said}")
        return said, pid

    def fails(self, *what):
        """An exchange that does not come to a good end."""
        said, pid, code = self.end_of(self.begin(*what))
        expect(code != 0 and said.get("error"), f"the client has had its exchange: {said}")
        return said, pid

    def exchange(self, *what):
        return self.finish(self.begin(*what))

    def stats(self):
        return schema.parse(ask(self.t, "stats", "--json")[1])

    def end(self):
        """The flows, after a run in which nothing was lost; TCP connections for themselves."""
        status, lines = self.run.end()
        expect_equal(status, 0, f"exit status after {self.run.said()}")
        summary, = [line for line in lines if line["type"] == "summary"]
        lost = [summary[f"udp_{name}"] for name in ("unknown_peers", "invalid", "lost", "evicted")]
        expect_equal(lost, [0, 0, 0, 0], f"what was lost, by {summary}")
        ended = [line for line in lines if line["type"] == "connection"]
        return [c for c in ended if c["protocol"] == "udp"], [c for c in ended if c["protocol"] == "tcp"]


def where(flow):
    return flow["pid"], flow["process"], flow["destination"], flow["port"]


@scenario("U1", "U2", families=None, session="own")
def udp_resolver_asks_a_real_server(t):
    """Go's own resolver asks dnsmasq: a socket for each question, which are shown with their answers. An answer that is
    truncated is asked for again by TCP. dig, a bystander, gets its answer, and is no flow."""
    tree, clients = Tree(t), {}
    for family in (4, 6):
        said, clients[SERVER[family]] = tree.exchange("dns", "dns", family)
        expect_equal(said["ways"], 5 * ["udp"] + ["tcp"], "how the client asked")
        answer = on_host("client", "dig", f"@{SERVER[family]}", "+short", "+tries=1", "www.lab.test", "AAAA")
        expect_equal(answer.split(), ["2001:db8::7"], "what dig says")
    flows, connections = tree.end()
    asked = sorted(["A www.lab.test -> 192.0.2.1", "AAAA www.lab.test -> 2001:db8::7", "A nobody.lab.test -> NXDOMAIN",
                    "MX lab.test -> 10 mail.lab.test", "TXT long.lab.test -> truncated"])
    for host, pid in clients.items():
        own = [f for f in flows if f["destination"] == host]
        expect_equal({where(f) for f in own}, {(pid, "clients.exe", host, 53)}, "whose flows, and where to")
        expect_equal(sorted(f["dns"] for f in own), asked, "questions and answers")
        by_tcp = [where(c) for c in connections if c["destination"] == host]
        expect_equal(by_tcp, [(pid, "clients.exe", host, 53)], "connections")
    expect_equal(len(flows), 2 * len(asked), "flows")


@scenario("U1", families=None, session="own")
def udp_quic_is_carried_and_named(t):
    """QUIC of versions 1 and 2 by quic-go: a dual-stack socket, ten streams, every byte checked; the server's name is
    read from the first datagram."""
    tree, wanted = Tree(t), []
    for family in (4, 6):
        for exchange in ("quic", "quic2"):
            _, pid = tree.exchange(exchange, "quic", family)
            wanted.append((pid, "clients.exe", SERVER[family], servers(t).port("quic")))
    flows, _ = tree.end()
    expect_equal(set(map(where, flows)), set(wanted), "whose flows, and where to")
    # The last packets before a client closes its socket may come when that is known already: they are a flow of their own.
    carrying = [f for f in flows if min(f["bytes_up"], f["bytes_down"]) >= 1_000_000]
    expect_equal([(where(f), f["host"]) for f in carrying], [(w, "quic.lab.test") for w in wanted], "flows with all streams")


@scenario("U1", families=None, session="own")
def udp_time_of_a_real_server(t):
    """A client of NTP asks chrony, from a connected socket."""
    tree, wanted = Tree(t), []
    for family in (4, 6):
        said, pid = tree.exchange("ntp", "ntp", family)
        expect_equal((said["stratum"], abs(said["offset_s"]) < 1), (5, True), f"what the client says: {said}")
        wanted.append(((pid, "clients.exe", SERVER[family], 123), 48, 48))
    flows, _ = tree.end()
    expect_equal([(where(f), f["bytes_up"], f["bytes_down"]) for f in flows], wanted, "flows")


def bystander(t, tree, *words):
    """iperf3 to the other host, by nobody of the tree, for three seconds: datagrams in all, and those that came to user
    mode until that has settled, and afterwards."""
    def passed():
        return tree.stats()["udp_packets_passed"]

    def settled():
        last, reads[0] = reads[0], passed()
        return reads[0] == last

    def sent():
        """By the client host, or with -R by the other one."""
        words_of = on_host("server" if words else "client", "cat", "/proc/net/snmp").split("\nUdp: ")
        return int(words_of[2].split()[3])
    out, before, start = os.path.join(t.lab.folder, t.world.name("iperf3")), passed(), sent()
    reads = [before]
    process = t.lab.popen("run", "client", "--", "iperf3", "-c", SERVER[4], "-p", str(servers(t).port("iperf3")), "-u",
                          "-b", "400M", "-t", "3", "-J", *words, out=out)
    wait_until(lambda: sent() - start > 1000, "a thousand datagrams of iperf3")
    wait_until(settled, "no more of them in user mode")
    expect_equal(process.poll(), None, "iperf3's exit status, so early")
    expect_equal(process.wait(60), 0, "iperf3's exit status")
    with open(out, encoding="utf-8") as text:
        end = json.load(text)["end"]["sum"]
    return end["packets"], reads[0] - before, passed() - reads[0]


@scenario("U1", families=None, session="own")
def udp_at_a_rate(t):
    """20 Mbit/s there and back from an unconnected socket: every datagram comes back, once, with its bytes."""
    tree, wanted = Tree(t), []
    for family in (4, 6):
        _, pid = tree.exchange("stream", "udp", family)
        wanted.append((pid, "clients.exe", SERVER[family], servers(t).port("udp"), STREAM, STREAM))
    flows, _ = tree.end()
    expect_equal([(*where(f), f["bytes_up"], f["bytes_down"]) for f in flows], wanted, "flows")


@scenario("U5", families=None, session="own")
def udp_of_iperf3_stays_in_the_kernel(t):
    """A bystander: of its download hardly a packet comes to user mode, and none of its upload once the driver's filter
    leaves it out."""
    tree = Tree(t)
    for way in ([], ["-R"]):
        packets, first, later = bystander(t, tree, *way)
        expect(packets > 50_000 and first <= (100 if way else packets / 10) and later <= 10,
               "datagrams of a bystander in user mode", (packets, first, later))
    expect_equal(tree.end(), ([], []), "flows of the tree")
