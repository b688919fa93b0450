# SPDX-License-Identifier: LGPL-3.0-or-later
"""Against the bare loop: bulk, new connections a second, time to connect; and bulk with 1 % loss.

Both sides of a pair are the same two programs, the tree's and the agent's, over the same path: loopback of the client
host, 1500 bytes a packet. With the bare loop the program connects to the agent's port itself, and the loop takes both
legs of that connection; redirected, it connects to another machine's address, which nobody needs to have, since the
agent answers itself. So each packet of both goes through the driver once, and what differs is what is measured.
"""
import contextlib
import itertools
import time

from figures import Figure, median, say
from scene import CLIENT, LOOPBACK, SERVER
from lab import expect_equal

MEGABYTE = 1 << 20
NOWHERE = f"{SERVER}/9"  # where the tree's program thinks it connects to


def seconds_of_bulk(near, far, n, upload):
    sender, receiver = (near, far) if upload else (far, near)
    began = time.monotonic()
    receiving = receiver.begin("receive", seed=1, n=n)
    sending = sender.begin("send", seed=1, n=n)
    receiving.result(600)
    took = time.monotonic() - began
    sending.result(60)
    return took


def transfer(scene, client, to, listener, n, upload):
    """(bytes a second, packets that the driver took)"""
    accepting = scene.agent.begin_accept(listener)
    near = client.connect(to)
    far = accepting.finish()
    before = scene.counters()["diverted"]
    took = seconds_of_bulk(near, far, n, upload)
    packets = scene.counters()["diverted"] - before
    for end in (near, far):
        end.reset()
    return n / took, packets


def pairs(count, first, second):
    """[(first(), second())], in turns as to which goes first, so that a drift of the machine cancels out."""
    results = []
    for i in range(count):
        one, other = (first, second) if i % 2 == 0 else (second, first)
        a, b = one(), other()
        results.append((a, b) if i % 2 == 0 else (b, a))
    return results


def outgoing_bulk(scene, n, count, upload, loopback=contextlib.nullcontext):
    """`loopback`: what the bare loop finds there; the redirected one has it as it is."""
    port = scene.free_port()
    listener = scene.agent.listen(f"{LOOPBACK}/{port}")

    def bare():
        with loopback(), scene.bare(port):
            return transfer(scene, scene.tree, f"{LOOPBACK}/{port}", listener, n, upload)

    def redirected():
        with scene.redirected(port):
            return transfer(scene, scene.tree, NOWHERE, listener, n, upload)
    return pairs(count, bare, redirected)


def large_figures(scene, n, rounds, details):
    """O6: segments as loopback carries them."""
    figures = []
    for upload, target in ((False, 8), (True, 1.5)):
        way = "up" if upload else "down"
        say(f"lab: bulk {way} in large segments, {rounds} pairs of {n // MEGABYTE} MiB")
        results = details[f"large_{way}"] = outgoing_bulk(scene, n, rounds, upload, scene.small_loopback)
        figures.append(median(f"lab.bulk_{way}_over_bare", [r[0] / b[0] for b, r in results], "times", ">=", target,
                              f"bulk {way}, redirected, against the bare loop at 1500 bytes a packet"))
        figures.append(median(f"lab.packets_per_mb_{way}", [r[1] / n * 1e6 for _, r in results], "packets",
                              *(() if upload else ("<=", 40)), note=f"bulk {way}, redirected, acknowledgements included"))
    say(f"lab: the same against the bare loop in packets as large, {rounds} pairs")
    results = details["as_large"] = outgoing_bulk(scene, n, rounds, False)
    figures.append(median("lab.bulk_down_over_large", [r[0] / b[0] for b, r in results], "times", ">=", 0.9,
                          "bulk down, redirected, against the bare loop in packets of loopback's own size: the most to be had"))
    return figures


def incoming_bulk(scene, n, count, upload):
    """From another machine, over the wire: there loss can be had. upload: towards the client host."""
    far_away = scene.native("server")
    port, target = scene.free_port(), scene.free_port()
    listener = scene.agent.listen(f"0.0.0.0/{port}")
    scene.tree.listen(f"{CLIENT}/{target}")

    def bare():
        with scene.bare(port, direction=None):
            return transfer(scene, far_away, f"{CLIENT}/{port}", listener, n, upload)

    def redirected():
        with scene.redirected(0, incoming=port):
            return transfer(scene, far_away, f"{CLIENT}/{target}", listener, n, upload)
    with scene.loss("1"):  # around all of them: the lab's generator of chance begins anew each time
        return pairs(count, bare, redirected)


def connects(scene, count, rounds, workers):
    """Per round: (the plain answer, with the bare loop, redirected) of `connects`, and packets of the latter two."""
    port = scene.answering()
    direct = f"{LOOPBACK}/{port}"

    def run(to):
        before = scene.counters()["diverted"]
        answer = scene.tree.call("connects", limit=120, to=to, count=count, workers=workers)
        expect_equal(answer["failed"], 0, "connections that failed")
        answer["packets"] = scene.counters()["diverted"] - before
        return answer

    def bare():
        with scene.bare(port):
            return run(direct)

    def redirected():
        with scene.redirected(port):
            return run(NOWHERE)
    run(direct)  # everything warm
    made = pairs(rounds, bare, redirected)
    return [(run(direct), *pair) for pair in made]


def bulk_figures(key, results, note):
    """The ratio, and what it is made of."""
    ratios = [redirected[0] / bare[0] for bare, redirected in results]
    speeds = [median(f"{key}_{who}", [pair[i][0] / 1e6 for pair in results], "MB/s", note=f"{note}, {who}")
              for i, who in enumerate(("bare", "redirected"))]
    return [median(key, ratios, "times", ">=", 0.90, f"{note}: redirected against the bare loop"), *speeds]


def measure(scene, quick):
    n, rounds = (8 * MEGABYTE, 7) if quick else (24 * MEGABYTE, 25)
    figures, details = [], {}
    with scene.small_loopback():
        scene.bare_counts.clear()
        for upload in (True, False):
            way = "up" if upload else "down"
            say(f"lab: bulk {way}, {rounds} pairs of {n // MEGABYTE} MiB")
            results = outgoing_bulk(scene, n, rounds, upload)
            details[f"bulk_{way}"] = results
            figures += bulk_figures(f"lab.bulk_ratio_{way}", results, f"bulk {way}")
        per_call = [packets / batches for packets, batches in scene.bare_counts]
        figures.append(median("lab.packets_per_batch", per_call, "packets",
                              note="of the bare loop, in bulk: they share two calls of the driver"))
        count = 120 if quick else 400
        say(f"lab: {rounds} pairs of {count} connections")
        many = connects(scene, count, rounds, 8)
        one = connects(scene, count // 2, rounds, 1)
    figures += large_figures(scene, n, rounds, details)
    for upload in (True, False):
        way = "in" if upload else "out"
        many_rounds = 3 * rounds  # what is lost when decides a transfer's speed more than anything else
        say(f"lab: bulk {way} with 1 % loss, {many_rounds} pairs of {n // 2 // MEGABYTE} MiB")
        results = incoming_bulk(scene, n // 2, many_rounds, upload)
        details[f"loss_{way}"] = results
        figures += bulk_figures(f"lab.loss_ratio_{way}", results, f"bulk {way}, a peer on another machine, 1 % loss")
    details.update(connects_many=many, connects_one=one)
    by_key = {f.key: f for f in figures}
    worse = min((by_key["lab.bulk_ratio_up"], by_key["lab.bulk_ratio_down"]), key=lambda f: f.value)
    figures.insert(0, Figure("lab.bulk_ratio", worse.value, "times", ">=", 0.90, "the worse of both directions",
                             worse.spread))
    figures += connect_figures(many, one)
    return figures, details


def connect_figures(many, one):
    def rate(answer):
        return 1e6 / answer["us"]
    added = [(bare["median_us"] - plain["median_us"], redirected["median_us"] - plain["median_us"])
             for plain, bare, redirected in one]
    figures = [
        median("lab.connect_rate_ratio", [rate(redirected) / rate(bare) for _, bare, redirected in many], "times", ">=",
               0.80, "connections a second, 8 at a time: redirected against the bare loop"),
        median("lab.connect_time_ratio", [redirected / bare for bare, redirected in added], "times", "<=", 1.3,
               "time added to connect(), one at a time: the same")]
    for i, who in enumerate(("plain", "bare", "redirected")):
        figures.append(median(f"lab.connect_us_{who}", [answers[i]["median_us"] for answers in one], "us",
                              note=f"connect(), {'without any handle' if i == 0 else who}"))
    packets = [sum(answers[i]["packets"] for answers in itertools.chain(many)) for i in (1, 2)]
    figures.append(Figure("lab.connect_packets_ratio", packets[1] / packets[0], "times",
                          note="packets through the driver, the same connections: 1 means like with like"))
    return figures
