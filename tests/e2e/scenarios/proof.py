# SPDX-License-Identifier: LGPL-3.0-or-later
"""S8: start has made a connection of its own in each family; redirection that silently ends does not stay unseen."""
import contextlib
import time

from conditions import on_host, warnings_in
from harness import NO_PROOF, Session, scenario
from lab import CLIENT, LOOPBACK, SERVER, expect, expect_equal, host_of, wait_until
from network import packet_rules
from scenarios.outgoing import connect_and_check, exchange, expect_untouched
from scenarios.program import Run, ask, visit
from scenarios.service import expect_refused

RUNNING, FAILED = 1, 3
ASLEEP_S = 2
ENOUGH_S = 40  # for two proofs that fail
OWN = {"proofs", "steering_replaced", "handle_renewals"}  # what a proof counts; all else is the user's
# What is no count, or none of the tree's: other programs listen.
MEASURED = {"status", "result", "re", "queue_delay_last_us", "queue_delay_max_us", "queue_delay_mean_us", "events_seen",
            "firewall_permit", "large_segments"}


@contextlib.contextmanager
def obstacles(t, *kinds):
    """Another product's filter in the way."""
    for kind in kinds:
        t.lab.order("obstacle", kind)
    t.expect_losses("hindered")
    try:
        yield
    finally:
        t.lab.order("obstacle", "off")


def log_path(t):
    return t.lab.stage + "/" + t.world.name("log") + ".txt"


def lines_with(log, words):
    with open(log, encoding="utf-8") as text:
        return [line for line in text if words in line]


def sockets_of_proofs():
    """TCP sockets of this host that lead where nobody is."""
    return [line for line in on_host("client", "ss", "-Htan").splitlines() if line.split()[4].endswith(":9")]


def machine_sleeps(t):
    """The engine's thread and the watchdog stand still, and the clock does not."""
    expect(t.agent.call("freeze", all=1)["frozen"] >= 2, "the threads were not found")
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > ASLEEP_S, "the machine wakes up", 2 * ASLEEP_S)
    t.agent.call("thaw")


@scenario("S8", session="own", families=None)
def start_has_proven_itself(t):
    """In both families, and nothing is left of it: no flow, no count, no socket, no packet on the wire."""
    log = log_path(t)
    wire = t.lab.counters()["wire_lost"]
    with t.redirected(log="Z:" + log, level=4) as session:
        stats = session.stats()
        expect_equal((stats["proofs"], stats["steering_replaced"]), (2, 0), "proofs, and ways that were replaced")
        counted = {name: n for name, n in stats.items() if n and name not in OWN | MEASURED}
        expect_equal(counted, {}, "what a start counts")
        expect_equal(t.agent.call("mappings")["peers"], [], "destinations that can be looked up")
        expect_equal(sockets_of_proofs(), [], "sockets")
        expect_equal(len(lines_with(log, "a connection of the library's own was redirected")), 2, "lines in the log")
        connect_and_check(t, t.root, session, SERVER[4])
    expect_equal(t.lab.counters()["wire_lost"], wire, "lost on the wire")
    with t.redirected(flags=NO_PROOF) as session:
        expect_equal(session.stats()["proofs"], 0, "proofs without proof")
        connect_and_check(t, t.root, session, SERVER[4])


@scenario("S8", "O3", session="own", families=None)
def way_of_redirecting_that_does_not_work_is_replaced(t):
    """Over loopback IPv6 does not arrive, IPv4 does."""
    log = log_path(t)
    with obstacles(t, "loopback 6"), t.redirected(everywhere=True, log="Z:" + log) as session:
        stats = session.stats()
        expect_equal((stats["proofs"], stats["steering_replaced"]), (2, 1), "proofs, and ways that were replaced")
        for family, peer in ((4, LOOPBACK[4]), (6, SERVER[6])):
            server = t.echo(host=SERVER[family])
            connection = t.root.connect(server.local)
            exchange(connection)
            expect_equal(host_of(session.proxied_for(connection)["peer"]), peer, "address that the proxy sees")
        warnings = [line for line in warnings_in(log) if "by reflection instead" in line]
        expect(len(warnings) == 1 and "IPv6" in warnings[0] and "did not arrive" in warnings[0], "warnings", warnings)
        t.world.close_connections()


@scenario("S8", "S1", session="none", families=None)
def start_fails_where_nothing_arrives(t):
    """With the step that failed, in the family in which it did."""
    cases = (("inbound", ("IPv4 over loopback", "answer did not come back", "by reflection", "IPv6")),
             ("hidden 6", ("IPv6 over loopback", "was not seen by the driver")))
    for kind, words in cases:
        with obstacles(t, kind):
            answer = expect_refused(t, "PROOF_FAILED", words, client=t.root.pid, proxy=t.free_port())
        expect_equal("IPv4" in answer["text"], kind == "inbound", "IPv4 in " + answer["text"])
    with obstacles(t, "inbound"):
        t.agent.call("start", client=t.root.pid, proxy=t.free_port(), flags=NO_PROOF)
        expect_equal(t.agent.call("state")["state"], RUNNING, "state without proof")
        t.agent.call("stop")
        t.agent.call("free")
    with t.redirected() as session:
        connect_and_check(t, t.root, session, SERVER[4])


@scenario("S8", "S3", session="own", families=None)
def redirection_that_ends_while_the_machine_sleeps(t):
    """First a new handle mends it; then nothing does, and traffic goes its own way."""
    log = log_path(t)
    session = Session(t.world, t.agent, t.root, log="Z:" + log, level=4)
    with obstacles(t, "stale"):
        machine_sleeps(t)
        wait_until(lambda: lines_with(log, "redirection works again"), "it works again", ENOUGH_S)
    expect_equal(session.stats()["handle_renewals"], 1, "handles opened anew")
    expect_equal(t.agent.call("state")["state"], RUNNING, "state")
    connect_and_check(t, t.root, session, SERVER[4])
    t.world.close_connections()
    with obstacles(t, "loopback"):
        machine_sleeps(t)
        wait_until(lambda: t.agent.call("state")["state"] == FAILED, "state: failed", ENOUGH_S)
        state = t.agent.call("state")
        expect_equal(state["why"], "PROOF_FAILED", "why it failed")
        expect("was sent on and did not arrive" in state["text"], "what it says", state)
        wait_until(lambda: t.lab.handles() == [], "the driver's handles closed", ENOUGH_S)
        server = t.echo(host=SERVER[4])
        connection = t.root.connect(server.local)
        exchange(connection)
        expect_untouched(connection, server, t.server)
    session.end()


@scenario("S8", session="own", families=None)
def a_proof_that_comes_too_late_while_programs_get_their_answers(t):
    """What is only busy is not broken: redirection goes on, and no handle is opened anew."""
    log = log_path(t)
    with t.redirected(log="Z:" + log, level=4) as session:
        connection = t.root.connect(t.echo(host=SERVER[4]).local)
        sending, receiving = (connection.begin(what, seed=5, n=1 << 40) for what in ("send", "receive"))
        with contextlib.ExitStack() as stack:
            for family in (4, 6):
                stack.enter_context(packet_rules(
                    family, f"INPUT -i lo -p tcp --syn ! --dport {session.proxy_port} -j DROP", host="client",
                    table="filter"))
            machine_sleeps(t)
            wait_until(lambda: lines_with(log, "but programs get their answers"), "a proof that failed", ENOUGH_S)
        expect_equal((sending.done, receiving.done), (False, False), "the connection is over")
        expect_equal(session.stats()["handle_renewals"], 0, "handles opened anew")
        expect_equal(t.agent.call("state")["state"], RUNNING, "state")
        connection.reset()
        for begun in (sending, receiving):
            begun.result(20, may_fail=True)
        t.world.close_connections()


@scenario("S8", session="own", families=None)
def family_that_comes_later(t):
    """Without an address IPv6 is no failure; once there is one, it is proven."""
    def addresses(verb):
        for address in CLIENT[6]:
            on_host("client", "ip", "addr", verb, f"{address}/64", "dev", "lan", *(["nodad"] if verb == "add" else []),
                    *(["preferred_lft", "0"] if verb == "add" and address == CLIENT[6][1] else []))
    log = log_path(t)
    addresses("del")
    try:
        session = Session(t.world, t.agent, t.root, log="Z:" + log, level=4)
        expect_equal(session.stats()["proofs"], 1, "proofs")
        expect_equal(len(lines_with(log, "IPv6 is not proven: there is no way out")), 1, "lines in the log")
    finally:
        addresses("add")
    proven = "IPv6: a connection of the library's own was redirected"
    wait_until(lambda: lines_with(log, proven), "IPv6 proven", ENOUGH_S)
    connect_and_check(t, t.root, session, SERVER[6])
    t.world.close_connections()
    session.end()


@scenario("S8", session="own", families=None)
def program_reflects_where_loopback_does_not_work(t):
    """Its relay then listens on all addresses, and it says so. Where nothing works it does not start."""
    with obstacles(t, "loopback"):
        run = Run(t)
        run.probe.wait_ready()
        servers = [visit(t, run, family) for family in (4, 6)]
        messages = run.said()
        expect("by reflection" in messages, "messages", messages)
        expect_equal(len(run.connections()), len(servers), "connections")
    with obstacles(t, "inbound"):
        status, _, text = ask(t, "run", "--", "probe.exe")
        expect_equal(status, 3, "exit status")
        expect("was not redirected" in text and "answer did not come back" in text, "messages", text)
