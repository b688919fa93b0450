# SPDX-License-Identifier: LGPL-3.0-or-later
"""What a scenario may arrange around its connections: late and lost events, programs that nobody knows, more
addresses; and redirectors whose books must balance when they end."""
import contextlib
import os
import subprocess
import time

from harness import LINGER_S, NO_PROOF
from lab import PYTHON, Actor, expect, expect_equal, host_of, on_host, port_of, wait_until
from lab.stage import NATIVE

REFUSED = (10061, 111)  # what connect() says on Windows and on Linux
FAIL_CLOSED = 4
NOT_FOUND = 8
SECOND_SERVER = {4: "10.77.0.12", 6: "fd77::12"}


@contextlib.contextmanager
def events(t, *commands):
    """Faults of socket events, as in lab/README.md: "delay 100", "lose all connect", …"""
    try:
        for command in commands:
            t.lab.order("events", command)
        yield
    finally:
        t.lab.ctl("events", "reset")


@contextlib.contextmanager
def setting(t, name, during, afterwards):
    """A setting of the lab's daemon."""
    t.lab.order(name, during)
    try:
        yield
    finally:
        t.lab.ctl(name, afterwards)


def owners_unknown(t):
    """The TCP table lists sockets, but says of none whose it is."""
    return setting(t, "owners", "off", "on")


@contextlib.contextmanager
def outsider(t):
    """A native program in the client's network, of whose sockets no event tells and which no table knows: it is
    outside of the lab's cgroup."""
    actor = Actor(t.world.name("outsider"), t.lab.folder, None)
    net = f"--net=/run/netns/{os.environ['LAB']}-client"
    with open(actor.std, "wb") as std:
        process = subprocess.Popen(["nsenter", net, "--", PYTHON, NATIVE, actor.commands, actor.answers_path], stdin=subprocess.DEVNULL, stdout=std, stderr=std)
    actor.alive = lambda: process.poll() is None
    t.lab.actors.append(actor)
    try:
        yield actor.wait_ready()
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def second_server_address(t):
    """Another address of the server host."""
    host = SECOND_SERVER[t.family]
    where = [f"{host}/{24 if t.family == 4 else 64}", "dev", "lan"]
    on_host("server", "ip", "addr", "add", *where, *(["nodad"] if t.family == 6 else []))
    try:
        yield host
    finally:
        on_host("server", "ip", "addr", "del", *where)


@contextlib.contextmanager
def balanced(t, made=0, **config):
    """A redirector of the scenario's own; when the connections have ended it has no flow any more, and each packet
    that the driver took was sent once or dropped by a rule. `made`: packets that the library made itself. It is over
    sooner if the scenario's connections do not end by FIN, for those linger."""
    config["flags"] = config.get("flags", 0) | NO_PROOF
    with t.redirected(**config) as session:
        yield session
        for actor in t.extra:
            actor.call("close_all")
        t.world.close_connections()
        wait_until(lambda: session.stats()["flows_live"] == 0, "no flow left over", LINGER_S)
        wait_until(lambda: not imbalance(t, session, made), "the books balance")


def imbalance(t, session, made):
    """What is wrong with the numbers of packets; nothing is right."""
    stats = session.stats()
    seen, passed, rewritten, dropped = (stats["packets_" + what] + stats["udp_packets_" + what]
                                        for what in ("seen", "passed", "rewritten", "dropped"))
    sent = passed + rewritten
    pairs = {"seen": (seen, session.driver("diverted")),
             "judged": (seen, sent + dropped),
             "sent": (sent + made, session.driver("injected")),
             "errors": (stats["send_errors"] + stats["receive_errors"], 0)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def plain(address):
    """An address as IPv4 if it is IPv4 carried by an IPv6 socket."""
    return address.removeprefix("::ffff:")


def expect_refused(actor, to, what):
    answer = actor.call("connect", id=actor.new_id(), to=to, may_fail=True)
    expect(answer.get("code") in REFUSED, f"{what}: connect says", answer)


def warnings_in(path):
    """Lines of a log that warn."""
    with open(path, encoding="utf-8") as log:
        return [line for line in log.read().splitlines() if " WARN " in line]


def timed_connect(actor, to, **arguments):
    """A connection, and how many milliseconds it took to be there."""
    began = time.monotonic()
    connection = actor.connect(to, **arguments)
    return connection, (time.monotonic() - began) * 1000


def arrival(session, connection):
    """The proxy's record of a connection that came to a listener of the tree: there exactly once, flagged as incoming,
    under the peer's own port if no other connection had it at the proxy."""
    every = session.agent.call("proxied")["connections"]
    records = [r for r in session.proxied() if r.get("destination") == plain(connection.peer)
               and host_of(r["peer"]) == host_of(connection.local)]
    if len(records) > 1:
        records = [r for r in records if r["peer"] == connection.local]
    expect(len(records) == 1, f"connection {connection.local} -> {connection.peer} reached the proxy {len(records)} times",
           every)
    expect_equal(records[0]["incoming"], 1, "incoming, as the proxy was told")
    taken = [r for r in every if r != records[0] and port_of(r["peer"]) == connection.port]
    expect(taken or records[0]["peer"] == connection.local,
           f"the proxy saw {connection.local} come from another port without need", records[0])
    return records[0]


def expect_arrival(session, connection, server, owner):
    """The connection came to the incoming proxy, which knows its true peer and destination, and the program saw the
    proxy's own connection."""
    record = arrival(session, connection)
    expect_equal(record["pid"], owner.pid, "process that the proxy was told")
    visitors = [plain(v["peer"]) for v in owner.visitors(server)]
    expect(record["onward"] in visitors, f"the program was visited by {visitors}, not by the proxy", record)
    expect(connection.local not in visitors, "the program saw the peer itself", connection.local)
    return record


def expect_reset_by_stop(session, connections):
    """Stop resets connections at both ends, although neither says anything."""
    endings = [connection.begin("receive_end") for connection in connections]
    session.stop()
    for ending in endings:
        expect_equal(ending.result(5)["end"], "reset", "what the connection's end got")
    wait_until(lambda: all(r["end"] for r in session.proxied()), "the proxy's ends over after stop", 5)
    expect_equal([r["end"] for r in session.proxied()], ["reset by client"] * len(connections),
                 "how the proxy's ends ended")
