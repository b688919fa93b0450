# SPDX-License-Identifier: LGPL-3.0-or-later
"""L2: lookups by any number of threads, while connections come and go."""
from conditions import arrival
from harness import scenario
from lab import ANY, expect, expect_equal, host_of, port_of
from scenarios.outgoing import exchange

NOT_FOUND = 8


def hammer_during(t, session, servers, **arguments):
    """Four threads look up every port there is while bursts run; (what they found, number of connections)."""
    total = session.stats()["flows_total"] if session.api == "extended" else 0
    hammering = t.agent.begin("hammer", threads=4, ms=1200, family=t.family, to=",".join(s.local for s in servers),
                              pid=t.root.pid, **arguments)
    bursts = 0
    while not hammering.done:
        answer = t.root.call("burst", limit=60, to=",".join(s.local for s in servers), count=40, workers=8, n=300,
                             **({} if "forget" in arguments else {"stamp": 1}))
        expect_equal((answer["ok"], answer["failed"]), (40, 0), f"connections that worked ({answer})")
        bursts += 40
    found = hammering.result(30)
    expect_equal(found["wrong"], 0, f"lookups that gave another connection's destination ({found})")
    expect(found["rounds"] >= 4 and found["misses"] > 100_000, "the hammer hardly struck", found)
    if session.api == "extended":
        expect_equal(session.stats()["flows_total"] - total, bursts, "redirected connections")
    return found, bursts


@scenario("L2", session="own")
def lookups_during_traffic(t, family):
    """Nobody gets another connection's destination, and the relay, which asks as well, gets every one right."""
    servers = [t.echo(stamp=1) for _ in range(3)]
    with t.redirected() as session:
        found, _ = hammer_during(t, session, servers)
    expect(found["hits"] > 100, "the hammer hardly hit", found)


@scenario("L2", session="own")
def lookups_and_deletions_during_traffic(t, family):
    """By both interfaces; the proxy answers by itself, for what is deleted is not there for it either. Each mapping
    can be deleted once, and its connection works on."""
    servers = [t.echo() for _ in range(3)]
    for api in ("extended", "classic"):
        with t.redirected(api=api, mode="echo") as session:
            found, bursts = hammer_during(t, session, servers, forget=1)
            expect(0 < found["forgotten"] <= bursts, f"deletions of {bursts} mappings", found)
            connection = t.root.connect(servers[0].local)
            exchange(connection)
            if api == "classic":
                expect_equal(t.agent.call("get", port=connection.port).get("destination"), servers[0].local, "get")
            session.stop()
            found = t.agent.call("hammer", threads=4, ms=1, family=family, to=servers[0].local, pid=0, forget=1)
            expect_equal((found["hits"], found["forgotten"]), (0, 0), f"lookups after stop ({found})")


@scenario("L2", "N3", session="incoming")
def lookup_of_an_incoming_connection(t, family):
    """By the peer's family, address and port; another address of the same port misses."""
    server = t.echo(t.root, ANY[family])
    for peer, host in ((t.server, t.client), (t.native, t.loopback)):
        connection = peer.connect(f"{host}/{server.port}")
        exchange(connection)
        unspecified, other = {4: ("0.0.0.0", "::"), 6: ("::", "0.0.0.0")}[family]
        at_proxy = arrival(t.session, connection)["peer"]
        for asked, status in ((host_of(at_proxy), 0), (unspecified, 0), (t.client2, NOT_FOUND), (other, NOT_FOUND)):
            answer = t.agent.call("lookup", peer=f"{asked}/{port_of(at_proxy)}")
            expect_equal(answer["status"], status, f"lookup of {asked}/{port_of(at_proxy)}")
            if status == 0:
                expect_equal((answer["destination"], answer["pid"], answer["incoming"]),
                             (connection.peer, t.root.pid, 1), "what it tells")
        expect_equal(t.agent.call("forget", peer=at_proxy)["status"], 0, "forget")
        expect_equal(t.agent.call("lookup", peer=at_proxy)["status"], NOT_FOUND, "lookup afterwards")
        exchange(connection, 20_000, seed=2)
