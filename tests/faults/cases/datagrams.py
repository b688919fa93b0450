# SPDX-License-Identifier: LGPL-3.0-or-later
"""S3, U1: the handles of UDP, while nothing of TCP is captured: whatever befalls the network layer befalls them."""
from lab import ANY, expect, expect_equal
from matrix import case
from scene import fault


def server_of(t):
    return t.server.call("serve_datagrams", id=t.server.new_id(), at="10.77.0.2/0")["local"]


def answers(t, server, n=1):
    """Of n datagrams of the tree, each from a socket of its own."""
    return sum(t.root.datagrams(f"{ANY[4]}/0", patience_ms=2000).ask(server)["came"] for _ in range(n))


@case("UDP: Recv fails with 1450, a few times", quick=True)
def receive_fails(t):
    server = server_of(t)
    with t.redirected(udp=True, proxy=0) as session:
        for layer in ("network", "socket"):
            with fault(t, f"recv 1450 3 on {layer}"):
                expect_equal(answers(t, server, 6), 6, "answers")
        expect(session.stats()["receive_errors"] >= 6, "not counted", session.stats()["receive_errors"])
        expect_equal(len(session.led(server)), 12, "peers of the proxy")
    return "nothing but the count receive_errors"

