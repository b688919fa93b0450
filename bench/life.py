# SPDX-License-Identifier: LGPL-3.0-or-later
"""Start, stop, memory, sizes, and ten thousand connections at a time."""
import collections
import os

from figures import ROOT, Figure, median, say
from scene import LOOPBACK, SERVER
from lab import expect_equal, linux_pid, on_host, resident_kb, wait_until

BINARIES = os.path.join(ROOT, "build", "mingw-release")
NO_PROOF = 256  # REDIRECTOR_NO_PROOF
PER_PROCESS = 1250  # connections of one Windows program


def sizes():
    def size(name):
        return os.path.getsize(os.path.join(BINARIES, name))
    return [Figure("size.archive", size("libwindows_redirector.a"), "bytes", "<", 350_000, "libwindows_redirector.a"),
            Figure("size.dll", size("windows_redirector.dll"), "bytes", "<", 200_000, "windows_redirector.dll")], None


def start_and_stop(scene, quick):
    """Each time by turns with a bare WinDivertOpen: cold, when Windows has to load the driver first, as for the first
    program that uses it since the machine was started; and warm, when it is loaded."""
    say("start and stop")
    port = scene.answering()

    def opened():
        return scene.agent.call("time_open", limit=60)["open_us"]

    def started(flags=NO_PROOF):
        return scene.agent.call("time_start", limit=60, client=scene.tree.pid, proxy=port, flags=flags)

    def cold(what):
        scene.lab.program_to_end("sc.exe", "stop", "WinDivert")
        return what()
    opened()
    colds = [(cold(opened), cold(started)["start_us"]) for _ in range(5 if quick else 15)]
    warms = [(opened(), started(), started(flags=0)) for _ in range(15 if quick else 50)]
    times = {"cold": colds, "warm": warms}
    return [median("time.start_ratio", [start / bare for bare, start in colds], "times", "<", 1.5,
                   "start without its proof against a bare WinDivertOpen, both with the driver not yet loaded"),
            median("time.start_cold_ms", [start / 1000 for _, start in colds], "ms", note="start, the same"),
            median("time.open_cold_ms", [bare / 1000 for bare, _ in colds], "ms", note="WinDivertOpen, the same"),
            median("time.start_warm_ratio", [warm["start_us"] / bare for bare, warm, _ in warms], "times", "<=", 8,
                   "start without its proof against a bare WinDivertOpen, driver loaded"),
            median("time.start_warm_ms", [warm["start_us"] / 1000 for _, warm, _ in warms], "ms",
                   note="start without its proof, driver loaded"),
            median("time.start_proof_ms", [(proven["start_us"] - warm["start_us"]) / 1000 for _, warm, proven in warms],
                   "ms", "<", 50, "what the proof adds to a start, both families"),
            median("time.open_warm_ms", [bare / 1000 for bare, _, _ in warms], "ms",
                   note="WinDivertOpen, driver loaded"),
            median("time.stop_ms", [proven["stop_us"] / 1000 for _, _, proven in warms], "ms", "<", 50,
                   "stop, idle")], times


def memory(scene, quick):
    """The agent's, while connections come and go one after another."""
    count = 1500 if quick else 100_000
    say(f"memory: {count} connections in turn")
    port, pid = scene.answering(), linux_pid(scene.agent)

    def run(n):
        answer = scene.tree.call("connects", limit=3600, to=f"{SERVER}/9", count=n, workers=6)
        expect_equal(answer["failed"], 0, "connections that failed")
        wait_until(lambda: scene.agent.call("stats")["flows_live"] == 0, "no flow left", 30)
    # Each leaves its port in TIME_WAIT for a minute: there must be enough of them.
    on_host("client", "sysctl", "-qw", "net.ipv4.ip_local_port_range=10000 65000", "net.ipv4.tcp_tw_reuse=1")
    with scene.redirected(port):
        run(count // 3 if quick else 60_000)  # each source port has been used
        heap, resident = scene.agent.call("memory")["bytes"], resident_kb(pid)
        run(count)
        heap, resident = scene.agent.call("memory")["bytes"] - heap, resident_kb(pid) - resident
    settled = () if quick else ("<=", 512)  # a short run touches memory of ports and flows for the first time
    return [Figure("memory.heap_growth", heap, "bytes", "<=", 4096, f"the agent's heaps, over {count} connections"),
            Figure("memory.resident_growth_kb", resident, "KiB", *settled, note="the agent's resident memory, the same")], None


def table_stall(scene, quick):
    """How much longer a packet of a running flow waits for the engine's thread, at most, while the TCP table with
    50 000 rows is read time and again than, by turns, with those rows that there are."""
    rows, turns = 50_000, 5 if quick else 15
    say(f"table: {rows} rows")
    port, target, proxy = scene.free_port(), f"{SERVER}/{scene.free_port()}", scene.native("client")
    proxy.call("echo", at=f"{LOOPBACK}/{port}")
    longest = {0: [], rows: []}
    for more in [0, rows] * turns:
        scene.lab.order("table", str(more))
        with scene.redirected(port, scan_interval_ms=100):
            held = scene.tree.call("hold", to=target, count=1)["count"]
            right = sum(scene.tree.call("held_exchange", n=2000)["right"] for _ in range(100))
            expect_equal((held, right), (1, 100), "exchanges")
            longest[more].append(scene.agent.call("stats")["queue_delay_max_us"] / 1000)
            scene.tree.call("held_reset", limit=120)
    scene.lab.order("table", "0")
    added = [many - few for few, many in zip(longest[0], longest[rows])]
    return [median("scale.table_stall_ms", added, "ms", "<=", 2,
                   f"what {rows} rows in the TCP table add to the longest wait of a packet"),
            median("scale.table_wait_ms", longest[rows], "ms", note="the longest wait with so many rows"),
            median("scale.table_none_ms", longest[0], "ms", note="the same with the lab's own few rows")], longest


def scale(scene, quick):
    """Connections to 30 destinations, opened by several programs of the tree, all open at a time. The proxy is a native
    program; its peers' ports, what the programs say of theirs, and what the library tells of each must agree."""
    count = 500 if quick else 10_000
    say(f"scale: {count} connections at a time")
    processes = max(2, count // PER_PROCESS)
    each = count // processes
    port = scene.free_port()
    targets = [f"{SERVER}/{scene.free_port()}" for _ in range(30)]
    proxy = scene.native("client")
    proxy.call("echo", at=f"{LOOPBACK}/{port}")
    with scene.redirected(port):
        programs = [scene.lab.spawn(scene.tree, scene.lab.prepare(f"crowd-{i}"), "bench.exe") for i in range(processes)]
        asked = []
        for program, answer in [(p, p.begin("hold", to=",".join(targets), count=each)) for p in programs]:
            asked += [(targets[target], program.pid, own) for own, target in answer.result(1200)["held"]]
        wait_until(lambda: proxy.call("echoed")["open"] == count, f"{count} connections at the proxy", 60)
        told = [(to, pid, own) for own, to, pid in scene.agent.call("destinations", limit=60)["destinations"]]
        expect_equal(sorted(own for _, _, own in told), sorted(proxy.call("echoed")["peers"]),
                     "source ports that the library knows and that the proxy has seen")
        # Where two programs have the same source port, one of them is seen under another (O3).
        same = set(told) & set(asked)
        others = [collections.Counter((to, pid) for to, pid, own in all_of if (to, pid, own) not in same)
                  for all_of in (told, asked)]
        right = len(same) + (others[0] & others[1]).total()
        exchanged = sum(answer.result(1200)["right"] for answer in [p.begin("held_exchange", n=2000) for p in programs])
        live = scene.agent.call("stats")["flows_live"]
        for program in programs:
            program.call("held_reset", limit=120)
            program.call("exit")
            program.alive = lambda: False
    lost = {name: n for name, n in scene.lab.losses().items() if n}
    details = {"opened": len(asked), "live": live, "other_source_ports": len(asked) - len(same),
               "destinations_right": right, "exchanged_right": exchanged, "lost": lost}
    return [Figure("scale.connections", len(asked), "", ">=", count, "redirected, open at a time"),
            Figure("scale.correct", min(right, exchanged, live), "", ">=", count,
                   "of them: destination and process right, every byte right")], details
