# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the redirector costs those who have nothing to do with it: packets of a bystander that reach user mode.

Counted by the lab: of each flow, packets seen (captured) and taken by a handle (diverted). The bystander is a native
program on the client host, its server is on the other one, at a port that nobody else uses.
"""
import contextlib

from figures import Figure, say
from scene import CLIENT, SERVER
from lab import expect_equal

MEGABYTE = 1 << 20
SHORTS = 500
STATES = ("idle", "after", "during")


def of_port(scene, port):
    """(captured, diverted) of all flows from or to this port."""
    flows = [f for f in scene.lab.flows() if port in (f["source_port"], f["destination_port"])]
    return sum(f["captured"] for f in flows), sum(f["diverted"] for f in flows)


def bulk(scene, n, upload):
    server, client = scene.native("server"), scene.native("client")
    port = scene.free_port()
    listener = server.listen(f"{SERVER}/{port}")
    accepting = server.begin_accept(listener)
    near = client.connect(listener.local)
    far = accepting.finish()
    sender, receiver = (near, far) if upload else (far, near)
    receiving = receiver.begin("receive", seed=2, n=n)
    sender.begin("send", seed=2, n=n).result(1200)
    receiving.result(1200)
    near.close()
    far.close()
    listener.close()
    return of_port(scene, port)


def shorts(scene, _n):
    port = scene.free_port()
    server = scene.native("server").serve(f"{SERVER}/{port}")
    scene.native("client").call("shorts", limit=120, to=server.local, count=SHORTS)
    return of_port(scene, port)


WAYS = {"download": lambda scene, n: bulk(scene, n, False), "upload": lambda scene, n: bulk(scene, n, True),
        "short": shorts}


@contextlib.contextmanager
def tree_traffic(scene, state):
    """What the tree does meanwhile."""
    if state == "idle":
        yield
        return
    scene.tree.call("connects", limit=60, to=f"{SERVER}/9", count=30, workers=4)
    scene.tree.call("hold", to=f"{SERVER}/9", count=20)
    busy = scene.tree.connect(f"{SERVER}/9") if state == "during" else None
    sending = busy.begin("send", seed=3, n=1 << 40) if busy else None
    try:
        yield
        if sending:
            expect_equal(sending.done, False, "the tree's traffic has ended too soon")
    finally:
        if busy:
            busy.reset()
            sending.result(20, may_fail=True)
        scene.tree.call("held_reset")


def measure(scene, quick):
    n = (100 if quick else 1024) * MEGABYTE
    matrix = {}
    port = scene.answering(host="0.0.0.0")
    for incoming in (False, True):
        listening = scene.tree.listen(f"{CLIENT}/{scene.free_port()}") if incoming else None
        mode = "incoming" if incoming else "outgoing"
        with scene.redirected(port, incoming=port if incoming else 0):
            for state in STATES:
                for way, run in WAYS.items():
                    say(f"bystander: {mode}, tree {state}, {way}")
                    scene.lab.ctl("reset")
                    with tree_traffic(scene, state):
                        captured, diverted = run(scene, n)
                    matrix[f"{mode}.{state}.{way}"] = {"captured": captured, "diverted": diverted}
        if listening:
            listening.close()
    return figures(matrix, n), {"bytes": n, "packets": matrix}


def figures(matrix, n):
    """The targets are for a tree that is quiet; what strangers pay while it opens connections is told beside them."""
    def worst(way, value, quiet):
        names = [name for name in matrix if name.endswith(way) and (".idle." in name) == quiet]
        name = max(names, key=lambda name: value(matrix[name]))
        return value(matrix[name]), f"worst: {name.rpartition('.')[0]}"

    def packets(m):
        return m["diverted"]

    def share(m):
        return m["diverted"] / m["captured"]

    def per_connection(m):
        return m["diverted"] / SHORTS
    out = []
    for key, way, value, unit, target, text in (
            ("download_packets", "download", packets, "packets", 100, f"{n >> 20} MiB down"),
            ("upload_share", "upload", share, "of all", 0.01, f"{n >> 20} MiB up"),
            ("short_packets_per_connection", "short", per_connection, "packets", 1, f"{SHORTS} short connections")):
        for suffix, quiet, goal in (("", True, target), ("_busy", False, None)):
            number, where = worst(way, value, quiet)
            out.append(Figure(f"bystander.{key}{suffix}", number, unit, "<=" if goal else "", goal or 0,
                              f"{text}; {where}"))
    return out
