# SPDX-License-Identifier: LGPL-3.0-or-later
"""All public calls at once, from 8 threads, in random order, while traffic runs (programs/storm.c)."""
from lab import expect, expect_equal, wait_until
from matrix import case

LIMIT_S = 900


def storm(name, calls, quick):
    @case(name, quick=quick)
    def storming(t):
        port = t.free_port()
        for host in ("127.0.0.1", "::1"):
            t.agent.call("proxy", at=f"{host}/{port}")
        servers = [t.echo(host=host, stamp=1) for host in ("10.77.0.2", "fd77::2")]
        t.root.call("churn", to=",".join(s.local for s in servers), rate=60, workers=8, n=2000)
        try:
            answer = t.agent.call("storm", limit=LIMIT_S, client=t.root.pid, proxy=port, threads=8, calls=calls,
                                  limit_s=60)
        finally:
            done = t.root.call("churn_end", limit=120)
        expect_equal(answer["hung"], "", "a call that did not come back")
        expect_equal(answer["wrong"], "", "a result that the header does not allow")
        expect(answer["calls"] >= calls - 8 and answer["started"] > 3 and answer["stopped"] > 3, "too little", answer)
        expect(answer["flows_listed"] > 0, "no connection was seen", answer)
        expect(done["ok"] > 20, "hardly a connection came through", done)
        wait_until(lambda: t.lab.handles() == [], "driver handles closed", 20)
        t.records = t.agent.call("proxied", **{"from": 1 << 30})["count"]
        t.lives = answer["started"]
        t.agent.call("proxy_close_all", limit=60)
        return (f"{answer['calls']} calls, {answer['started']} starts, {answer['stopped']} stops, "
                f"{answer['rules_set']} sets of rules, {answer['flows_listed']} flows listed, {answer['hits']} lookups "
                f"hit; {done['ok']} connections fine, {done['failed']} broken by a stop; no call hung, none said what "
                "it may not")
    return storming


storm("all calls from 8 threads, thousands of times", 20_000, False)
storm("all calls from 8 threads", 2_000, True)
