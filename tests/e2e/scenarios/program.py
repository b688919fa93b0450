# SPDX-License-Identifier: LGPL-3.0-or-later
"""redirector.exe: a program run under it reaches its destinations through the built-in relay."""
import json
import os
import shutil
import signal
import subprocess
import sys

from harness import scenario
from lab import ROOT, expect, expect_equal, listens, on_host, port_of, wait_until, windows_path, wine
from scenarios.outgoing import exchange

sys.path.append(os.path.join(ROOT, "tests", "cli"))
import schema  # noqa: E402  (each line that these scenarios read is checked against it)

BYTES = 5000


class Run:
    """`redirector run --json -- probe.exe`, its standard error in a file; or `attach` to a program that runs."""

    def __init__(self, t, *options, root=None):
        self.t = t
        self.probe = root or t.lab.prepare(t.world.name("run"))
        if not root:
            t.extra.append(self.probe)
        self.errors = os.path.join(t.lab.folder, t.world.name("program") + ".errors")
        words = ["wine", "redirector.exe", "attach" if root else "run", "--json", "--log", "run.log", *options]
        if not root:
            words += ["--", "probe.exe", windows_path(self.probe.commands), windows_path(self.probe.answers_path)]
        self.process = t.lab.popen(*words, out=self.probe.std, err=self.errors, mode="ab")
        if not root:
            self.probe.alive = lambda: self.process.poll() is None

    def said(self):
        with open(self.errors, encoding="utf-8") as errors:
            return errors.read()

    def end(self, code=0):
        """Ends the program with this status; returns redirector's own status and its lines."""
        self.probe.call("exit", code=code)
        if self.probe in self.t.extra:
            self.t.extra.remove(self.probe)
        status = self.process.wait(20)
        return status, [schema.parse(line) for line in self.said().splitlines() if line]

    def connections(self):
        """Ends it; the connections, after a run in which all went well."""
        status, lines = self.end()
        expect_equal(status, 0, f"exit status after {self.said()}")
        return [line for line in lines if line["type"] == "connection"]


def ask(t, *words):
    """Another redirector.exe, to its end: exit status, standard output, standard error."""
    base = os.path.join(t.lab.folder, t.world.name("ask"))
    status = wine("redirector.exe", *words, out=base + ".out", err=base + ".err")
    with open(base + ".out", encoding="utf-8") as out, open(base + ".err", encoding="utf-8") as err:
        return status, out.read(), err.read()


class Daemon:
    """A native server on one of the hosts, which says on which port it listens; ended by leaving the block."""

    def __init__(self, t, host, port, *words):
        self.host, self.port = host, port
        self.process = t.lab.popen("run", host, "--", *words, out=os.path.join(t.lab.folder, words[0] + ".log"),
                                   start_new_session=True)

    def __enter__(self):
        wait_until(lambda: listens(self.host, self.port), f"a server on port {self.port}")
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


@scenario("O1", "S2", families=None, session="own")
def program_run_relays_and_reports(t):
    run = Run(t)
    run.probe.wait_ready()
    wanted = []
    for host in ("10.77.0.2", "fd77::2"):
        server = t.echo(host=host)
        connection = run.probe.connect(server.local)
        exchange(connection, BYTES)
        connection.close()
        wanted.append((host, port_of(server.local)))
        peers = [v["peer"] for v in t.server.visitors(server)]
        expect_equal(len(peers), 1, "connections at the server")
        expect(peers[0] != connection.local, "the server saw the program itself", connection.local)
    status, lines = run.end(code=7)
    expect_equal(status, 7, "exit status, which is the program's own")
    connections = [x for x in lines if x["type"] == "connection"]
    expect_equal(sorted((c["destination"], c["port"]) for c in connections), sorted(wanted), "destinations")
    for c in connections:
        expect_equal((c["process"], c["pid"]), ("probe.exe", run.probe.pid), "whose connection it was")
        expect_equal((c["bytes_up"], c["bytes_down"], c["outcome"]), (BYTES, BYTES, "closed"), "how it went")
    summary = [x for x in lines if x["type"] == "summary"]
    expect_equal(len(summary), 1, "summaries")
    expect_equal({key: summary[0][key] for key in ("connections", "bytes_up", "bytes_down", "failed", "unknown_peers")},
                 {"connections": 2, "bytes_up": 2 * BYTES, "bytes_down": 2 * BYTES, "failed": 0, "unknown_peers": 0},
                 "the summary")
    wait_until(lambda: t.lab.handles() == [], "driver handles closed afterwards")


@scenario("S1", families=None, session="own")
def program_run_without_the_dll_says_what_to_do(t):
    empty = os.path.join(t.lab.stage, "no_dll")
    os.makedirs(empty, exist_ok=True)
    status, _, text = ask(t, "run", "--windivert", windows_path(empty), "--", "probe.exe")
    expect_equal(status, 3, "exit status")
    expect_equal(len(text.splitlines()), 1, f"lines of {text!r}")
    expect("WinDivert.dll was not found" in text and "no_dll" in text, "it does not say what is missing", text)


# ---- upstream proxies, the real ones of Debian

def visit(t, run, family):
    """The program exchanges bytes with a server on the other host, whose address it gets."""
    server = t.echo(host={4: "10.77.0.2", 6: "fd77::2"}[family])
    connection = run.probe.connect(server.local)
    exchange(connection, BYTES)
    connection.close()
    return server


def through(t, proxy, url):
    """A run whose connections go through the proxy, which lives on the server's host."""
    with proxy:
        run = Run(t, "--upstream", url)
        run.probe.wait_ready()
        servers = [visit(t, run, family) for family in (4, 6)]
        connections = run.connections()
    connections.sort(key=lambda c: c["number"])
    for server, connection, own in zip(servers, connections, ("10.77.0.2", "fd77::2")):
        expect_equal((connection["destination"], connection["port"]), (own, port_of(server.local)), "destination")
        expect_equal((connection["bytes_up"], connection["bytes_down"]), (BYTES, BYTES), "bytes")
        expect_equal(connection["upstream"], url.split("://")[0] + "://10.77.0.2:" + str(proxy.port), "the way")
        peers = [visitor["peer"] for visitor in t.server.visitors(server)]
        expect(all(own in peer for peer in peers) and len(peers) == 1, "the proxy did not go there", peers)


@scenario("O1", families=None, session="own")
def program_goes_on_through_a_socks_proxy(t):
    through(t, Daemon(t, "server", 1080, "microsocks", "-i", "10.77.0.2", "-p", "1080", "-u", "alice", "-P", "secret"),
            "socks5://alice:secret@10.77.0.2:1080")


@scenario("O1", families=None, session="own")
def program_goes_on_through_an_http_proxy(t):
    path = os.path.join(t.lab.folder, "tinyproxy.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write("Port 8888\nListen 10.77.0.2\nTimeout 60\nMaxClients 20\nAllow 10.77.0.0/24\n"
                   "BasicAuth alice secret\n")
    through(t, Daemon(t, "server", 8888, "tinyproxy", "-d", "-c", path), "http://alice:secret@10.77.0.2:8888")


@scenario("S1", families=None, session="own")
def program_is_told_that_the_socks_proxy_rejects_the_password(t):
    with Daemon(t, "server", 1080, "microsocks", "-i", "10.77.0.2", "-p", "1080", "-u", "alice", "-P", "secret"):
        status, _, text = ask(t, "run", "--upstream", "socks5://alice:wrong@10.77.0.2:1080", "--", "probe.exe")
    expect_equal((status, text), (3, "redirector: the upstream socks5://10.77.0.2:1080 rejects the login\n"),
                 "what it says")
    wait_until(lambda: t.lab.handles() == [], "driver handles closed afterwards")


# ---- whom, and which way

@scenario("I1", "N2", families=None, session="own")
def program_attaches_and_takes_what_comes_in(t):
    """A program that runs already; a connection that it opens, and one that comes from the other host."""
    root = t.world.get("root")
    listener = root.listen("0.0.0.0/0")
    run = Run(t, "--pid", str(root.pid), "--incoming", root=root)
    wait_until(lambda: "redirecting 1 process" in run.said(), "the redirector")
    visit(t, run, 4)
    pending = root.begin_accept(listener)
    visitor = t.server.connect(f"10.77.0.1/{port_of(listener.local)}")
    accepted = pending.finish()
    for end in (visitor, accepted):
        end.close()
    wait_until(lambda: '"direction":"in"' in run.said() and run.said().count('"type":"connection"') == 2, "both lines")
    run.process.terminate()
    run.process.wait(20)
    lines = [schema.parse(line) for line in run.said().splitlines() if line]
    incoming = next(line for line in lines if line["type"] == "connection" and line["direction"] == "in")
    expect_equal((incoming["peer"], incoming["destination"], incoming["port"], incoming["pid"]),
                 ("10.77.0.2", "10.77.0.1", port_of(listener.local), root.pid), "what came in")
    t.world.drop()


@scenario("I3", "O1", families=None, session="own")
def program_leads_to_a_proxy_of_the_users_own(t):
    """One that asks nobody and answers everything; what is known of the connections comes from the library's list."""
    proxy = t.echo(actor=t.native, host="127.0.0.1")
    run = Run(t, "--proxy-port", str(port_of(proxy.local)))
    run.probe.wait_ready()
    connection = run.probe.connect("10.77.0.2/9")
    exchange(connection, BYTES)
    connection.close()
    told, = run.connections()
    fields = ("pid", "destination", "port", "direction", "bytes_up", "bytes_down", "outcome")
    expect_equal([told[key] for key in fields],
                 [run.probe.pid, "10.77.0.2", 9, "out", BYTES, BYTES, "closed"], "connection")


@scenario("I3", "I4", families=None, session="own")
def program_spares_the_users_own_proxy_in_the_tree(t):
    """What the proxy opens itself goes where it is meant to, though the proxy is one of those that are redirected."""
    root = t.world.get("root")
    proxy = t.child(root)
    own, server = t.echo(actor=proxy, host="127.0.0.1"), t.echo(host="10.77.0.2")
    run = Run(t, "--pid", str(root.pid), "--proxy-port", str(port_of(own.local)), root=root)
    wait_until(lambda: "redirecting" in run.said(), "the redirector")
    led, direct = root.connect(server.local), proxy.connect(server.local)
    for connection in (led, direct):
        exchange(connection, BYTES)
        connection.close()
    expect_equal([v["peer"] for v in t.server.visitors(server)], [direct.local], "who visited the server")
    expect_equal([port_of(v["peer"]) for v in proxy.visitors(own)], [port_of(led.local)], "who visited the proxy")
    run.process.terminate()
    run.process.wait(20)
    t.world.drop()


@scenario("S6", families=None, session="own")
def program_tells_what_it_does(t):
    """flows and stats, asked of a redirector with a connection open."""
    run = Run(t)
    run.probe.wait_ready()
    server = t.echo(host="10.77.0.2")
    connection = run.probe.connect(server.local)
    exchange(connection, BYTES)
    status, out, _ = ask(t, "flows", "--json")
    flows = [schema.parse(line) for line in out.splitlines()]
    expect_equal((status, [(f["pid"], f["port"], f["bytes_up"]) for f in flows]),
                 (0, [(run.probe.pid, port_of(server.local), BYTES)]), "connections")
    findings = [schema.parse(line) for line in ask(t, "doctor", "--json")[1].splitlines()]
    others = [line["detail"] for line in findings if line["what"] == "also uses WinDivert"]
    expect(others and all("redirector.exe" in other for other in others), "doctor names no other user", findings)
    stats = schema.parse(ask(t, "stats", "--json")[1])
    expect_equal((stats["flows_live"], stats["flows_total"], stats["lookups_hit"]), (1, 1, 1), "counters")
    connection.close()
    run.connections()


@scenario("O5", families=None, session="own")
def program_records_packets_that_tshark_reads(t):
    """--pcap: as the program saw them, none twice, none of others, the process in each comment."""
    run = Run(t, "--pcap", "packets.pcapng")
    run.probe.wait_ready()
    servers = [visit(t, run, family) for family in (4, 6)]
    bystander = t.world.get("bystander").connect(t.echo(host="10.77.0.2").local)
    exchange(bystander, BYTES)
    bystander.close()
    run.connections()
    path = os.path.join(t.lab.stage, "packets.pcapng")
    fields = ["frame.comment", "ip.src", "ipv6.src", "tcp.srcport", "tcp.dstport", "tcp.flags.syn", "tcp.len",
              "tcp.analysis.retransmission", "frame.packet_flags_direction"]
    done = subprocess.run(["tshark", "-r", path, "-T", "json", *[w for f in fields for w in ("-e", f)]],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True)
    packets = [{k: v[0] for k, v in p["_source"]["layers"].items()} for p in json.loads(done.stdout)]
    expect_equal({p["frame.comment"] for p in packets}, {f"probe.exe ({run.probe.pid})"}, "processes")
    for server, address in zip(servers, ("ip.src", "ipv6.src")):
        port = str(port_of(server.local))
        up = [p for p in packets if p["tcp.dstport"] == port]
        down = [p for p in packets if p["tcp.srcport"] == port]
        for packets_of_way in (up, down):
            fresh = [p for p in packets_of_way if "tcp.analysis.retransmission" not in p]
            expect_equal(sum(int(p["tcp.len"]) for p in fresh), BYTES, "bytes of the stream")
            expect_equal(sum(p["tcp.flags.syn"] in ("1", "True") for p in fresh), 1, "first packets")
        expect_equal({p[address] for p in down}, {"10.77.0.2" if address == "ip.src" else "fd77::2"}, "who answers")
    expect_equal(len([p for p in packets if int(p["tcp.srcport"]) not in map(port_of, [s.local for s in servers]) and
                      int(p["tcp.dstport"]) not in map(port_of, [s.local for s in servers])]), 0, "packets of others")


def build_child(t, name):
    """The program of tests/cli on stage; its path here."""
    program = os.path.join(t.lab.stage, name)
    subprocess.run(["x86_64-w64-mingw32-gcc", "-std=c11", "-municode", "-O2", "-D_WIN32_WINNT=0x0A00", "-static", "-o",
                    program, os.path.join(ROOT, "tests", "cli", "child_program.c"), "-lws2_32"], check=True,
                   timeout=120)
    return program


@scenario("I1", families=None, session="own")
def program_blocks_quic_of_its_tree_alone(t):
    """Datagrams to port 443 do not leave; those to another port do, and those of other programs."""
    program = build_child(t, "datagrams.exe")
    echo = ("import socket,sys\ns=[]\nfor p in (443,444):\n k=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
            " k.bind(('10.77.0.2',p))\n s.append(k)\nimport select\nwhile 1:\n for k in select.select(s,[],[])[0]:\n"
            "  d,a=k.recvfrom(99)\n  k.sendto(d,a)")
    with Daemon(t, "server", 443, "python3", "-c", echo):
        def came(*redirector, port):
            out = os.path.join(t.lab.folder, "datagrams.out")
            status = wine(*redirector, "datagrams.exe", "datagrams", "10.77.0.2", str(port), "3", out=out,
                          err=os.devnull)
            expect_equal(status, 0, "exit status of the program with datagrams")
            with open(out, encoding="utf-8") as text:
                return int(text.read())
        run = ("redirector.exe", "run", "--udp", "pass", "--block-quic", "--")
        expect_equal((came(*run, port=444), came(*run, port=443)), (3, 0), "answers to the tree")
        other = Run(t, "--udp", "pass", "--block-quic")
        other.probe.wait_ready()
        expect_equal(came(port=443), 3, "answers to a program outside of the tree")
        other.end()
    os.remove(program)


DATAGRAM_ECHO = """
import select, socket, sys
sockets = []
for family, address in ((socket.AF_INET, sys.argv[1]), (socket.AF_INET6, sys.argv[2])):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((address, int(sys.argv[3])))
    sockets.append(s)
while True:
    for s in select.select(sockets, [], [])[0]:
        data, peer = s.recvfrom(65536)
        print(peer[0], peer[1], flush=True)
        s.sendto(data, peer)
"""
QUIC = {4: "10.77.0.2/443", 6: "fd77::2/443"}


def datagram_echo(t, host="server", addresses=("10.77.0.2", "fd77::2"), port=7):
    """Answers datagrams, and prints from where each came."""
    return Daemon(t, host, port, "python3", "-c", DATAGRAM_ECHO, *addresses, str(port))


class DatagramSocket:
    """A UDP socket of an actor's."""

    def __init__(self, actor, at, to=None, **more):
        self.actor, self.number = actor, actor.new_id()
        actor.call("datagram", id=self.number, at=at, patience_ms=1000, **({"to": to} if to else {}), **more)

    def echoes(self, n, to=None):
        """How many of n datagrams are answered."""
        return self.actor.call("echoes", id=self.number, n=n, **({"to": to} if to else {}))["came"]

    def close(self):
        self.actor.call("close", id=self.number)


def blocked_and_free(tree, free, what):
    """A socket of the tree and one of a stranger, by turns: (socket, destination)."""
    for _ in range(2):
        expect_equal(free[0].echoes(3, free[1]), 3, f"{what}: answers to the stranger")
        expect_equal(tree[0].echoes(1, tree[1]), 0, f"{what}: answers to the tree")
    tree[0].close()
    free[0].close()


@scenario("I1", "O5", families=None, session="own")
def program_blocks_quic_by_socket(t):
    """Family, address and process decide, never the port alone; also when the port has passed to another."""
    stranger = t.world.get("bystander")
    run = Run(t, "--udp", "pass", "--block-quic")
    tree = run.probe.wait_ready()
    mapped = "::ffff:" + QUIC[4]
    with datagram_echo(t, port=443):
        port = t.free_port()
        for mine, its, to, its_to in (("10.77.0.1", "fd77::1", QUIC[4], QUIC[6]), ("fd77::1", "10.77.0.1", QUIC[6], QUIC[4]),
                                      ("fd77::1", "fd77::11", QUIC[6], QUIC[6]), ("0.0.0.0", "::", QUIC[4], QUIC[6]),
                                      ("::", "0.0.0.0", QUIC[6], QUIC[4])):
            blocked_and_free((DatagramSocket(tree, f"{mine}/{port}"), to),
                             (DatagramSocket(stranger, f"{its}/{port}"), its_to), f"{mine} and {its} with one port")
        blocked_and_free((DatagramSocket(tree, f"::/{port}", dual=1), mapped),
                         (DatagramSocket(stranger, f"::/{port + 1}", dual=1), mapped), "IPv4 from dual-stack sockets")
        blocked_and_free((DatagramSocket(tree, f"10.77.0.1/{port}", to=QUIC[4]), None),
                         (DatagramSocket(stranger, f"fd77::1/{port}", to=QUIC[6]), None), "connected sockets")
        for _ in range(3):
            for actor, answers in ((tree, 0), (stranger, 3)):
                socket = DatagramSocket(actor, f"10.77.0.1/{port}")
                expect_equal(socket.echoes(3, QUIC[4]), answers, f"a port that changes hands: answers to {actor.name}")
                socket.close()
        shared = [DatagramSocket(actor, f"0.0.0.0/{port}", reuse=1) for actor in (stranger, tree)]
        expect_equal(shared[1].echoes(3, QUIC[4]), 3, "answers at a port that a stranger shares")
        for socket in shared:
            socket.close()
    run.end()
    expect("3 datagrams to port 443 passed, because it was not certain" in run.said(), "it does not say what passed", run.said())


@scenario("I1", families=None, session="own")
def program_blocks_quic_of_sockets_that_were_there(t):
    """No event told of them: they are found in the table."""
    root, stranger = t.world.get("root"), t.world.get("bystander")
    port = t.free_port()
    mine, its = DatagramSocket(root, f"10.77.0.1/{port}"), DatagramSocket(stranger, f"fd77::1/{port}")
    with datagram_echo(t, port=443):
        expect_equal((mine.echoes(1, QUIC[4]), its.echoes(1, QUIC[6])), (1, 1), "answers before")
        run = Run(t, "--pid", str(root.pid), "--udp", "pass", "--block-quic", root=root)
        wait_until(lambda: "redirecting" in run.said(), "the redirector")
        blocked_and_free((mine, QUIC[4]), (its, QUIC[6]), "sockets that were there")
    run.process.terminate()
    run.process.wait(20)
    t.world.drop()


@scenario("S1", families=None, session="own")
def doctor_proves_that_this_machine_redirects(t):
    """All four ways, and datagrams over loopback, with a route for each family. It says what the documents show."""
    for family, gateway in (("-4", "10.77.0.2"), ("-6", "fd77::2")):
        on_host("client", "ip", family, "route", "replace", "default", "via", gateway)
    try:
        status, out, err = ask(t, "doctor")
    finally:
        for family in ("-4", "-6"):
            on_host("client", "ip", family, "route", "delete", "default")
    with open(os.path.join(ROOT, "docs", "captures", "doctor.txt"), encoding="utf-8") as capture:
        shown, said = ([line for line in text.splitlines() if " led here" in line or "This machine" in line]
                       for text in (capture.read(), out))
    expect_equal((len(shown), status, err), (7, 0, ""), f"lines that are compared, status and errors of {out}")
    expect_equal(said, shown, "the proofs")
    wait_until(lambda: t.lab.handles() == [], "driver handles closed afterwards")


@scenario("S1", families=None, session="own")
def doctor_reports_the_steps_of_its_proof(t):
    """With the genuine driver: every step, another user of WinDivert, the library's log; and no address of this network."""
    other = Run(t)
    other.probe.wait_ready()
    path = os.path.join(t.lab.stage, "report")
    try:
        status, out, err = ask(t, "doctor", "--report", windows_path(path + ".json"))
    finally:
        other.end()
    expect_equal(status, 0, f"status; {out} {err}")
    with open(path + ".json", encoding="utf-8") as file:
        text = file.read()
    report = schema.parse_report(text)
    expect("10.77.0." not in text and "fd77::" not in text, "the report has an address of the lab", text)
    steps = [row["step"] for row in report["steps"] if row["attempt"] == "IPv4 over loopback"]
    expect_equal(steps, ["listening", "program started", "redirector started", "connection arrived",
                         "destination known", "answer reached the program", "datagram and its answer", "redirector freed"], "steps")
    expect(all(row["state"] == "ok" for row in report["steps"]), "a step failed", report["steps"])
    expect(report["users"] and all(row["program"].endswith("redirector.exe") for row in report["users"]), "users",
           report["users"])
    expect(any("redirected" in row["line"] for row in report["log"]), "the log has no connection", report["log"])
    expect_equal({row["name"]: bool(row.get("bytes")) for row in report["files"]},
                 {"WinDivert.dll": True, "WinDivert64.sys": True}, "files")
    for ending in (".json", ".txt"):
        os.remove(path + ending)


@scenario("O1", families=None, session="own")
def first_run_script_does_what_it_can_here(t):
    """The script of the package for the first real machine: what needs nothing of Windows but cmd, with a fetcher of ours
    in place of curl. It leaves out what is not there, and a step that goes wrong is told."""
    fetcher = os.path.join(t.lab.stage, "winsock_fetch.exe")
    subprocess.run(["x86_64-w64-mingw32-gcc", "-std=c11", "-O2", "-D_WIN32_WINNT=0x0A00", "-static", "-o", fetcher,
                    os.path.join(ROOT, "demo", "winsock_fetch.c"), "-lws2_32", "-lbcrypt"], check=True, timeout=120)
    shutil.copy(os.path.join(ROOT, "packaging", "first_run.cmd"), t.lab.stage)
    page = os.path.join(t.lab.folder, "page")
    with open(page, "wb") as file:
        file.write(b"page" * 1000)

    def run(url, steps=""):
        """Exit status, and the words that each step's line begins with."""
        out = os.path.join(t.lab.folder, "first_run.out")
        command = f"set FETCH=winsock_fetch.exe first first.records 1& set URL={url}& first_run.cmd {steps}"
        status = wine("cmd", "/c", command, out=out, err=out, limit=240)
        with open(out, encoding="utf-8", errors="replace") as text:
            lines = text.read().split("\n")
        words = [line.replace(":", "").split()[:2] for line in lines if line.split(" ")[0] in ("ok", "FAIL", "skip")]
        return status, {name: what for what, name in words}, lines
    skipped = dict.fromkeys(("bash", "node", "browser", "iis"), "skip")
    with Daemon(t, "server", 80, "python3", os.path.join(ROOT, "packaging", "e2e.py"), "serve", "80", page):
        status, steps, lines = run("http://10.77.0.2/page")
    expect_equal((status, steps), (0, {**skipped, **dict.fromkeys(
        ("version", "doctor", "direct", "run", "tree", "two", "beside", "report"), "ok")}), f"steps; {lines}")
    with open(os.path.join(t.lab.stage, "first-run", "report.json"), encoding="utf-8") as file:
        schema.parse_report(file.read())
    status, steps, lines = run("http://10.77.0.2:81/nothing", "direct run")
    expect_equal((status, steps), (1, {"direct": "FAIL", "run": "FAIL"}), lines)
    shutil.rmtree(os.path.join(t.lab.stage, "first-run"))


@scenario("S1", families=None, session="own")
def doctor_finds_and_removes_what_a_crash_left(t):
    t.lab.program_to_end("sc.exe", "stop", "WinDivert")
    t.lab.remove_driver_service()
    expect_equal(t.lab.program_to_end("sc.exe", "create", "WinDivert", "binPath=", "C:\\gone\\WinDivert64.sys", "type=",
                                             "kernel"), 0, "an entry that points nowhere")
    findings = [schema.parse(line) for line in ask(t, "doctor", "--json")[1].splitlines()]
    found = next(line for line in findings if line["what"] == "WinDivert service")
    expect_equal((found["state"], found["detail"]), ("wrong", "C:\\gone\\WinDivert64.sys"), "what it finds")
    expect("--clean" in found["advice"], "it does not say what to do", found)
    findings = [schema.parse(line) for line in ask(t, "doctor", "--clean", "--json")[1].splitlines()]
    states = {line["what"]: line["state"] for line in findings}
    expect_equal((states["clean"], states["WinDivert service"], states["IPv4 over loopback"]), ("ok", "ok", "ok"),
                 "after it")
