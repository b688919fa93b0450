# SPDX-License-Identifier: LGPL-3.0-or-later
"""I1, I4: processes that live only for a moment; and rules that refine the tree: by pid, name, path and wildcard, at
the start and while running."""
import json
import os
import shutil

from conditions import balanced, expect_arrival
from harness import scenario
from lab import ANY, expect, expect_equal, port_of, wait_until, windows_path
from scenarios.outgoing import exchange, expect_untouched, expect_visit


def hasty(t, parent, to):
    """Starts a program that connects before anything else; (its pid, file with what it tells)."""
    path = os.path.join(t.lab.folder, t.world.name("hasty") + ".json")
    exe = windows_path(os.path.join(t.lab.stage, "hasty.exe"))
    pid = parent.call("spawn", exe=exe, commands=to, answers=windows_path(path))["pid"]
    return pid, path


def told(path):
    with open(path, encoding="utf-8") as text:
        return json.load(text)


@scenario("I1", session="shared")
def programs_that_live_for_one_connection(t, family):
    """Each connects as the first thing it does and ends with the answer; a dozen of the root's, and of a child's that
    has never connected itself."""
    server, child = t.echo(), t.child(t.root)
    started = [(parent, *hasty(t, parent, server.local)) for parent in [t.root, child] * 6]
    for parent, pid, _ in started:
        expect_equal(parent.call("wait_exit", pid=pid)["exit_code"], 0, "exit code: did its bytes come back?")
    records = [r for r in t.session.proxied() if r.get("destination") == server.local]
    answers = [told(path) for _, _, path in started]
    expect_equal(sorted((r["pid"], port_of(r["peer"])) for r in records),
                 sorted((pid, answer["port"]) for (_, pid, _), answer in zip(started, answers)),
                 "what the proxy was told")


@scenario("I1", session="shared")
def orphans_that_live_for_one_connection(t, family):
    """Their parent, which lived only to start them, is gone as well when they are looked at."""
    server = t.echo()
    for _ in range(3):
        middle = t.child(t.root)
        t.session.forget_proxied()
        pid, path = hasty(t, middle, server.local)
        middle.call("exit")
        middle.alive = lambda: False
        t.extra.remove(middle)
        wait_until(lambda: any(r["end"] for r in t.session.proxied() if r["status"] == 0), "its connection over", 10)
        records = [(r["pid"], r["destination"]) for r in t.session.proxied()]
        expect_equal(records, [(pid, server.local)], "what the proxy was told")
        expect_equal(told(path)["pid"], pid, "pid")


@scenario("I2", session="shared")
def stranger_that_lives_for_one_connection(t, family):
    server = t.echo()
    pids = [hasty(t, t.bystander, server.local)[0] for _ in range(4)]
    for pid in pids:
        expect_equal(t.bystander.call("wait_exit", pid=pid)["exit_code"], 0, "exit code: did its bytes come back?")
    expect(not [r for r in t.session.proxied() if r.get("destination") == server.local], "a stranger was redirected")


# ---- I4

def program(t, name):
    """A copy of the probe under another name, beside it or in a folder beside it."""
    path = os.path.join(t.lab.stage, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(os.path.join(t.lab.stage, "probe.exe"), path)
    return name


def expect_redirected(t, session, expected):
    """expected: {program: is it redirected?}; each connects once, to a server of its own."""
    for actor, redirected in expected.items():
        server = t.echo()
        connection = actor.connect(server.local)
        exchange(connection)
        if redirected:
            expect_visit(t, session, connection, server, t.server)
        else:
            expect_untouched(connection, server, t.server)


def set_rules(t, *rules):
    expect_equal(t.agent.call("set_rules", rules=",".join(rules))["status"], 0, f"set_rules {rules}")


@scenario("I4", session="own")
def rules_by_pid(t, family):
    """A member left out, its child still in, a stranger taken in, and its child not; nobody takes in the agent."""
    child = t.child(t.root)
    grandchild = t.child(child)
    strangers_child = t.child(t.bystander)
    rules = f"-#{child.pid},+#{t.bystander.pid},+#{t.agent.pid},+#0,+#4"
    with balanced(t, rules=rules) as session:
        expect_redirected(t, session, {child: False, grandchild: True, t.root: True, t.bystander: True,
                                       strangers_child: False, t.agent: False, t.native: False})


@scenario("I4", session="own")
def rules_by_name(t, family):
    """Letters match in either case; a pattern without a slash is the whole file name, not a part of it."""
    browser = t.child(t.root, program(t, "Browser.exe"))
    helper = t.child(t.root, program(t, "browser.exe.helper.exe"))
    stranger = t.child(t.bystander, program(t, "wanted.exe"))
    with balanced(t, rules="-bROWSER.EXE,+WANTED.exe,-rowser.exe") as session:
        expect_redirected(t, session, {browser: False, helper: True, t.root: True, stranger: True, t.bystander: False})
        late = t.child(t.root, "Browser.exe")
        expect_redirected(t, session, {late: False})


@scenario("I4", session="own")
def rules_by_path_and_wildcard(t, family):
    """'*' goes over folders, '?' is one character, slashes match in either direction."""
    tool, other = program(t, "tools/first/probe.exe"), program(t, "tool5/probe.exe")
    tools = t.child(t.root, tool)
    five = t.child(t.root, other)
    stranger = t.child(t.bystander, program(t, "taken_in_7.exe"))
    whole = windows_path(os.path.join(t.lab.stage, other)).replace("/", "\\")
    with balanced(t, rules="-*/tools/*,+taken_in_?.e*") as session:
        expect_redirected(t, session, {tools: False, five: True, t.root: True, stranger: True, t.bystander: False})
        for rules in (["-*\\tool?\\PROBE.exe"], [f"-{whole}"]):
            set_rules(t, *rules)
            expect_redirected(t, session, {tools: True, five: False, t.root: True, stranger: False})
        set_rules(t, "-taken_in_.exe", "-*/tool5", "-?probe.exe")  # match nothing
        expect_redirected(t, session, {tools: True, five: True, t.root: True, stranger: False})


@scenario("I4", session="own")
def last_rule_that_matches_wins(t, family):
    child = t.child(t.root)
    with balanced(t, rules=f"-*,+#{child.pid}") as session:
        expect_redirected(t, session, {child: True, t.root: False, t.bystander: False})
        set_rules(t, f"+#{child.pid}", "-*")
        expect_redirected(t, session, {child: False, t.root: False})
        set_rules(t, "+*", f"-#{child.pid}")
        expect_redirected(t, session, {child: False, t.root: True, t.bystander: True, t.lab.launcher: True,
                                       t.agent: False, t.native: False})
        t.lab.launcher.call("close_all")


@scenario("I4", session="own")
def rules_changed_while_running(t, family):
    """They apply to new connections: those that are open go on as they were."""
    servers = [t.echo() for _ in range(3)]
    with balanced(t) as session:
        redirected = t.root.connect(servers[0].local)
        exchange(redirected)
        set_rules(t, f"-#{t.root.pid}", f"+#{t.bystander.pid}")
        direct = t.root.connect(servers[1].local)
        exchange(direct)
        taken_in = t.bystander.connect(servers[2].local)
        exchange(taken_in)
        for _ in range(2):
            expect_redirected(t, session, {t.root: False, t.bystander: True})
        set_rules(t)
        expect_redirected(t, session, {t.root: True, t.bystander: False})
        for i, (connection, server) in enumerate(zip((redirected, direct, taken_in), servers)):
            exchange(connection, 50_000, seed=i)
            if connection is direct:
                expect_untouched(connection, server, t.server)
            else:
                expect_visit(t, session, connection, server, t.server)
        too_many = t.agent.call("set_rules", rules=",".join(["-" + "x" * 600]))["status"]
        expect_equal(too_many, 1, "set_rules with a pattern that is too long")
        expect_redirected(t, session, {t.root: True, t.bystander: False})


@scenario("I4", "N1", session="own")
def rules_and_listeners(t, family):
    """Whose listeners are the tree's is refined as well, also for those that listen already."""
    servers = {actor: t.echo(actor, ANY[family]) for actor in (t.root, t.bystander)}

    def expect_incoming(expected):
        for actor, redirected in expected.items():
            connection = t.server.connect(f"{t.client}/{servers[actor].port}")
            exchange(connection)
            if redirected:
                expect_arrival(session, connection, servers[actor], actor)
            else:
                expect_untouched(connection, servers[actor], actor)
    with balanced(t, incoming=True, rules=f"+#{t.bystander.pid}") as session:
        expect_incoming({t.root: True, t.bystander: True})
        set_rules(t, f"-#{t.root.pid}")
        expect_incoming({t.root: False, t.bystander: False})
        set_rules(t)
        expect_incoming({t.root: True, t.bystander: False})
