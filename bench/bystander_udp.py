# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the redirection of UDP costs those who have nothing to do with it: datagrams of iperf3, a native program on the client
host, that reach user mode. Counted by the lab, as for TCP (bystander.py)."""
import contextlib
import json
import os
import signal

from figures import Figure, say
from scene import LOOPBACK, SERVER
from lab import listens, on_host, wait_until

MEGABYTE = 1 << 20
UDP = 17
WAYS = {"download": ["--reverse"], "upload": []}
RATE = "800M"  # bits per second: what the lab's network carries without loss


@contextlib.contextmanager
def iperf3_server(scene):
    port = scene.free_port()
    process = scene.lab.popen("run", "server", "--", "iperf3", "-s", "-p", str(port), start_new_session=True,
                              out=os.path.join(scene.lab.folder, "iperf3.log"))
    try:
        wait_until(lambda: listens("server", port), "iperf3")
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def run(scene, port, way, n):
    """So many bytes; datagrams in all, and those that a handle took."""
    scene.lab.ctl("reset")
    said = json.loads(on_host("client", "iperf3", "-c", SERVER, "-p", str(port), "-u", "-b", RATE, "-n", str(n), "-J",
                              *WAYS[way]))
    taken = sum(flow["diverted"] for flow in scene.lab.flows()
                if flow["protocol"] == UDP and port in (flow["source_port"], flow["destination_port"]))
    total = said["end"]["sum"]
    if total["bytes"] < n:
        raise RuntimeError(f"iperf3 carried {total['bytes']} bytes of {n}")
    return {"packets": total["packets"], "lost": total["lost_packets"], "diverted": taken}


def measure(scene, quick):
    n = (512 if quick else 1024) * MEGABYTE  # what comes until the filter leaves it out does not grow with it
    proxy = scene.free_port()
    scene.agent.call("datagram_proxy", at=f"{LOOPBACK}/{proxy}", mode="hole")
    found = {}
    with iperf3_server(scene) as port, scene.redirected(0, udp=proxy):
        for way in WAYS:
            say(f"bystander: UDP, {way}")
            found[way] = run(scene, port, way, n)
    down, up, size = found["download"], found["upload"], n >> 20
    return [Figure("bystander.udp_download_packets", down["diverted"], "packets", "<=", 100, f"iperf3 -u, {size} MiB down"),
            Figure("bystander.udp_upload_share", up["diverted"] / up["packets"], "of all", "<=", 0.01,
                   f"iperf3 -u, {size} MiB up")], {"bytes": n, "datagrams": found}
