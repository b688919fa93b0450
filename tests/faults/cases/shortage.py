# SPDX-License-Identifier: LGPL-3.0-or-later
"""S1, S3: no memory, no thread, no event: at each request that the library makes of the system, one after the other.

agent_scarce.exe has the library with functions of its own in the place of malloc, CreateThread and so on
(programs/scarce.c), so that the Nth request fails, and what was taken and not given back is counted.
"""
import collections
import contextlib
import os
import subprocess

from lab import ROOT, Failure, expect, expect_equal, wait_until
from matrix import case
from scenarios.outgoing import exchange

AGENT = "agent_scarce.exe"
REQUESTS_MAX = 1000


def life(t, at, times):
    """One start, a connection, a replaced filter, a stop, in which requests are refused: what start said, and the first
    request that was refused ("": there were not so many)."""
    agent, proxy = t.agent, t.free_port()
    for host in ("127.0.0.1", "::1"):
        agent.call("proxy", at=f"{host}/{proxy}")
    before = agent.call("scarcity")
    agent.call("scarce", at=at, times=times)
    started = agent.call("start", limit=60, client=t.root.pid, proxy=proxy, log="Z:" + t.log, level=4,
                         rules="-nobody.exe")
    if started["result"]:
        exchange(t.root.connect(t.echo().local))  # redirected or not, it works
        agent.call("set_rules", rules="-somebody.exe")
        exchange(t.root.connect(t.echo().local))
        stopped = agent.call("stop", limit=60)
        expect_equal(stopped["status"], 0, f"stop, with request {at} refused")
        expect(stopped["ms"] <= 1000, f"stop took {stopped['ms']} ms")
        agent.call("free")
    else:
        expect_equal(started["status_name"], "NO_MEMORY", f"start, with request {at} refused ({started['text']})")
    refused = agent.call("scarcity")
    agent.call("scarce", at=0)
    wait_until(lambda: t.lab.handles() == [], f"driver handles closed, with request {at} refused")
    agent.call("proxy_close_all", limit=60)
    kept = what_is_kept(agent, before)
    return started["status_name"], refused["first"] if refused["refused"] else "", kept


def what_is_kept(agent, before):
    """Blocks of memory that the library has not given back. A thread that closes a handle may need a moment."""
    def kept():
        return agent.call("scarcity")["blocks"] - before["blocks"]
    with contextlib.suppress(Failure):
        wait_until(lambda: kept() == 0, "nothing kept", 3)
    return kept()


def each_request(t, step, times):
    """Refuses one request after the other until a life passes without one."""
    said = collections.Counter()
    for at in range(1, REQUESTS_MAX, step):
        status, name, kept = life(t, at, times)
        expect_equal(kept, 0, f"blocks that the library keeps with request {at} ({name}) refused")
        if not name:
            expect_equal(status, "OK", "a start with nothing refused")
            return at, said
        said[f"{name}: start says {status}"] += 1
    raise Failure(f"more than {REQUESTS_MAX} requests")


def table_text(count, said):
    return f"{count} requests; " + ", ".join(f"{what} ({n})" for what, n in sorted(said.items()))


# What is kept is counted by the agent itself; it is replaced afterwards.
@case("the system refuses one request: each of those of start, two connections, stop", agent=AGENT, keeps=True)
def each_refused(t):
    return table_text(*each_request(t, 1, 1))


@case("the system refuses every request from one on: each of them", agent=AGENT, keeps=True)
def all_refused_from_there(t):
    return table_text(*each_request(t, 3, 1 << 30))


@case("the system refuses a request: every eleventh", agent=AGENT, keeps=True, quick=True)
def some_refused(t):
    return table_text(*each_request(t, 11, 1))


@case("the engine gets no memory: at each of its requests", quick=True)
def engine_refused(t):
    """For this machine, under AddressSanitizer: engine/shortage.c."""
    done = subprocess.run([os.path.join(ROOT, "build", "faults", "engine_shortage")], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120, check=False)
    expect(done.returncode == 0, "the engine's test", (done.stdout + done.stderr)[-1500:])
    return next(line for line in done.stdout.splitlines() if "requests;" in line)
