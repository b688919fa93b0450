# SPDX-License-Identifier: LGPL-3.0-or-later
"""O9: proxies and upstreams that are processes of the tree. Their own connections go where they are meant to, whichever
process it is that serves; and what would come back for ever is broken."""
from conditions import balanced, events
from harness import scenario
from lab import expect, expect_equal, port_of, wait_until
from scenarios.incoming import at, visit
from scenarios.outgoing import exchange, expect_visit
from scenarios.program import Run

BYTES = 3000


def upstream(t, parent, port, **more):
    """A proxy of the tree, or a forwarder."""
    actor = t.child(parent)
    actor.call("upstream", at=f"127.0.0.1/{port}", **more)
    return actor


def attached(t, root, *options):
    run = Run(t, "--pid", str(root.pid), *options, root=root)
    wait_until(lambda: "redirecting 1 process" in run.said(), "the redirector")
    return run


def ended(run):
    """Its lines, after Ctrl-C."""
    run.process.terminate()
    run.process.wait(20)
    return run.said()


def reached_once(t, root):
    """A connection of the root's comes to its server, once. Who has come."""
    server = t.echo(host="10.77.0.2")
    connection = root.connect(server.local)
    exchange(connection, BYTES)
    visitors = [v["peer"] for v in t.server.visitors(server)]
    expect_equal(len(visitors), 1, f"connections at the server: {visitors}")
    expect(connection.local != visitors[0], "the server saw the program itself", visitors)
    connection.close()


@scenario("O9", session="own")
def upstream_that_the_agent_names(t, family):
    """By the library's own interface."""
    where = f"{t.loopback}/{t.free_port()}"
    with balanced(t, upstream=where) as session:
        for _ in range(2):
            proxy = t.child(t.root)
            proxy.serve(where)
            server = t.echo()
            led, direct = t.root.connect(server.local), proxy.connect(server.local)
            for connection in (led, direct):
                exchange(connection)
            expect_visit(t, session, led, server, t.server)
            visitors = [v["peer"] for v in t.server.visitors(server)]
            expect(direct.local in visitors, "what the upstream opened was redirected", visitors)
            direct.close()
            t.exit(proxy, t.root)
        expect_equal(session.stats()["proxy_connections"], 2, "connections that passed")


@scenario("O9", families=None, session="own")
def program_goes_on_through_an_upstream_of_its_tree(t):
    """It is spared, and so is its successor on the same port."""
    root, port = t.world.get("root"), t.free_port()
    proxy = upstream(t, root, port)
    run = attached(t, root, "--upstream", f"http://127.0.0.1:{port}")
    for _ in range(3):
        reached_once(t, root)
        t.exit(proxy, root)
        proxy = upstream(t, root, port)
    reached_once(t, root)
    said = ended(run)
    expect_equal((said.count('"type":"open"'), "serves the upstream" in said), (4, False), f"lines: {said}")
    t.world.drop()


@scenario("O9", families=None, session="own")
def program_breaks_the_loop_behind_a_forwarder(t):
    """The upstream's listener is not the process that opens the connections."""
    root, port, behind = t.world.get("root"), t.free_port(), t.free_port()
    proxy = upstream(t, root, behind)
    upstream(t, root, port, to=f"127.0.0.1/{behind}")
    run = attached(t, root, "--upstream", f"http://127.0.0.1:{port}")
    for _ in range(2):
        reached_once(t, root)
    said = ended(run)
    expect_equal((said.count('"type":"open"'), said.count(f"probe.exe({proxy.pid}) serves the upstream")), (4, 1),
                 f"lines: {said}")
    t.world.drop()


@scenario("O9", "I3", families=None, session="own")
def program_follows_the_users_own_proxy(t):
    """It is restarted while the redirector runs."""
    root, port = t.world.get("root"), t.free_port()
    server = t.echo(host="10.77.0.2")
    run = None
    for _ in range(3):
        proxy = t.child(root)
        own = proxy.serve(f"127.0.0.1/{port}")
        run = run or attached(t, root, "--proxy-port", str(port))
        led, direct = root.connect(server.local), proxy.connect(server.local)
        for connection in (led, direct):
            exchange(connection, BYTES)
        seen = [v["peer"] for v in t.server.visitors(server)]
        expect(direct.local in seen, "the proxy was led to itself", seen)
        expect_equal([port_of(v["peer"]) for v in proxy.visitors(own)], [led.port], "who visited the proxy")
        for connection in (led, direct):
            connection.close()
        t.exit(proxy, root)
    ended(run)
    t.world.drop()


def is_led(t, server):
    """Whether a connection from the other host to a listener of the root goes through the proxy."""
    connection = t.server.connect(at(t.client, server))
    exchange(connection)
    direct = connection.local in [v["peer"] for v in t.root.visitors(server)]
    connection.close()
    return not direct


@scenario("N1", session="own")
def listener_that_is_opened_anew(t, family):
    """As development servers do at each change of a file; the events are late, doubled, and overtake each other."""
    with balanced(t, incoming=True) as session:
        for _ in range(10):
            to = f"{t.client}/{t.free_port()}"
            with events(t, "delay 120", "shuffle on", "double on"):
                t.root.listen(to).close()
                server = t.root.serve(to)
                wait_until(lambda: t.lab.counters()["event_faults"]["waiting"] == 0, "late events delivered", 5)
            # The port may have to be captured first, which takes some milliseconds.
            wait_until(lambda: is_led(t, server), "a connection that is led to the proxy", 5)
            visit(t, session, t.server, at(t.client, server), server, t.root)
