# SPDX-License-Identifier: LGPL-3.0-or-later
"""R1 to R3: rules by destination, with an action, changed while connections run."""
from conditions import balanced, expect_arrival
from harness import scenario
from lab import ANY, expect, expect_equal, host_of, port_of, wait_until
from scenarios.decisions import REFUSED, refusal
from scenarios.outgoing import exchange, expect_untouched, expect_visit
from scenarios.rules import program, set_rules
from scenarios.udp import Echo

LENGTH = {4: 32, 6: 128}


def only(t, family, server):
    """The words of a rule that name one server."""
    return f"net={host_of(server.local)}/{LENGTH[family]};port={port_of(server.local)}"


def expect_directly(t, actor, server):
    connection = actor.connect(server.local)
    exchange(connection)
    expect_untouched(connection, server, t.server)


def expect_led(t, session, actor, server):
    connection = actor.connect(server.local)
    exchange(connection)
    return expect_visit(t, session, connection, server, t.server)


@scenario("R1", session="own")
def each_action_by_network_and_port(t, family):
    """One server passes, one is blocked, one goes to the proxy with the upstream that its rule names; for the tree. A
    stranger is not concerned, until a rule names it."""
    passed, blocked, led, other = (t.echo() for _ in range(4))
    stranger = t.child(t.bystander, program(t, "spy.exe"))
    rules = [f"-;{only(t, family, passed)}", f"!;{only(t, family, blocked)}", f"+;{only(t, family, led)};upstream=77"]
    with balanced(t, made=2, rules=",".join(rules)) as session:
        expect_directly(t, t.root, passed)
        expect_equal(refusal(t.root, blocked.local), REFUSED, "what is blocked")
        expect_equal(expect_led(t, session, t.root, led)["upstream"], 77, "the upstream that the proxy is told")
        expect_equal(expect_led(t, session, t.child(t.root), other)["upstream"], 0, "where no rule names one")
        expect_directly(t, stranger, blocked)
        expect_equal(len(t.server.visitors(blocked)), 1, "connections that reached the server that is blocked for the tree")
        set_rules(t, f"!;spy.exe;{only(t, family, blocked)}")
        expect_equal(refusal(stranger, blocked.local), REFUSED, "what is blocked for a stranger")
        expect_directly(t, stranger, passed)
        expect_led(t, session, t.root, blocked)
        expect(session.stats()["connections_blocked"] >= 2, "blocked connections are counted", session.stats())


@scenario("R1", session="own")
def the_last_rule_wins_and_scope_is_the_trees(t, family):
    """All but one server, and of that one all but one process."""
    server, other = t.echo(), t.echo()
    child = t.child(t.root)
    with balanced(t, rules=f"-;port=1-65535,+;{only(t, family, server)},-#{child.pid}") as session:
        expect_led(t, session, t.root, server)
        expect_directly(t, t.root, other)
        expect_directly(t, child, server)
        expect_directly(t, t.bystander, server)


@scenario("R1", session="own")
def what_comes_in_by_its_peer(t, family):
    host = host_of(t.echo().local)
    words = f"direction=2;net={host}/{LENGTH[family]}"
    server = t.echo(t.root, ANY[family])
    to = f"{t.client}/{server.port}"
    with balanced(t, made=1, incoming=True, rules=f"-;{words}") as session:
        connection = t.server.connect(to)
        exchange(connection)
        expect_untouched(connection, server, t.root)
        set_rules(t, f"!;{words}")
        expect(refusal(t.server, to) in (REFUSED, 111), "a peer that is blocked")
        set_rules(t, f"+;{words}")
        connection = t.server.connect(to)
        exchange(connection)
        expect_arrival(session, connection, server, t.root)


@scenario("R2", session="own")
def names_count_from_when_they_are_told(t, family):
    server, other = t.echo(), t.echo()
    with balanced(t, made=2, rules="!;host=*.example.test") as session:
        expect_led(t, session, t.root, server)
        told = t.agent.call("tell_name", address=server.local, host="www.Example.test")
        expect_equal(told["status"], 0, "tell_name")
        expect_equal(refusal(t.root, server.local), REFUSED, "a name that is blocked")
        expect_equal(refusal(t.root, other.local), REFUSED, "another port of the same address")
        t.agent.call("tell_name", address=server.local, host="other.test")
        expect_led(t, session, t.root, server)


@scenario("R1", session="own")
def datagrams_that_are_blocked_are_dropped_and_counted(t, family):
    """By protocol: TCP to the same address is not meant. Nobody is told, as by a firewall that drops; other datagrams go on."""
    blocked, led = Echo(t), Echo(t)
    tcp = t.echo()
    rules = f"!;protocol=17;{only(t, family, blocked)},!;protocol=17;port={tcp.port}"
    with balanced(t, udp=True, rules=rules) as session:
        socket = t.root.datagrams(f"{t.client}/0")
        expect_equal(socket.tell(blocked.local, n=5), 5, "datagrams that were sent")
        expect_equal(socket.ask(led.local)["from"], [led.local], "answers")
        wait_until(lambda: session.stats()["udp_packets_blocked"] == 5, "the blocked datagrams counted", 5)
        expect_equal((blocked.visitors(), session.led(blocked.local)), ({}, []), "who was reached")
        expect_led(t, session, t.root, tcp)
        set_rules(t, f"!spy.exe;{only(t, family, blocked)}")
        again = t.root.datagrams(f"{t.client}/0")
        expect_equal(again.ask(blocked.local)["from"], [blocked.local], "answers, when it is blocked no more")


@scenario("R1", session="own")
def each_field_narrows_a_rule(t, family):
    """Pid, program, listener, protocol, direction, network, port, name: a rule blocks what has all that it names, and with
    one of them another does not."""
    server = t.echo()
    child, guard = t.child(t.root, program(t, "narrow.exe")), t.child(t.bystander, program(t, "guard.exe"))
    near = t.echo(guard, t.loopback)
    host = host_of(server.local)
    blocks = {"pid": f"!#{child.pid}", "program": "!narrow.exe", "net": f"!;net={host}/{LENGTH[family]}",
              "port": f"!;port={server.port}", "protocol": "!;protocol=6", "direction": "!;direction=1", "name": "!;host=right.test"}
    beside = {"pid": f"!#{t.root.pid}", "program": "!wide.exe", "net": f"!;net={t.client}/{LENGTH[family]}",
              "port": f"!;port={server.port + 1}", "protocol": "!;protocol=17", "direction": "!;direction=2", "name": "!;host=wrong.test"}
    with balanced(t, made=len(blocks) + 1) as session:
        expect_equal(t.agent.call("tell_name", address=server.local, host="right.test")["status"], 0, "tell_name")
        for field, rule in blocks.items():
            set_rules(t, rule)
            expect_equal(refusal(child, server.local), REFUSED, f"what is blocked by {field}")
            set_rules(t, beside[field])
            expect_led(t, session, child, server)
        set_rules(t, "!>guard.exe")
        expect_equal(refusal(child, near.local), REFUSED, "what is blocked by its listener")
        set_rules(t, "!>wide.exe")
        connection = child.connect(near.local)
        exchange(connection)
        expect_visit(t, session, connection, near, guard)


@scenario("R3", session="own", families=None)
def rules_that_change_all_the_time_touch_no_running_connection(t):
    """As fast as they can be changed, some hundred times a second, while a connection carries data, a socket asks, and others
    begin: what runs goes on by the proxy, and nothing is lost."""
    server, asked = t.echo(host="10.77.0.2"), Echo(t, host="10.77.0.2")
    with balanced(t, udp=True) as session:
        running, socket = t.root.connect(server.local), t.root.datagrams("10.77.0.1/0")
        exchange(running)
        for round_ in range(2):
            changing = t.agent.begin("change_rules", rules="-;port=1-2,!;port=3", other="+;port=1-65535,-nobody.exe", n=120)
            exchange(running, 300_000, seed=round_ + 2)
            expect_equal(socket.ask(asked.local, n=50)["came"], 50, "answers of 50")
            fresh = t.root.connect(server.local)
            exchange(fresh, 10_000)
            fresh.close()
            expect_equal(changing.result(60)["refused"], 0, "changes that were refused")
        expect_equal(len(session.led(asked.local)), 1, "peers of the proxy that the socket had")
        expect_equal(session.stats()["flows_total"], 3, "redirected connections")
        broken = t.agent.call("set_rules", rules="+;port=9-1")
        expect_equal(broken["status"], 1, "a rule whose ports run backwards")
        expect_led(t, session, t.root, server)
