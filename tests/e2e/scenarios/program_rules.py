# SPDX-License-Identifier: LGPL-3.0-or-later
"""R1 to R3: redirector.exe with a file of rules, which changes while the program runs; real proxies and real clients."""
import os

from harness import scenario
from lab import expect, expect_equal, port_of, wait_until, windows_path
from scenarios.decisions import REFUSED, refusal
from scenarios.outgoing import exchange
from scenarios.program import BYTES, Daemon, Run, ask, schema
from scenarios.udp_real import Tree
from servers import servers

SERVERS = {4: "10.77.0.2", 6: "fd77::2"}


def write(t, *lines):
    """The file of rules, replaced at once."""
    path = os.path.join(t.lab.folder, "rules.txt")
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.rename(path + ".new", path)
    return windows_path(path)


def hosts_file(t, text):
    """Replaces the one of Windows in this lab."""
    path = os.path.join(t.lab.state, "prefix", "drive_c", "windows", "system32", "drivers", "etc", "hosts")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.remove(path)  # it may be the same file as in other prefixes
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def goes_directly(t, run, server):
    """A connection of the program; whether the server saw the program itself."""
    connection = run.probe.connect(server.local)
    exchange(connection, BYTES)
    direct = t.server.visitors(server)[-1]["peer"] == connection.local
    connection.close()
    return direct


@scenario("R1", "R2", "R3", families=None, session="own")
def program_follows_a_file_of_rules(t):
    """By network, port and name: one passes, one is blocked, one is redirected; then the file says the contrary. A
    connection that is open stays as it is; a broken file changes nothing."""
    first, second, third = t.echo(host=SERVERS[4]), t.echo(host=SERVERS[6]), t.echo(host=SERVERS[4])
    hosts_file(t, f"{SERVERS[4]} other.test shop.test\n")
    try:
        run = Run(t, "--rules", write(t, f"pass to *.test port {port_of(first.local)}",
                                      f"block to fd77::/16 port {port_of(second.local)}"))
        run.probe.wait_ready()
        expect(goes_directly(t, run, first), "what passes by its name is redirected")
        expect_equal(refusal(run.probe, second.local), REFUSED, "what is blocked by its network")
        expect_equal(t.server.visitors(second), [], "connections to the server that is blocked")
        expect(not goes_directly(t, run, third), "what no rule names passes")
        verdict = schema.parse(ask(t, "rules", "test", "--json", "probe.exe", f"[{SERVERS[6]}]:{port_of(second.local)}")[1])
        expect_equal((verdict["action"], verdict["rule"]["line"]), ("block", 2), "the verdict")
        lasting = run.probe.connect(third.local)
        exchange(lasting, BYTES)

        write(t, "blok")
        wait_until(lambda: "the former rules stay in force" in run.said(), "that the file is broken")
        expect_equal(refusal(run.probe, second.local), REFUSED, "what is blocked, after a broken file")
        write(t, f"block to shop.test port {port_of(third.local)}", f"pass to {SERVERS[6]}")
        wait_until(lambda: "2 rules are in force now" in run.said(), "the change")
        expect_equal(refusal(run.probe, third.local), REFUSED, "what is blocked by its name now")
        expect(goes_directly(t, run, second), "what passes by its address now is redirected")
        expect(not goes_directly(t, run, first), "what no rule names now passes")
        exchange(lasting, BYTES)
        lasting.close()
        blocked = schema.parse(ask(t, "stats", "--json")[1])["connections_blocked"]
        expect(blocked >= 3, "blocked connections are counted", blocked)
        status, lines = run.end()
        expect_equal((status, [line["text"].rpartition("rules.txt:")[2] for line in lines
                               if line["type"] == "message"][0]),
                     (0, "1:1: 'blok' is none of redirect, pass and block"), "status and first message")
        expect_equal(sorted(line["port"] for line in lines if line["type"] == "connection"),
                     sorted([port_of(third.local)] * 2 + [port_of(first.local)]), "connections of the relay")
    finally:
        hosts_file(t, "")


def microsocks(t):
    return Daemon(t, "server", 1080, "microsocks", "-i", SERVERS[4], "-p", "1080")


def tinyproxy(t):
    path = os.path.join(t.lab.folder, "tinyproxy.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"Port 8888\nListen {SERVERS[4]}\nTimeout 60\nMaxClients 20\nAllow 10.77.0.0/24\n")
    return Daemon(t, "server", 8888, "tinyproxy", "-d", "-c", path)


@scenario("R1", families=None, session="own")
def program_goes_by_the_way_that_its_rule_names(t):
    """Through one real proxy, through one over the other, and through the next where nobody listens at the first; what no
    rule names goes directly."""
    socks, over, nobody = f"socks5://{SERVERS[4]}:1080", f"http://{SERVERS[4]}:8888", f"http://{SERVERS[4]}:{t.free_port()}"
    servers_ = [t.echo(host=SERVERS[4]) for _ in range(4)]
    ways = [socks, f"{socks} over {over}", f"{nobody}, {socks}"]
    rules = [f"redirect to {SERVERS[4]} port {port_of(server.local)} through {way}" for server, way in zip(servers_, ways)]
    with microsocks(t), tinyproxy(t):
        run = Run(t, "--rules", write(t, *rules))
        run.probe.wait_ready()
        for server in servers_:
            expect(not goes_directly(t, run, server), "a connection that does not come from the relay, or its proxy")
        expect(f"the way through {nobody} does not work" in run.said(), "it does not say that nobody listens", run.said())
        connections = {c["port"]: c["upstream"] for c in run.connections()}
    expect_equal([connections[port_of(server.local)] for server in servers_],
                 [socks, f"{socks} over {over}", socks, None], "ways")


@scenario("R1", "R2", families=None, session="own")
def program_judges_by_the_name_that_a_client_says(t):
    """HTTP/2 over TLS by its server's name through a proxy, QUIC by its name blocked, HTTP by none directly, a protocol
    without names as well; then the first is blocked, too."""
    socks = f"socks5://{SERVERS[4]}:1080"
    with microsocks(t):
        tree = Tree(t, "--rules", write(t, f"redirect to web.lab.test through {socks}", "block to *.lab.test udp"))
        for exchange_, server in (("http2", "https"), ("http", "http"), ("redis", "redis")):
            tree.exchange(exchange_, server, 4)
        _, quic = tree.fails("quic", "quic", 4)
        write(t, "block to *.lab.test")
        wait_until(lambda: "1 rule is in force now" in tree.run.said(), "the change")
        _, web = tree.fails("http2", "https", 4)
        flows, connections = tree.end()
    port = servers(t).port
    said = {(c["port"], c["host"], c["upstream"], c["outcome"]) for c in connections if c["pid"] != web}
    expect_equal(said, {(port("https"), "web.lab.test", socks, "closed"), (port("redis"), None, None, "closed"),
                        (port("http"), f"{SERVERS[4]}:{port('http')}", None, "closed")}, "connections")
    expect_equal({(c["port"], c["host"], c["outcome"]) for c in connections if c["pid"] == web},
                 {(port("https"), "web.lab.test", "blocked")}, "of the client that is blocked")
    expect_equal({(f["port"], f["host"], f["outcome"]) for f in flows if f["pid"] == quic},
                 {(port("quic"), "quic.lab.test", "blocked")}, "of QUIC")
