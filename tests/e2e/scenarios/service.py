# SPDX-License-Identifier: LGPL-3.0-or-later
"""I5, S1, S2, S4, S5: start that tells the truth, stop that ends, a library that keeps quiet."""
import os
import re
import shutil

from conditions import expect_reset_by_stop
from harness import scenario
from lab import Failure, expect, expect_equal, port_of, wait_until
from scenarios.outgoing import connect_and_check, exchange

START_MS = 10_000  # a busy machine is given more time, but not for ever
STRANGERS_BYTES = 20 << 20
CONNECTION_RESET = 10054
NOBODY = 999999 * 4


def expect_refused(t, status, words, **arguments):
    """A start fails at once, with this status and a text that has these words, and leaves nothing open."""
    answer = t.agent.call("start", **arguments)
    expect_equal((answer["result"], answer["status_name"]), (0, status), f"start ({answer['text']})")
    for word in words:
        expect(word in answer["text"], f"the text does not mention {word!r}", answer["text"])
    expect(answer["ms"] <= START_MS, f"it took {answer['ms']} ms to fail")
    wait_until(lambda: t.lab.handles() == [], "driver handles closed after a failed start")
    return answer


def expect_start_works(t, **config):
    """The next correct start redirects."""
    with t.redirected(**config) as session:
        connect_and_check(t, t.root, session, "10.77.0.2")


def windivert_folder(t, name, *files):
    """A folder beside the programs with some of WinDivert's files."""
    folder = os.path.join(t.lab.stage, name)
    os.makedirs(folder, exist_ok=True)
    for file in files:
        shutil.copy(os.path.join(t.lab.stage, file), folder)
    return name


@scenario("S1", session="none", families=None, first=True)
def driver_file_missing(t):
    """The very first start in this lab: once a driver is loaded, Windows does not ask for its file any more."""
    folder = windivert_folder(t, "no_driver", "WinDivert.dll")
    try:
        expect_refused(t, "DRIVER_NOT_FOUND", ["WinDivert64.sys"], client=t.root.pid, proxy=1, dir=folder)
        expect_start_works(t)
    except Failure:
        t.lab.remove_driver_service()  # or no later start in this lab would work
        raise


@scenario("S1", session="none", families=None)
def port_above_65535(t):
    for api in ("classic", "extended"):
        for ports in ({"proxy": 65536}, {"proxy": 1 << 31}, {"proxy": 8080, "incoming": 65536}):
            expect_refused(t, "PORT_INVALID", ["65535"], api=api, client=t.root.pid, **ports)
    expect_start_works(t, api="classic")


@scenario("S1", session="none", families=None)
def both_ports_0(t):
    for api in ("classic", "extended"):
        expect_refused(t, "NO_PORT", ["port"], api=api, client=t.root.pid, proxy=0)
    expect_start_works(t)


@scenario("I5", "S1", session="none", families=None)
def no_such_client(t):
    gone = t.child(t.root)
    pid = gone.pid
    t.exit(gone, t.root)
    for api in ("classic", "extended"):
        for client in (NOBODY, 0, pid):
            expect_refused(t, "NO_SUCH_PROCESS", ["process"], api=api, client=client, proxy=8080)
    expect_start_works(t, api="classic")


@scenario("I5", "S1", session="none", families=None)
def no_such_agent(t):
    for api in ("classic", "extended"):
        expect_refused(t, "NO_SUCH_PROCESS", ["process"], api=api, client=t.root.pid, agent=NOBODY, proxy=8080)
    expect_start_works(t)


@scenario("S1", session="none", families=None)
def already_running(t):
    with t.redirected(api="classic") as session:
        answer = t.agent.call("start", api="classic", client=t.root.pid, proxy=8080)
        expect_equal((answer["result"], answer["status_name"]), (0, "ALREADY_RUNNING"), "second start")
        connect_and_check(t, t.root, session, "10.77.0.2")
    expect_start_works(t, api="classic")


@scenario("S1", session="none", families=None)
def dll_missing(t):
    folder = windivert_folder(t, "no_dll", "WinDivert64.sys")
    expect_refused(t, "DLL_NOT_FOUND", ["WinDivert.dll", "no_dll"], client=t.root.pid, proxy=8080, dir=folder)
    expect_start_works(t)


@scenario("S1", session="none", families=None)
def dll_missing_beside_the_program(t):
    """The classic calls have no folder to name: the DLL is looked for beside the program, and only there."""
    folder = windivert_folder(t, "alone", "agent_static.exe", "WinDivert64.sys")
    agent = t.child(t.lab.launcher, os.path.join(folder, "agent_static.exe"))
    answer = agent.call("start", api="classic", client=t.root.pid, proxy=8080)
    expect_equal((answer["result"], answer["status_name"]), (0, "DLL_NOT_FOUND"), "start")
    wait_until(lambda: t.lab.handles() == [], "driver handles closed after a failed start")
    windivert_folder(t, "alone", "WinDivert.dll")
    expect_start_works(t, agent=agent, api="classic")


@scenario("S1", session="none", families=None)
def dll_of_another_version(t):
    expect_refused(t, "DLL_VERSION", ["2.2"], client=t.root.pid, proxy=8080, dir="other_version")
    expect_start_works(t)


def under_load(t, session, count=6):
    """Connections of the tree that never stop sending, to a server that echoes: (connections, their pending sends)."""
    server = t.echo()
    connections = [t.root.connect(server.local) for _ in range(count)]
    pending = []
    for i, connection in enumerate(connections):
        pending.append(connection.begin("send", seed=i, n=1 << 40))
        pending.append(connection.begin("receive", seed=i, n=1 << 40))

    def flowing():
        records = [r for r in session.proxied() if r.get("destination") == server.local]
        return len(records) == count and all(r["up"] > 20_000 and r["down"] > 20_000 for r in records)
    wait_until(flowing, "all connections carry bytes", 20)
    return connections, pending


@scenario("S2", session="own")
def stop_under_load(t, family):
    """Bounded; both ends of each connection see a reset; a bystander's transfer goes on over it; start works at once."""
    stranger = t.native.connect(t.echo().local)
    with t.redirected() as session:
        connections, pending = under_load(t, session)
        receiving = stranger.begin("receive", seed=7, n=STRANGERS_BYTES)
        sending = stranger.begin("send", seed=7, n=STRANGERS_BYTES)
        session.stop()
        expect(not sending.done, "the bystander was done before the stop: the scenario shows nothing")
        for one in pending:
            answer = one.result(5, may_fail=True)
            expect_equal(answer.get("code"), CONNECTION_RESET, f"what the program got ({answer})")
        wait_until(lambda: all(r["end"] for r in session.proxied()), "the proxy's ends over after stop", 5)
        expect_equal({r["end"] for r in session.proxied()}, {"reset by client"}, "how the proxy's ends ended")
        sending.result(60)
        receiving.result(60)
    with t.redirected() as session:
        connect_and_check(t, t.root, session)


@scenario("S2", session="own")
def stop_resets_idle_connections(t, family):
    """At both ends, although neither says anything."""
    server = t.echo()
    with t.redirected(mode="echo") as session:
        connections = [t.root.connect(server.local) for _ in range(3)]
        for connection in connections:
            exchange(connection)
        expect_reset_by_stop(session, connections)


@scenario("S2", session="own", families=None)
def start_again_at_once(t):
    """Several times in one process; each start redirects, each stop ends it."""
    for _ in range(8):
        with t.redirected() as session:
            connect_and_check(t, t.root, session, "10.77.0.2")
        server = t.echo(host="10.77.0.2")
        after = t.root.connect(server.local)
        exchange(after)
        visitors = [v["peer"] for v in t.server.visitors(server)]
        expect_equal(visitors, [after.local], "who visited the server after the stop")


@scenario("S2", session="own", families=None)
def stop_twice_and_stop_of_nothing(t):
    for _ in range(2):
        expect_equal(t.agent.call("stop", api="classic")["result"], 1, "stop of nothing")
    with t.redirected(api="classic") as session:
        session.stop()
        session.stop()


@scenario("S2", session="own", families=None)
def stop_from_several_threads(t):
    with t.redirected() as session:
        under_load(t, session, 2)
        pending = [t.agent.begin("stop") for _ in range(4)]
        for one in pending:
            answer = one.result()
            expect_equal(answer["result"], 1, "stop")
            expect(answer["ms"] <= 1000, f"stop took {answer['ms']} ms")


@scenario("S4", session="own", families=None)
def only_the_log_is_written(t):
    """An agent in an empty folder: it and its children write nothing to standard output, and create only the log."""
    agent = t.lab.prepare(t.world.name("quiet"))
    folder = os.path.join(t.lab.stage, agent.name)
    os.mkdir(folder)
    t.lab.spawn(t.lab.launcher, agent, "agent.exe", folder)
    t.extra.append(agent)
    server = t.echo(host="10.77.0.2")
    with t.redirected(agent=agent):
        exchange(t.root.connect(server.local))
        agent.call("start", api="classic", client=NOBODY, proxy=8080)  # errors are not printed either
    t.exit(agent, t.lab.launcher)
    expect_equal(os.listdir(folder), ["windows_redirector.log"], "files in the agent's folder")
    expect_equal(os.path.getsize(agent.std), 0, "bytes on standard output and error")


LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARN|ERROR) +(.*)")
CONNECTION = re.compile(r"connection of pid (\d+) \[?([^\s\]]+)\]?:(\d+) -> \[?([^\s\]]+)\]?:(\d+) ended after \d+ ms, "
                        r"(\d+) bytes up, (\d+) bytes down")


@scenario("S5", session="own")
def one_line_per_connection(t, family):
    """At level info, with who, whence, where to and how much; and nothing per packet."""
    log = os.path.join(t.lab.stage, t.world.name("log") + ".txt")
    server = t.echo()
    wanted = []
    with t.redirected(log="Z:" + log, level=4) as session:
        for i in range(5):
            connection = t.root.connect(server.local)
            exchange(connection, 1000 * (i + 1))
            wanted.append((t.root.pid, t.client, connection.port, t.server_host, port_of(server.local), 1000 * (i + 1),
                           1000 * (i + 1)))
            connection.reset()
        wait_until(lambda: session.stats()["flows_live"] == 0, "flows over", 5)
    with open(log, encoding="utf-8") as text:
        lines = text.read().splitlines()
    messages = [LOG_LINE.fullmatch(line) for line in lines]
    expect(all(messages), "a line without time and level", lines)
    found = [CONNECTION.fullmatch(m[2]) for m in messages]
    got = [(int(m[1]), m[2], int(m[3]), m[4], int(m[5]), int(m[6]), int(m[7])) for m in found if m]
    expect_equal(sorted(got), sorted(wanted), "connections in the log")
    expect(len(lines) <= len(wanted) + 4, "more lines than connections, start, its proof and stop", lines)


@scenario("S5", session="own", families=None)
def log_that_cannot_be_written(t):
    os.makedirs(os.path.join(t.agent.cwd, "a_folder"))
    expect_refused(t, "LOG_FAILED", ["a_folder"], client=t.root.pid, proxy=8080, log="a_folder")
    expect_start_works(t, log="Z:" + os.path.join(t.lab.stage, "another_name.log"))
