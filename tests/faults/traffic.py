# SPDX-License-Identifier: LGPL-3.0-or-later
"""Traffic of the tree while something goes wrong: a connection over the proxy whose every byte is checked."""
from lab import expect, expect_equal, wait_until
from scenarios.outgoing import expect_visit

PIECE = 40_000
LIMIT_S = 60


class Transfer:
    """One connection of the tree's to the echo server on the other host, used again and again."""

    def __init__(self, t, session=None, server=None):
        self.t, self.server = t, server or t.echo()
        self.connection, self.at = t.root.connect(self.server.local), 0
        self.exchange()
        if session:
            expect_visit(t, session, self.connection, self.server, t.server)

    def begin(self, n=PIECE):
        """n more bytes there and back; what is under way."""
        pending = [self.connection.begin(name, seed=5, n=n, at=self.at) for name in ("send", "receive")]
        self.at += n
        return pending

    def exchange(self, n=PIECE):
        for one in self.begin(n):
            one.result(LIMIT_S)


def until_spent(t, session, name, transfer):
    """Exchanges until a fault has struck as often as it was scripted to."""
    def one():
        transfer.exchange()
        return t.lab.faults()[name]["left"] == 0
    wait_until(one, f"the fault {name} is spent", 60)


def expect_running(t):
    state = t.agent.call("state")
    expect_equal((state["state"], state["why"]), (1, "OK"), "state")


def await_failed(t, why, limit=30):
    """The state says that it is over, and why; no driver handle is open any more. Returns the state's text."""
    wait_until(lambda: t.agent.call("state")["state"] == 3, "state: failed", limit)
    state = t.agent.call("state")
    expect_equal(state["why"], why, f"why it failed ({state['text']})")
    wait_until(lambda: t.lab.handles() == [], "the driver's handles closed", limit)
    return state["text"]


def stop_failed(t, session, statuses=(0,)):
    """Stops a redirector that has ended by itself; how that went."""
    answer = t.agent.call("stop", api=session.api, limit=30)
    expect(answer["status"] in statuses, "stop", answer)
    expect(answer["ms"] <= 1000, f"stop took {answer['ms']} ms")
    t.agent.call("free")
    t.agent.call("proxy_close_all", limit=60)
    return "OK" if answer["status"] == 0 else "STOPPED_BY_FORCE"
