# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the redirector costs those who have nothing to do with it: packets of a bystander that reach user mode.

Counted by the lab: of each flow, packets seen (captured) and taken by a handle (diverted). The bystander is a native
program on the client host, its server is on the other one, at a port that nobody else uses.
"""
import contextlib
import threading

from figures import Figure, say
from scene import CLIENT, SERVER
from lab import expect_equal

MEGABYTE = 1 << 20
SHORTS = 500
MODES = ("outgoing", "incoming", "reflected")
BUSY = ("after", "uploading", "connecting")
REFLECT = 2  # REDIRECTOR_REFLECT


def of_port(scene, port):
    """Of all connections to this port: packets captured, diverted, and diverted of the connection with most."""
    worst, captured = {}, 0
    for flow in scene.lab.flows():
        ends = (flow["source_port"], flow["destination_port"])
        if port in ends:
            near = sum(ends) - port
            worst[near] = worst.get(near, 0) + flow["diverted"]
            captured += flow["captured"]
    return {"captured": captured, "diverted": sum(worst.values()), "worst": max(worst.values()),
            "connections": len(worst)}


def bulk(scene, sizes):
    """Connections at a time, each with so many bytes: up, or if negative down."""
    server, client = scene.native("server"), scene.native("client")
    port = scene.free_port()
    listener = server.listen(f"{SERVER}/{port}")
    running = []
    for seed, size in enumerate(sizes):
        accepting = server.begin_accept(listener)
        near = client.connect(listener.local)
        far = accepting.finish()
        sender, receiver = (near, far) if size > 0 else (far, near)
        running.append((near, far, receiver.begin("receive", seed=seed, n=abs(size)),
                        sender.begin("send", seed=seed, n=abs(size))))
    for near, far, receiving, sending in running:
        sending.result(1200)
        receiving.result(1200)
        near.close()
        far.close()
    listener.close()
    return of_port(scene, port)


def series(scene, n):
    """One connection after another, down and up by turns."""
    each = [bulk(scene, [n // 5 if i % 2 else -n // 5]) for i in range(10)]
    return {key: (max if key == "worst" else sum)(one[key] for one in each) for key in each[0]}


def shorts(scene, _n):
    port = scene.free_port()
    server = scene.native("server").serve(f"{SERVER}/{port}")
    scene.native("client").call("shorts", limit=120, to=server.local, count=SHORTS)
    return of_port(scene, port)


WAYS = {"download": lambda scene, n: bulk(scene, [-n]), "upload": lambda scene, n: bulk(scene, [n]), "short": shorts}
BUSY_WAYS = WAYS | {"series": series, "ten": lambda scene, n: bulk(scene, [n // 10, -n // 10] * 5)}


@contextlib.contextmanager
def connecting(scene):
    """A program of the tree opens connections, a few at a time, all the time."""
    child, end, failed = scene.windows_child("connecting"), threading.Event(), []

    def work():
        while not end.is_set():
            failed.append(child.call("connects", limit=60, to=f"{SERVER}/9", count=20, workers=2)["failed"])
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
        expect_equal(thread.is_alive(), True, "the tree connects")
    finally:
        end.set()
        thread.join()
    expect_equal(sum(failed), 0, f"connections of the tree that failed, of {20 * len(failed)}")


@contextlib.contextmanager
def uploading(scene):
    busy = scene.tree.connect(f"{SERVER}/9")
    sending = busy.begin("send", seed=3, n=1 << 40)
    try:
        yield
        expect_equal(sending.done, False, "the tree's traffic has ended too soon")
    finally:
        busy.reset()
        sending.result(20, may_fail=True)


@contextlib.contextmanager
def tree_traffic(scene, state):
    """What the tree does meanwhile."""
    if state == "idle":
        yield
        return
    scene.tree.call("connects", limit=60, to=f"{SERVER}/9", count=30, workers=4)
    scene.tree.call("hold", to=f"{SERVER}/9", count=20)
    meanwhile = {"after": lambda _: contextlib.nullcontext(), "uploading": uploading, "connecting": connecting}
    try:
        with meanwhile[state](scene):
            yield
    finally:
        scene.tree.call("held_reset")


def measure(scene, quick):
    n = (100 if quick else 1024) * MEGABYTE
    matrix = {}
    scene.windows_child("connecting")  # before the tree has sockets, which the child would have, too
    port = scene.answering(host="0.0.0.0")
    for mode in MODES:
        incoming = mode == "incoming"
        listening = scene.tree.listen(f"{CLIENT}/{scene.free_port()}") if incoming else None
        flags = REFLECT if mode == "reflected" else 0
        with scene.redirected(port, incoming=port if incoming else 0, flags=flags):
            for state in ("idle",) + BUSY:
                for way, run in (WAYS if state == "idle" else BUSY_WAYS).items():
                    say(f"bystander: {mode}, tree {state}, {way}")
                    scene.lab.ctl("reset")
                    with tree_traffic(scene, state):
                        replaced = scene.agent.call("stats")["filter_replacements"]
                        found = run(scene, n)
                        found["replacements"] = scene.agent.call("stats")["filter_replacements"] - replaced
                    matrix[f"{mode}.{state}.{way}"] = found
        if listening:
            listening.close()
    return figures(matrix, n), {"bytes": n, "packets": matrix}


def figures(matrix, n):
    """With a quiet tree all packets count; with one that is busy those of the connection that fares worst."""
    out = []

    def figure(key, way, quiet, value, unit, target, text):
        names = [name for name in matrix if name.endswith("." + way) and (".idle." in name) == quiet]
        name = max(names, key=lambda name: value(matrix[name]))
        out.append(Figure(f"bystander.{key}", value(matrix[name]), unit, "<=", target,
                          f"{text}; worst: {name.rpartition('.')[0]}"))
    size = n >> 20
    figure("download_packets", "download", True, lambda m: m["diverted"], "packets", 100, f"{size} MiB down")
    figure("upload_share", "upload", True, lambda m: m["diverted"] / m["captured"], "of all", 0.01, f"{size} MiB up")
    figure("short_packets_per_connection", "short", True, lambda m: m["diverted"] / m["connections"], "packets", 1,
           f"{SHORTS} short connections")
    for way, text in (("download", f"{size} MiB down"), ("upload", f"{size} MiB up, after that"),
                      ("short", f"{SHORTS} short connections"),
                      ("series", f"ten connections in turn, {size // 5} MiB down and up by turns"),
                      ("ten", f"ten connections at a time, {size // 10} MiB each, down and up")):
        figure(f"{way}_packets_busy", way, False, lambda m: m["worst"], "packets", 500,
               f"{text}: of the connection with most, the tree busy")
    return out
