# SPDX-License-Identifier: LGPL-3.0-or-later
"""redirector.exe relays the datagrams of a program: directly, and through a real SOCKS5 proxy."""
import json
import os
import subprocess
import sys

from harness import scenario
from lab import ROOT, expect_equal, wine
from scenarios.outgoing import exchange
from scenarios.program import Daemon, DatagramSocket, Run, ask, build_child, datagram_echo

sys.path.append(os.path.join(ROOT, "tests", "cli"))
import schema  # noqa: E402

SERVERS = {4: "10.77.0.2/7", 6: "fd77::2/7"}
REFUSED = ("10054", "10061")  # Windows; Wine
OWN = {4: "10.77.0.1", 6: "fd77::1"}


def peers(t):
    """Whom the server of datagram_echo() has seen: (address, port)."""
    with open(os.path.join(t.lab.folder, "python3.log"), encoding="ascii") as log:
        return [tuple(line.split()) for line in log]


def told(connections):
    return sorted((c["destination"], c["port"], c["bytes_up"], c["bytes_down"], c["outcome"])
                  for c in connections if c["protocol"] == "udp")


@scenario("U1", "S2", families=None, session="own")
def program_relays_datagrams(t):
    """Both families, connected sockets and others; the server sees the relay, and not the program's socket."""
    sockets = []
    with datagram_echo(t):
        run = Run(t, "--pcap", "datagrams.pcapng")
        probe = run.probe.wait_ready()
        for family, server in SERVERS.items():
            connected, free = (DatagramSocket(probe, f"{OWN[family]}/{t.free_port()}", **more)
                               for more in ({"to": server}, {}))
            expect_equal((connected.echoes(3), free.echoes(3, server)), (3, 3), f"answers by IPv{family}")
            sockets += [connected, free]
        flows = [schema.parse(line) for line in ask(t, "flows", "--json")[1].splitlines()]
        expect_equal([(f["protocol"], f["port"], f["bytes_down"]) for f in flows], [("udp", 7, 3)] * 4, "flows")
        for socket in sockets:
            socket.close()
        connections = run.connections()
    expect_equal(told(connections), sorted((address.split("/")[0], 7, 3, 3, "closed") for address in
                                           SERVERS.values() for _ in range(2)), "flows")
    path = os.path.join(t.lab.stage, "datagrams.pcapng")
    fields = ["frame.comment", "udp.srcport", "udp.dstport", "udp.length"]
    done = subprocess.run(["tshark", "-r", path, "-Y", "udp", "-T", "json", *[w for f in fields for w in ("-e", f)]],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True)
    packets = [{k: v[0] for k, v in p["_source"]["layers"].items()} for p in json.loads(done.stdout)]
    expect_equal({p["frame.comment"] for p in packets}, {f"probe.exe ({probe.pid})"}, "processes of the packets")
    expect_equal((sum(p["udp.dstport"] == "7" for p in packets), sum(p["udp.srcport"] == "7" for p in packets)), (12, 12),
                 "packets there and back")


@scenario("U1", "I3", families=None, session="own")
def program_leads_datagrams_to_a_proxy_of_the_users_own(t):
    """One that answers all itself, and sends nothing on. Each socket and destination comes from a port of its own; TCP goes
    through the relay meanwhile."""
    port, server = t.free_port(), t.echo(host="10.77.0.2")
    with datagram_echo(t, "client", ("127.0.0.1", "::1"), port):
        run = Run(t, "--udp-proxy-port", str(port))
        probe = run.probe.wait_ready()
        sockets = [DatagramSocket(probe, f"{address}/{t.free_port()}") for address in OWN.values()]
        for socket, destination in zip(sockets, SERVERS.values()):
            host = destination.split("/")[0]
            expect_equal([socket.echoes(2, f"{host}/{number}") for number in (7, 8)], [2, 2], f"answers of {host}")
        exchange(probe.connect(server.local), 100)
        seen = peers(t)
        for socket in sockets:
            socket.close()
        connections = run.connections()
    expect_equal(([peer[0] for peer in seen], len(set(seen))), (4 * ["127.0.0.1"] + 4 * ["::1"], 4), "who came to the proxy")
    expect_equal(sorted((c["pid"], c["destination"], c["port"], c["bytes_up"], c["bytes_down"]) for c in connections
                        if c["protocol"] == "udp"),
                 sorted((probe.pid, address.split("/")[0], number, 2, 2) for address in SERVERS.values() for number in (7, 8)),
                 "flows")
    expect_equal([c["bytes_up"] for c in connections if c["protocol"] == "tcp"], [100], "connections")


@scenario("U1", families=None, session="own")
def program_relays_datagrams_through_a_socks_proxy(t):
    """The genuine dante-server, with a login, which does UDP ASSOCIATE."""
    path = os.path.join(t.lab.folder, "danted.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write("logoutput: stderr\ninternal: 10.77.0.2 port = 1080\nexternal: 10.77.0.2\nclientmethod: none\n"
                   "socksmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n"
                   "client pass { from: 0/0 to: 0/0 }\n"
                   "socks pass { from: 0/0 to: 0/0 command: bind connect udpassociate }\n"
                   "socks pass { from: 0/0 to: 0/0 command: bindreply udpreply }\n")
    with datagram_echo(t), Daemon(t, "server", 1080, "danted", "-f", path):
        run = Run(t, "--upstream", "socks5://10.77.0.2:1080")
        probe = run.probe.wait_ready()
        socket = DatagramSocket(probe, f"{OWN[4]}/{t.free_port()}")
        expect_equal(socket.echoes(3, SERVERS[4]), 3, "answers")
        socket.close()
        flows = [c for c in run.connections() if c["protocol"] == "udp"]
    expect_equal([(c["upstream"], c["bytes_up"], c["bytes_down"]) for c in flows], [("socks5://10.77.0.2:1080", 3, 3)],
                 "flows")
    expect_equal({peer[0] for peer in peers(t)}, {"10.77.0.2"}, "the server has seen")


@scenario("U4", families=None, session="own")
def program_learns_that_nobody_receives_its_datagrams(t):
    """As without a relay: the receive of a connected socket fails."""
    program = build_child(t, "refused.exe")
    for words in ((), ("--udp", "block")):
        out = os.path.join(t.lab.folder, "refused.out")
        status = wine("redirector.exe", "run", *words, "--", "refused.exe", "refused", "10.77.0.2", "9", out=out,
                      err=os.devnull)
        with open(out, encoding="utf-8") as text:
            expect_equal((status, text.read().strip() in REFUSED), (0, True), f"what the program learns with {words}")
    os.remove(program)
