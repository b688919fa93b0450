# SPDX-License-Identifier: LGPL-3.0-or-later
"""O5: what belongs to nobody in the tree, while much is redirected.

The lab captures TCP only; here it is made to capture UDP and ICMP too, so that it is the library's filter that leaves
them alone. That each packet of a bystander is injected again bit for bit and in order is shown in packets.py.
"""
import os
import re

from conditions import balanced
from harness import REFLECT, scenario
from lab import expect, expect_equal, host_of, on_host, port_of, wait_until
from network import FINAL_MARK, packet_rules
from scenarios.bytes import expect_every_packet_back
from scenarios.outgoing import exchange, expect_untouched, expect_visit
from scenarios.packets import expect_incoming
from scenarios.service import CONNECTION

TREE_BYTES, STRANGERS_BYTES = 3 << 20, 1 << 20
DATAGRAMS, PINGS = 300, 150


def start_transfer(connection, n, seed):
    """Bytes to an echo server and back: (connection, what to wait for)."""
    return connection, [connection.begin("receive", seed=seed, n=n), connection.begin("send", seed=seed, n=n)]


def captured_as_well(family):
    """UDP and ICMP go the way of TCP, through the driver's filters."""
    pings = ("icmp",) if family == 4 else ("ipv6-icmp --icmpv6-type 128", "ipv6-icmp --icmpv6-type 129")
    return [f"{chain} -p {protocol} -m mark ! --mark {FINAL_MARK} -j NFQUEUE --queue-num 0 --queue-bypass"
            for protocol in ("udp", *pings) for chain in ("OUTPUT", "INPUT ! -i lo")]


def expect_echoes(output):
    """Each ping was answered, unharmed, in order."""
    sequence = [int(line.partition("icmp_seq=")[2].split()[0]) for line in output.splitlines() if "icmp_seq=" in line]
    expect_equal(sequence, list(range(1, PINGS + 1)), f"answers to pings ({output[-300:]})")
    expect("wrong data byte" not in output, "an answer to a ping was harmed", output)


@scenario("O5", session="own")
def everybody_else_while_much_is_redirected(t, family):
    """The tree's connections both ways, and around them: connections from before the start, new ones of programs and
    natives, connections to a bystander's port, UDP, ICMP."""
    far, near, stranger_port = t.echo(), t.echo(t.native, t.loopback), t.echo(t.bystander, t.client)
    tree_port = t.echo(t.root, t.client)
    datagrams = t.server.call("serve_datagrams", id=t.server.new_id(), at=f"{t.server_host}/0")["local"]
    old = [(actor.connect(server.local), server, at) for actor in (t.root, t.bystander, t.native)
           for server, at in ((far, t.server), (near, t.native))]
    t.lab.ctl("reset")
    with packet_rules(family, *captured_as_well(family)), balanced(t, incoming=True) as session:
        session.target = tree_port.local
        fresh = [(actor.connect(server.local), server, at) for actor in (t.bystander, t.native)
                 for server, at in ((far, t.server), (near, t.native))]
        fresh.append((t.server.connect(stranger_port.local), stranger_port, t.bystander))
        own = [t.root.connect(far.local), t.root.connect(near.local), t.server.connect(tree_port.local)]
        running = [start_transfer(c, TREE_BYTES, i) for i, c in enumerate(own)]
        running += [start_transfer(c, STRANGERS_BYTES, i) for i, (c, _, _) in enumerate(old + fresh)]
        sending = t.native.begin("datagrams", to=datagrams, count=DATAGRAMS, n=1200)
        expect_echoes(on_host("client", "ping", "-n", "-i", "0.005", "-c", str(PINGS), "-s", "1000", "-W", "2",
                              t.server_host))
        answer = sending.result(60)
        expect_equal(answer["count"], DATAGRAMS, "datagrams that came back in order")
        for _, pending in running:
            for one in pending:
                one.result(120)
        for connection, server, at in old + fresh:
            expect_untouched(connection, server, at)
            expect_every_packet_back(t, connection)
        expect_visit(t, session, own[0], far, t.server)
        expect_visit(t, session, own[1], near, t.native)
        expect_incoming(t, session, own[2])
        expect_equal(session.stats()["flows_total"], 3, "redirected connections")
        expect_left_in_the_kernel(t, answer["local"])


def expect_left_in_the_kernel(t, local):
    """The driver saw these datagrams, and its filter gave none to the library."""
    flows = [f for f in t.lab.flows()
             if (f["source"], f["source_port"]) == (host_of(local), port_of(local))]
    counters = t.lab.counters()
    expect(counters["passed"] >= 2 * (DATAGRAMS + PINGS), "the driver has not seen UDP and ICMP", counters["passed"])
    expect_equal([f["diverted"] for f in flows if f["diverted"]], [], "datagrams that the library was given")


@scenario("O5", "S6", session="own")
def counters_tell_bystanders_from_the_tree(t, family):
    """What the driver gave, what passed, what was rewritten: by kind of traffic."""
    server = t.echo()
    with balanced(t) as session:
        before = session.stats()
        stranger = t.bystander.connect(server.local)
        connection, pending = start_transfer(stranger, STRANGERS_BYTES, 1)
        for one in pending:
            one.result(60)
        middle = wait_until(lambda: settled(t, session), "the bystander's packets counted")
        expect(middle["packets_passed"] > before["packets_passed"], "no packet of a bystander passed")
        for counter in ("packets_rewritten", "packets_dropped", "flows_total"):
            expect_equal(middle[counter], before[counter], f"{counter} after a bystander's connection")
        connection, pending = start_transfer(t.root.connect(server.local), STRANGERS_BYTES, 2)
        for one in pending:
            one.result(60)
        after = wait_until(lambda: settled(t, session), "the tree's packets counted")
        expect(after["packets_rewritten"] - middle["packets_rewritten"] > 100, "few packets were rewritten",
               after["packets_rewritten"])
        expect_equal(after["flows_total"], 1, "redirected connections")
        record = expect_visit(t, session, connection, server, t.server)
        hit, missed = (session.stats()[name] for name in ("lookups_hit", "lookups_missed"))
        expect_equal((hit, missed), (1, 0), "lookups: the proxy's own")
        for _ in range(3):
            t.agent.call("lookup", peer=record["peer"])
            t.agent.call("lookup", peer=f"{t.loopback}/{t.free_port()}")
        stats = session.stats()
        expect_equal((stats["lookups_hit"], stats["lookups_missed"]), (4, 3), "lookups")


MEGABYTE = 1 << 20


def carry(connection, n, seed=3):
    """Bytes there and back."""
    _, pending = start_transfer(connection, n, seed)
    for one in pending:
        one.result(120)


def expect_taken(session, before, most, what):
    taken = session.driver("diverted") - before
    expect(taken <= most, f"{what}: {taken} packets came to user mode, more than {most}")


@scenario("O5", session="own")
def strangers_stay_in_the_kernel(t, family):
    """Product, chapter 10: of other processes' connections only the first SYN, as long as the tree is quiet; and what they
    send much of even while it is not. With incoming on and a listener of the tree it is the same."""
    for incoming in (False, True):
        server, listener = t.echo(), t.echo(t.root, t.client)
        with t.redirected(incoming=incoming) as session:
            t.lab.ctl("reset")
            session.before = t.lab.counters()
            for i in range(20):
                connection = t.native.connect(server.local)
                exchange(connection, 5000, seed=i)
                connection.close()
            expect_taken(session, 0, 20, "20 short connections")
            expect(session.driver("captured") > 100, "the lab did not see them")
            carry(t.native.connect(server.local), 20 * MEGABYTE)
            expect_taken(session, 0, 21, "20 MB each way")
            # Now the tree opens a connection, and keeps it: the next stranger is noticed, and then left alone.
            own = t.root.connect(server.local)
            exchange(own)
            before, captured = session.driver("diverted"), session.driver("captured")
            carry(t.native.connect(server.local), 100 * MEGABYTE)
            captured = session.driver("captured") - captured
            expect_taken(session, before, captured // 4, f"100 MB each way in {captured} packets, tree busy")
            exchange(own)
            expect_visit(t, session, own, server, t.server)
            if incoming:
                session.target = listener.local
                peer = t.server.connect(listener.local)
                exchange(peer)
                expect_incoming(t, session, peer)


STRANGERS_MOST = 500  # packets of one connection that may come to user mode


def transfer_of_stranger(t, n, upload):
    """A native's connection with so many bytes in one direction: its packets that the driver saw, and those it took."""
    listener = t.server.listen(f"{t.server_host}/0")
    accepting = t.server.begin_accept(listener)
    near = t.native.connect(listener.local)
    far = accepting.finish()
    sender, receiver = (near, far) if upload else (far, near)
    receiving = receiver.begin("receive", seed=5, n=n)
    sender.begin("send", seed=5, n=n).result(120)
    receiving.result(120)
    flows = [f for f in t.lab.flows() if {f["source_port"], f["destination_port"]} == {near.port, listener.port}]
    for end in (near, far, listener):
        end.close()
    return sum(f["captured"] for f in flows), sum(f["diverted"] for f in flows)


@scenario("O5", session="own")
def strangers_one_after_another_while_the_tree_is_busy(t, family):
    """The tree has opened a connection just now and carries data all the time; whatever came before, each stranger is
    noticed soon, and then left in the kernel."""
    for flags in (0, REFLECT):
        server = t.echo()
        with t.redirected(flags=flags) as session:
            t.lab.ctl("reset")
            session.before = t.lab.counters()
            for i, (megabytes, upload) in enumerate([(20, False), (50, True), (20, True), (20, False)]):
                own, pending = start_transfer(t.root.connect(server.local), TREE_BYTES, i)
                captured, taken = transfer_of_stranger(t, megabytes * MEGABYTE, upload)
                expect(captured > megabytes * MEGABYTE / 65536, "the lab did not see the stranger", captured)
                expect(taken <= STRANGERS_MOST,
                       f"flags {flags}, {megabytes} MB {'up' if upload else 'down'} as number {i}: {taken} of {captured} "
                       f"packets of a stranger came to user mode, more than {STRANGERS_MOST}")
                for one in pending:
                    one.result(120)
                expect_visit(t, session, own, server, t.server)
            replaced = session.stats()["filter_replacements"]
            expect(replaced <= 16, "the filter was replaced more often than the strangers explain", replaced)


def settled(t, session):
    """The counters, once the library has seen all that the driver took."""
    stats = session.stats()
    return stats if stats["packets_seen"] == session.driver("diverted") else None


SUMMARY = re.compile(r".* INFO +stopped: (\d+) connections redirected, (\d+) packets seen, (\d+) passed, "
                     r"(\d+) rewritten, (\d+) dropped")


@scenario("S6", "S5", session="own")
def summary_in_the_log(t, family):
    """After stop the log and the counters say the same, and the connections' lines what the proxy has counted."""
    log = os.path.join(t.lab.stage, t.world.name("log") + ".txt")
    server = t.echo()
    with t.redirected(log="Z:" + log, level=4) as session:
        stranger = t.bystander.connect(server.local)
        exchange(stranger, 5000)
        made = [t.root.connect(server.local) for _ in range(4)]
        for i, connection in enumerate(made):
            exchange(connection, 10_000 * (i + 1))
        for connection in made[:2]:
            connection.reset()
        wait_until(lambda: session.stats()["flows_live"] == 2, "two flows left", 5)
        carried = sorted(r["up"] for r in session.proxied())
        session.stop()
        stats = session.stats()
    with open(log, encoding="utf-8") as text:
        lines = text.read().splitlines()
    found = [SUMMARY.fullmatch(line) for line in lines]
    expect_equal([[int(number) for number in m.groups()] for m in found if m],
                 [[stats[name] for name in ("flows_total", "packets_seen", "packets_passed", "packets_rewritten",
                                            "packets_dropped")]], "summaries in the log")
    connections = [CONNECTION.search(line) for line in lines]
    expect_equal(sorted(int(m[6]) for m in connections if m), carried, "bytes up, in the log")
    expect_equal(sorted(int(m[7]) for m in connections if m), carried, "bytes down, in the log")
