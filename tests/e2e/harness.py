# SPDX-License-Identifier: LGPL-3.0-or-later
"""Scenarios, and what each of them finds: the lab, programs in it, a redirector that runs.

A scenario is a function `def name(t)` or `def name(t, family)` with the decorator @scenario("O1", ...), in a file of
scenarios/. It fails by raising; what it opened is closed for it. Programs are used again by the next scenario unless
something failed: starting them is what takes the time.

What is checked after each scenario, whatever it was about: the lab has lost or refused no packet (but for what the
scenario expects), no program has written to standard output, and after a stop no driver handle is open.
"""
import contextlib
import json
import os
import time
import traceback
from dataclasses import dataclass

from lab import ANY, CLIENT, LOOPBACK, ROOT, SERVER, Failure, Lab, expect, expect_equal, port_of, wait_until


OK = 0
REFLECT = 2
SMALL_SEGMENTS = 1024
NO_PROOF = 256  # the library's own connection is in the driver's counters, though not in its own
LINGER_S = 13  # a flow's longest linger time, and a little
STOP_MS = 1000  # S2
AGAIN = 2  # times that a scenario which failed has to pass
SHARED = {"shared": {}, "incoming": {"incoming": True}, "udp": {"udp": True}}  # redirectors that scenarios share, and their settings
ORDER = {"none": 0, "shared": 1, "incoming": 2, "udp": 3, "own": 4}  # of the sessions: what shares a redirector stands together
SCENARIOS = []
PRESET = os.environ.get("E2E_PRESET", "mingw-release")
PROGRAMS = os.path.join(ROOT, "build", "e2e", PRESET)
FAILED = os.path.join(ROOT, "build", "e2e", "failed")


@dataclass
class Scenario:
    rules: tuple
    name: str
    run: object
    family: int  # 0: none
    session: str  # a key of ORDER: the redirector it needs
    long: bool


def scenario(*rules, families=(4, 6), session="shared", long=False, first=False):
    """Registers a scenario, once per family. session: "shared" uses the common redirector (t.session), "incoming" the
    common one that redirects incoming connections, too, "udp" the one that redirects datagrams; "own" starts its own
    (t.redirected()); "none" wants none to run."""
    def register(function):
        made = [Scenario(rules, function.__name__ + (f"_ipv{family}" if family else ""), function, family, session, long)
                for family in families or (0,)]
        if first:
            SCENARIOS[:0] = made
        else:
            SCENARIOS.extend(made)
        return function
    return register


class Session:
    """A redirector that runs in an agent, with its proxy and the root of its tree."""

    def __init__(self, world, agent, root, **config):
        self.world, self.agent, self.root = world, agent, root
        self.api = config.pop("api", "extended")
        self.instance = config.get("instance", 0)
        everywhere = config.pop("everywhere", config.get("flags", 0) & REFLECT)
        mode = config.pop("mode", "relay")
        self.proxy_port = world.free_port()
        self.seen = 0
        for family in config.pop("proxy_families", (4, 6)):
            host = (ANY if everywhere else LOOPBACK)[family]
            agent.call("proxy", at=f"{host}/{self.proxy_port}", mode=mode, instance=self.instance)
        # The proxy of incoming connections is where their peers think they go: on all addresses, if not told otherwise.
        # A scenario that gives a port has a proxy of its own there.
        incoming = config.pop("incoming", 0)
        self.incoming_port = world.free_port() if incoming is True else incoming
        for host in config.pop("incoming_hosts", ANY.values() if incoming is True else ()):
            agent.call("proxy", at=f"{host}/{self.incoming_port}", mode=mode, instance=self.instance)
        self.udp_port = 0
        if config.pop("udp", False):
            self.udp_port = world.free_port()
            for host in LOOPBACK.values() if config.pop("udp_proxy", True) else ():
                agent.call("datagram_proxy", at=f"{host}/{self.udp_port}", mode=config.get("udp_mode", "relay"),
                           instance=self.instance)
            config.pop("udp_mode", None)
            config["udp"] = self.udp_port
        arguments = {"client": root.pid, "proxy": self.proxy_port, "incoming": self.incoming_port, **config}
        self.before = world.lab.counters()
        self.started = agent.call("start", limit=60, api=self.api, **arguments)
        expect_equal((self.started["result"], self.started["status_name"]), (1, "OK"),
                     f"start ({self.started['text']})")

    # ---- the proxy's view

    def proxied(self):
        """The connections that reached the proxy since the session began, or since forget_proxied()."""
        every = self.agent.call("proxied", **{"from": self.seen})["connections"]
        return [r for r in every if r["instance"] == self.instance]

    def forget_proxied(self):
        self.seen = self.agent.call("proxied", **{"from": 1 << 30})["count"]

    def proxied_for(self, connection):
        """The proxy's record of a connection of the tree's, which must be there exactly once and right. It is found by
        its destination; where that has several, by its source port too, which may be another at the proxy (O3)."""
        records = [r for r in self.proxied() if r.get("destination") == connection.peer]
        if len(records) > 1:
            records = [r for r in records if port_of(r["peer"]) == connection.port]
        expect(len(records) == 1, f"connection {connection.local} -> {connection.peer} reached the proxy "
               f"{len(records)} times", self.proxied())
        expect_equal(records[0]["pid"], connection.actor.pid, "process that the proxy was told")
        return records[0]

    def led(self, destination=None):
        """The peers of the proxy of datagrams, and what it was told of them."""
        peers = self.agent.call("datagram_peers")["peers"]
        return [p for p in peers if destination in (None, p["destination"])]

    def flows(self, **wanted):
        """The library's list, as far as it is what is wanted."""
        flows = self.agent.call("flows", instance=self.instance)["flows"]
        return [f for f in flows if all(f[key] == value for key, value in wanted.items())]

    def stats(self):
        return self.agent.call("stats", instance=self.instance)

    def driver(self, counter):
        """What the driver has counted since the start, over all handles: the filter may have been replaced."""
        return self.world.lab.counters()[counter] - self.before[counter]

    # ---- its end

    def stop(self):
        answer = self.agent.call("stop", api=self.api)
        expect_equal(answer["result"], 1, f"stop (status {answer['status']})")
        expect(answer["ms"] <= STOP_MS, f"stop took {answer['ms']} ms")
        wait_until(lambda: self.world.lab.handles() == [], "driver handles closed after stop")
        return answer

    def end(self):
        self.stop()
        if self.api == "extended":
            self.agent.call("free")
        self.agent.call("proxy_close_all")
        self.agent.call("datagram_proxy_close_all")


class World:
    """What outlives a scenario."""

    def __init__(self, programs=PROGRAMS):
        self.lab = Lab(programs, f"{programs}.{os.environ['LAB']}.log")
        self.standing = {}  # name -> Actor
        self.generation = 0
        self.shared = None
        self.shared_kind = None

    def free_port(self):
        return self.lab.free_port()

    def name(self, kind):
        self.generation += 1
        return f"{kind}-{self.generation}"

    def get(self, kind):
        """A standing program: "agent", "root" (the tree's), "bystander", "server", "native"."""
        if kind not in self.standing:
            name = self.name(kind)
            if kind in ("server", "native"):
                self.standing[kind] = self.lab.native(name, "server" if kind == "server" else "client")
            else:
                self.standing[kind] = self.lab.spawn_apart(name, "agent.exe" if kind == "agent" else "probe.exe")
        return self.standing[kind]

    def drop(self, kinds=("agent", "root", "bystander")):
        """After a failure: nothing of it is used again."""
        for kind in kinds:
            actor = self.standing.pop(kind, None)
            if actor:
                self.lab.launcher.call("kill", pid=actor.pid, may_fail=True)
                actor.alive = lambda: False

    def shared_session(self):
        if not self.shared:
            self.shared = Session(self, self.get("agent"), self.get("root"), **SHARED[self.shared_kind])
        return self.shared

    def close_connections(self):
        pending = [actor.begin("close_all") for actor in self.standing.values()]
        for answer in pending:
            answer.result()


class Context:
    """What a scenario gets as `t`."""

    def __init__(self, world, family):
        self.world, self.lab, self.family = world, world.lab, family
        self.expected_losses = set()
        self.extra = []
        self.client, self.client2 = CLIENT[family or 4]
        self.server_host = SERVER[family or 4]
        self.loopback = LOOPBACK[family or 4]

    agent = property(lambda self: self.world.get("agent"))
    root = property(lambda self: self.world.get("root"))
    bystander = property(lambda self: self.world.get("bystander"))
    server = property(lambda self: self.world.get("server"))
    native = property(lambda self: self.world.get("native"))
    session = property(lambda self: self.world.shared_session())

    def free_port(self):
        return self.world.free_port()

    def expect_losses(self, *counters):
        """Packets of these kinds may be lost in this scenario (lab.LOSSES)."""
        self.expected_losses.update(counters)

    def echo(self, actor=None, host=None, stamp=0):
        """An echo server; .local is its address. On the server host unless said otherwise."""
        actor = actor or self.server
        host = host or self.server_host
        return actor.serve(f"{host}/{self.free_port()}", stamp=stamp)

    def child(self, parent, exe="probe.exe", commands=(), **how):
        """A new child of a program, with commands that it finds when it starts."""
        actor = self.lab.prepare(self.world.name("child"))
        self.extra.append(actor)
        actor.early = [actor.begin(name, **arguments) for name, arguments in commands]
        return self.lab.spawn(parent, actor, exe, **how)

    def exit(self, actor, parent=None):
        """Ends a program, and waits until it is gone if its parent can tell."""
        actor.call("exit")
        if parent:
            expect_equal(parent.call("wait_exit", pid=actor.pid)["exit_code"], 0, "exit code")
        actor.alive = lambda: False
        self.extra.remove(actor)

    @contextlib.contextmanager
    def redirected(self, agent=None, root=None, **config):
        """A redirector of the scenario's own."""
        session = Session(self.world, agent or self.agent, root or self.root, **config)
        yield session
        self.world.close_connections()
        session.end()

    def finish(self):
        self.world.close_connections()
        for actor in self.extra:
            actor.call("exit")
            actor.alive = lambda: False


def check_afterwards(context, losses_before):
    """What holds after every scenario."""
    lab = context.lab
    losses = lab.losses()
    grown = {name: count - (losses_before[name] if count >= losses_before[name] else 0)  # less: the scenario has reset it
             for name, count in losses.items()}
    unexpected = {name: count for name, count in grown.items() if count and name not in context.expected_losses}
    expect(not unexpected, "the lab lost or refused packets", unexpected)
    expect_equal(lab.std_output(), {}, "standard output of programs (S4)")


def why_failed(error):
    """The text, and for what is no Failure of a scenario where it came from."""
    if isinstance(error, Failure):
        return str(error)
    return f"{error!r} at " + traceback.format_exc().strip().splitlines()[-3].strip()


class Runner:
    def __init__(self, report, failed=None, postpone=None):
        self.report = report  # report(rules, name, why or None, seconds)
        self.failed = failed or {}  # {name: why} of scenarios that have failed before
        self.postpone = postpone  # postpone(name, why): who fails is run again later, by another; None: at once
        self.world = World()
        self.began = time.monotonic()  # what runs now
        self.unsteady = []  # (name, why): failed once, then passed each time

    def record(self, rules, name, why):
        now = time.monotonic()
        self.report(rules, name, why, now - self.began)
        self.began = now

    def diagnose(self, name, why):
        """What the lab and the library say about a failure, for whoever has to find out: build/e2e/failed/NAME.json"""
        evidence = {"why": why}
        with contextlib.suppress(OSError, ValueError):
            evidence.update(counters=self.world.lab.counters(), flows=self.world.lab.flows())
        agent = self.world.standing.get("agent")
        if agent:
            with contextlib.suppress(Failure, OSError, ValueError):
                evidence["stats"] = agent.call("stats", limit=2)
                evidence["proxied"] = agent.call("proxied", limit=2)
            with contextlib.suppress(OSError):
                with open(os.path.join(agent.cwd, "windows_redirector.log"), encoding="utf-8") as log:
                    evidence["log"] = log.read().splitlines()[-50:]
        os.makedirs(FAILED, exist_ok=True)
        with open(os.path.join(FAILED, name + ".json"), "w", encoding="utf-8") as out:
            json.dump(evidence, out, indent=1)

    def run_one(self, s):
        """A scenario that fails is run AGAIN times more: only if it passes all of them is it taken to have been the
        machine's fault. It is reported as unsteady all the same."""
        why = self.failed.get(s.name) or self.attempt(s)
        if why is not None and self.postpone:
            self.postpone(s.name, why)
            self.began = time.monotonic()
            return
        if why is not None and all(self.attempt(s) is None for _ in range(AGAIN)):
            self.unsteady.append((s.name, why))
            why = None
        self.record(s.rules, s.name, why)

    def attempt(self, s):
        """Why it failed, or None."""
        context = Context(self.world, s.family)
        why = None
        try:
            if s.session != self.world.shared_kind:
                self.end_shared()
            if s.session in SHARED:
                self.world.shared_kind = s.session
                self.world.shared_session()
            losses = self.world.lab.losses()
            s.run(*([context, s.family] if s.family else [context]))
            context.finish()
            check_afterwards(context, losses)
        except Exception as error:  # whatever it is, the other scenarios are run
            why = why_failed(error)
            self.diagnose(s.name, why)
            self.start_over()
        return why

    def start_over(self):
        self.world.drop()
        self.world.shared = None
        with contextlib.suppress(Failure):
            self.world.close_connections()
            wait_until(lambda: not self.world.lab.handles(), "handles of a killed agent", 5)
        self.world.lab.ctl("offload", "off")
        self.world.lab.restore()

    def end_shared(self):
        """The common redirector's end is a scenario of its own: after all that went through it nothing is left."""
        session, self.world.shared = self.world.shared, None
        if not session:
            return
        why = None
        try:
            self.world.close_connections()
            wait_until(lambda: not session.stats()["flows_live"] and not session.stats()["udp_flows_live"],
                       "no flow left over after all connections ended", LINGER_S)
            stats = session.stats()
            for counter in ("send_errors", "receive_errors", "packets_malformed", "log_lines_dropped",
                            "flow_table_full", "hold_overflows", "udp_packets_malformed", "udp_table_full",
                            "udp_hold_overflows"):
                expect_equal(stats[counter], 0, counter)
            session.end()
        except Failure as error:
            why = str(error)
            self.diagnose(f"nothing_left_of_the_{self.world.shared_kind}_session", why)
            self.start_over()
        self.record(("L1", "S2"), f"nothing_left_of_the_{self.world.shared_kind}_session", why)

    def run(self, scenarios):
        """Runs scenarios, which come in the order of ORDER. Raises LabError when there is no lab."""
        try:
            self.world.lab.up()
            for s in scenarios:
                self.run_one(s)
            self.end_shared()
        finally:
            self.world.lab.down()
