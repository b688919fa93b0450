# SPDX-License-Identifier: LGPL-3.0-or-later
"""The soak's redirector and what goes through it, and the faults that it meets.

A connection's path: churn (tests/faults/programs/churn.c, the root of the tree) -> the agent's `tell` (tell.c), which
sends back where the connection was going, as the library told it, and echoes. One that passes directly finds a server
that sends its own port: the same, if all is right. So each connection checks its destination and every byte.
"""
import contextlib
import os

from conditions import events, setting
from lab import expect, expect_equal, on_host, wait_until
from scene import FAILED, RUNNING, fault, script

THREADS = 48  # of the proxy, for each family; more connections than that wait
GRACE_MS = 4000  # a connection that broke is found broken a little later
WATCHDOG_S = 30


class Load:
    def __init__(self, t, rate):
        self.t, self.rate = t, rate
        self.port = t.free_port()
        self.breaks = []  # (from, to) in the programs' milliseconds: times at which connections may break
        self.explained, self.unexplained = 0, []
        self.seen = 0
        self.totals = dict.fromkeys(("flows_total", "filter_replacements", "packets_seen", "receive_errors", "send_errors",
                                     "hold_timeouts"), 0)
        for host in ("client", "server"):  # each connection leaves its port in TIME_WAIT for a minute
            on_host(host, "sysctl", "-qw", "net.ipv4.ip_local_port_range=10000 65000", "net.ipv4.tcp_tw_reuse=1")
        self.servers = [t.echo(host=host, stamp=1) for _ in range(4) for host in ("10.77.0.2", "fd77::2")]

    # ---- the redirector

    def listen(self):
        for host in ("127.0.0.1", "::1"):
            self.t.agent.call("tell", at=f"{host}/{self.port}", threads=THREADS, pid=self.t.root.pid, reuse=1)

    def start(self):
        log = "Z:" + os.path.join(self.t.lab.stage, "soak.log")
        started = self.t.agent.call("start", limit=60, client=self.t.root.pid, proxy=self.port, log=log, level=4)
        expect_equal((started["result"], started["status_name"]), (1, "OK"), f"start ({started['text']})")

    def stop(self):
        self.count()
        answer = self.t.agent.call("stop", limit=60)
        expect_equal(answer["result"], 1, f"stop (status {answer['status']})")
        # After a failure a thread may still be opening a handle that nobody wants any more; it closes it at once.
        wait_until(lambda: self.t.lab.handles() == [], "driver handles closed after stop", 5)
        self.t.agent.call("free")

    def count(self):
        """Adds this redirector's counters up with those of the ones before it."""
        stats = self.t.agent.call("stats")
        for name in self.totals:
            self.totals[name] += stats[name]

    def stats(self):
        stats = self.t.agent.call("stats")
        return {**stats, **{name: stats[name] + total for name, total in self.totals.items()}}

    def now(self):
        return self.t.root.call("churned", **{"from": 1 << 30})["now_ms"]

    # ---- the connections

    def begin(self):
        self.listen()
        self.start()
        self.t.root.call("churn", to=",".join(s.local for s in self.servers), rate=self.rate, workers=64, n=4000)

    def look(self):
        """What the connections have met since the last look: (counts, failures that no fault explains)."""
        answer = self.t.root.call("churned", **{"from": self.seen})
        self.seen += len(answer["failures"])
        new = []
        for failure in answer["failures"]:
            if any(failure["ms"] >= began and failure["began_ms"] <= ended for began, ended in self.breaks):
                self.explained += 1
            else:
                new.append(failure)
        self.unexplained += new
        return answer, new

    @contextlib.contextmanager
    def breaking(self):
        """Connections may break while this lasts."""
        began = self.now()
        self.breaks.append((began, began + 10**9))
        yield
        self.breaks[-1] = (began, self.now() + GRACE_MS)

    # ---- the faults

    def carry_on(self, connections=100):
        """Until so many more connections were fine."""
        ok = self.look()[0]["ok"]
        wait_until(lambda: self.look()[0]["ok"] >= ok + connections, f"{connections} more connections", 60)

    def scripted(self, *scripts):
        with fault(self.t, *scripts):
            self.carry_on()

    def during(self, *scripts):
        """Faults that may find nothing to strike."""
        try:
            for words in scripts:
                script(self.t, words)
            self.carry_on()
        finally:
            self.t.lab.ctl("fault", "clear")

    def events(self, *commands):
        with events(self.t, *commands):
            self.carry_on()

    def setting(self, *words):
        with setting(self.t, *words):
            self.carry_on()

    def rules(self):
        self.t.agent.call("set_rules", rules="-nobody*.exe,+#4242")
        self.carry_on()
        self.t.agent.call("set_rules", rules="")

    def again(self):
        self.stop()
        self.start()

    def restart(self):
        with self.breaking():
            self.again()

    def proxy_away(self):
        with self.breaking():  # those that wait for an accept
            self.t.agent.call("tell_end")
            self.carry_on()
            self.listen()

    def unload(self):
        with self.breaking():
            script(self.t, "unload")
            self.await_failure("DRIVER_FAILED")
            self.again()

    def freeze(self):
        with self.breaking():
            expect(self.t.agent.call("freeze")["frozen"] >= 1, "the engine's thread was not found")
            self.await_failure("ENGINE_STALLED")
            self.t.agent.call("thaw")
            self.again()

    def await_failure(self, why):
        wait_until(lambda: self.t.agent.call("state")["state"] == FAILED, "state: failed", WATCHDOG_S)
        expect_equal(self.t.agent.call("state")["why"], why, "why it failed")

    def check(self):
        """What must hold at any time."""
        told = self.t.agent.call("told")
        expect_equal(told["other_pid"], 0, "lookups that named another process")
        expect_equal(self.t.agent.call("state")["state"], RUNNING, "state")
        return told


FAULTS = {
    "events late": lambda l: l.events("delay 100"),
    "events in another order": lambda l: l.events("delay 100", "shuffle on"),
    "events lost": lambda l: l.events("lose 30"),
    "CONNECT events lost": lambda l: l.events("lose 20 connect"),
    "events doubled": lambda l: l.events("double on"),
    "events name dead processes": lambda l: l.scripted("pid dead 20"),
    "events name process 4": lambda l: l.scripted("pid 4 20"),
    "receives fail": lambda l: l.scripted("recv 1450 5 on network"),
    "event receives fail": lambda l: l.scripted("recv 1450 5 on socket"),
    "one packet a receive": lambda l: l.during("recv-single"),
    "sends fail": lambda l: l.scripted("send 592 10"),
    "batches cut short": lambda l: l.scripted("send-cut 1450 10"),
    "queue overflows": lambda l: l.during("queue 1"),
    "filter cannot be replaced": lambda l: l.during("open 1450 2 on network"),
    "driver opens slowly": lambda l: l.during("open-late 700 2 on network"),
    "impostors": lambda l: l.scripted("impostor 50"),
    "owners unknown": lambda l: l.setting("owners", "off", "on"),
    "SYNs sent again while held": lambda l: l.setting("syn", "20", "0"),
    "rules replaced": Load.rules,
    "proxy away": Load.proxy_away,
    "stop and start": Load.restart,
    "driver unloaded": Load.unload,
    "engine stopped": Load.freeze,
}
