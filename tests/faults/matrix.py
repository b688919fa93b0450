# SPDX-License-Identifier: LGPL-3.0-or-later
"""Cases of the fault matrix, and what is checked of each of them, whatever it is about.

A case is a function with the decorator @case("what goes wrong"), in a file of cases/. It brings the fault about,
checks what the user sees, and returns that as a text for the table. It fails by raising. Around it is checked:

  bystanders   a native program's stream, which began before the first case, goes on, every byte of it right
  leaks        no driver handle is open; the agent has as many handles, threads and blocks of memory as before, but for
               what the case says it had to leave to a driver that hangs (keeps=True), whose agent is then replaced
  next start   redirects, and stops in time
"""
import contextlib
import os
from dataclasses import dataclass

from harness import Context, World, why_failed
from lab import Failure, LabError, expect, expect_equal, wait_until
from scene import PROGRAMS
from scenarios.outgoing import connect_and_check, exchange
from scenarios.stop_start import Stranger

CASES = []
PACE = 200_000
SPARE = {"handles": 0, "threads": 0, "blocks": 40}  # the agent's proxy keeps a record of each connection
STRANGER_S = 30
ERRORS = (Failure, LabError, OSError, KeyError, TypeError, ValueError, IndexError, AttributeError)


@dataclass
class Case:
    name: str
    run: object
    quick: bool
    keeps: bool
    agent: str


def case(name, quick=False, keeps=False, agent="agent.exe"):
    """Registers a case. quick: part of the suite; keeps: leaves memory to a driver that hangs; agent: who redirects."""
    def register(function):
        CASES.append(Case(name, function, quick, keeps, agent))
        return function
    return register


class Scene(Context):
    """What a case gets as `t`: a scenario's context, and the log of its redirectors."""

    def __init__(self, world, agent_exe):
        super().__init__(world, 4)
        self.agent_exe = agent_exe
        self.records = 0  # of connections, that the agent's proxy keeps besides
        self.lives = 1  # redirectors that the case has started and ended
        self.log = os.path.join(self.lab.stage, world.name("log") + ".txt")

    agent = property(lambda self: self.world.agent(self.agent_exe))

    def redirected(self, **config):
        return super().redirected(**{"agent": self.agent, "log": "Z:" + self.log, "level": 4, **config})

    def logged(self, *words):
        """The line of the log that has these words; it may come a moment later."""
        def find():
            with contextlib.suppress(FileNotFoundError):
                with open(self.log, encoding="utf-8") as text:
                    return next((line.strip() for line in text if all(word in line for word in words)), None)
        line = wait_until(find, f"a line in the log with {words}")
        return line.partition("Z ")[2]

    def expect_still_redirected(self, session, count=3):
        for _ in range(count):
            connect_and_check(self, self.root, session)

    def expect_direct(self):
        """The tree's connections go where they are meant to."""
        server = self.echo()
        connection = self.root.connect(server.local)
        exchange(connection)
        visitors = [v["peer"] for v in self.server.visitors(server)]
        expect_equal(visitors, [connection.local], "who visited the server")


class Aside(Scene):
    """The bystander's own programs, which no case uses or closes anything of."""

    native = property(lambda self: self.world.aside("client"))
    server = property(lambda self: self.world.aside("server"))


class FaultWorld(World):
    """Several kinds of agents; and programs that outlive all cases."""

    def __init__(self):
        super().__init__(PROGRAMS)
        self.apart = {}

    def aside(self, host):
        if host not in self.apart:
            self.apart[host] = self.lab.native(self.name("aside"), host)
        return self.apart[host]

    def agent(self, exe):
        key = "agent:" + exe
        if key not in self.standing:
            self.standing[key] = self.lab.spawn_apart(self.name("agent"), exe)
        return self.standing[key]


class Matrix:
    def __init__(self, report):
        self.world, self.report = FaultWorld(), report
        self.stranger, self.settled = None, set()

    def run(self, chosen):
        try:
            self.world.lab.up()
            self.renew_stranger()
            for one in chosen:
                self.report(one.name, *self.attempt(one))
        finally:
            self.world.lab.down()

    def renew_stranger(self):
        aside = Aside(self.world, "")
        self.stranger = Stranger(aside, aside.native, pace=PACE)

    def attempt(self, one):
        """(what the user sees, why it failed or None)"""
        t, sees = Scene(self.world, one.agent), ""
        try:
            self.settle(t)
            before = t.agent.call("resources")
            sees = one.run(t)
            self.expect_bystander()
            self.restore(t)
            if one.keeps:
                self.world.drop(("agent:" + one.agent,))
                self.settled.discard(one.agent)
            else:
                expect_no_leak(t, before)
            self.next_start(Scene(self.world, "agent.exe" if one.keeps else one.agent))
            self.expect_bystander()
            expect_equal(t.lab.std_output(), {}, "standard output of programs (S4)")
            return sees, None
        except ERRORS as error:
            why = why_failed(error)
            self.start_over()
            return sees, why

    def settle(self, t):
        """A new agent's first redirector makes what is there for good; the next ones are measured."""
        if t.agent_exe not in self.settled:
            for _ in range(3):
                self.next_start(t)
            self.settled.add(t.agent_exe)

    def next_start(self, t):
        with t.redirected() as session:
            connect_and_check(t, t.root, session)
        self.world.close_connections()

    def restore(self, t):
        """The lab as it was, whatever the case has left."""
        t.lab.restore()
        for actor in t.extra:
            actor.call("exit")
            actor.alive = lambda: False
        self.world.close_connections()
        wait_until(lambda: t.lab.handles() == [], "no driver handle open")

    def expect_bystander(self):
        self.stranger.expect_flowing(STRANGER_S)
        expect(not self.stranger.receiving.done, "the bystander's stream has ended")

    def start_over(self):
        """After a failure: nothing of it is used again; a lab in which nothing works any more neither."""
        try:
            self.renew()
        except ERRORS:
            self.world.lab.down()
            self.world, self.settled = FaultWorld(), set()
            self.world.lab.up()
            self.renew_stranger()

    def renew(self):
        self.world.lab.restore()
        self.world.drop([kind for kind in self.world.standing if kind not in ("native", "server")])
        self.settled.clear()
        with contextlib.suppress(Failure):
            wait_until(lambda: not self.world.lab.handles(), "handles of a killed agent", 10)
        self.renew_stranger()


def expect_no_leak(t, before):
    """Threads that are about to end need a moment."""
    grown = {}
    spare = {**SPARE, "blocks": SPARE["blocks"] + t.records + t.lives}
    expect(before["handles"] > 0 and before["threads"] > 0, "what the agent has cannot be counted", before)

    def settled():
        now = t.agent.call("resources")
        grown.update({name: now[name] - before[name] for name in SPARE})
        return all(grown[name] <= spare[name] for name in spare)
    with contextlib.suppress(Failure):
        wait_until(settled, "as much as before", 10)
    expect(all(grown[name] <= spare[name] for name in spare), "the agent has more than before", grown)
