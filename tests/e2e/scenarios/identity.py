# SPDX-License-Identifier: LGPL-3.0-or-later
"""I1, I2, I3: whose connections are redirected, and whose are not."""
from harness import scenario
from lab import expect, expect_equal, wait_until
from scenarios.outgoing import connect_and_check, exchange, expect_untouched


@scenario("I1")
def child_and_grandchild(t, family):
    child = t.child(t.root)
    grandchild = t.child(child)
    for actor in (grandchild, child, t.root):
        connect_and_check(t, actor, t.session)


@scenario("I1")
def parent_exits_before_its_child_connects(t, family):
    middle = t.child(t.root)
    leaf = t.child(middle)
    t.exit(middle, t.root)
    connect_and_check(t, leaf, t.session)


@scenario("I1")
def three_generations_exit_one_after_the_other(t, family):
    """Each program starts the next and is gone before that one does anything."""
    parent, actor = t.root, t.child(t.root)
    for _ in range(3):
        following = t.child(actor)
        t.exit(actor, parent)
        parent, actor = None, following
    connect_and_check(t, actor, t.session)


@scenario("I1")
def three_generations_break_away_and_exit(t, family):
    """As Git Bash does: each breaks away if its job permits that, and is gone when it has started the next. The first
    does; nothing knows of the others but the job that they cannot leave."""
    parent, actor, broke_away = t.root, t.child(t.root, breakaway=True), []
    for _ in range(3):
        broke_away.append(actor.broke_away)
        following = t.child(actor, breakaway=True)
        t.exit(actor, parent)
        parent, actor = None, following
    expect(broke_away[0], "the first one breaks away", broke_away)
    connect_and_check(t, actor, t.session)


@scenario("I1")
def child_connects_as_soon_as_it_runs(t, family):
    server = t.echo()
    child = t.child(t.root, commands=[("connect", {"id": 1, "to": server.local})])
    answer = child.early[0].result()
    records = wait_until(lambda: [r for r in t.session.proxied() if r.get("destination") == server.local],
                         "connection at the proxy")
    expect_equal([(r["peer"].rpartition("/")[2], r["pid"]) for r in records],
                 [(answer["local"].rpartition("/")[2], child.pid)], "what the proxy saw")


@scenario("I1", "S9", session="own")
def a_root_that_gets_into_no_job(t, family):
    """As Windows lets no service into a job of another session: what it starts is redirected all the same, also behind a
    process that is in no job either and has ended before anybody asked; and log, state and counters say so."""
    root = t.child(t.bystander, guarded=True)
    with t.redirected(root=root) as session:
        expect_equal(session.stats()["members_outside"], 1, "members_outside")
        state = t.agent.call("state")
        expect(state["why"] == "OK" and "(Windows error 5)" in state["text"], "what limits it is in the state", state)
        middle = t.child(root, guarded=True)
        wait_until(lambda: session.stats()["members_outside"] == 2, "the next process to be found")
        leaf = t.child(middle)
        t.exit(middle, root)
        connect_and_check(t, leaf, session)


@scenario("I1", session="own")
def descendants_that_ran_before_the_start(t, family):
    child = t.child(t.root)
    middle = t.child(t.root)
    leaf = t.child(middle)
    with t.redirected() as session:
        for actor in (child, middle, leaf):
            connect_and_check(t, actor, session)


@scenario("I1", session="own", families=None)
def parent_that_exited_before_the_start(t):
    """Only parent links are left of it, and its own parent link is gone: its child belongs to the tree no more or still,
    but whatever it is, it works. Its brother that is a living program's child is redirected."""
    brother = t.child(t.root)
    middle = t.child(t.root)
    orphan = t.child(middle)
    t.exit(middle, t.root)
    server = t.echo()
    with t.redirected() as session:
        connect_and_check(t, brother, session)
        exchange(orphan.connect(server.local))


@scenario("I2")
def strangers_are_left_alone(t, family):
    """The root's own parent and its other children."""
    for actor in (t.bystander, t.lab.launcher, t.native):
        server = t.echo()
        connection = actor.connect(server.local)
        exchange(connection)
        expect_untouched(connection, server, t.server)
        connection.close()


@scenario("I3")
def agents_own_connections(t, family):
    for host, server_actor in ((t.server_host, t.server), (t.loopback, t.bystander), (t.client, t.bystander)):
        server = t.echo(server_actor, host)
        connection = t.agent.connect(server.local)
        exchange(connection)
        expect_untouched(connection, server, server_actor)


@scenario("I3", session="own")
def agent_inside_the_tree(t, family):
    """A member's child is redirected, but not if it is the agent: its relayed connections would come back to it."""
    agent = t.child(t.root, "agent.exe")
    with t.redirected(agent=agent) as session:
        server = t.echo()
        connection = agent.connect(server.local)
        exchange(connection)
        expect_untouched(connection, server, t.server)
        expect_equal(session.proxied(), [], "connections at the proxy")
        connect_and_check(t, t.root, session)


@scenario("I3")
def connections_to_a_listener_of_the_agent(t, family):
    """Opened while the redirector ran; by the tree, over loopback and over the machine's own address."""
    for host in (t.loopback, t.client):
        server = t.echo(t.agent, host)
        connection = t.root.connect(server.local)
        exchange(connection)
        expect_untouched(connection, server, t.agent)


@scenario("I3", session="own")
def connections_to_a_listener_that_the_agent_had_before(t, family):
    servers = [t.echo(t.agent, host) for host in (t.loopback, t.client)]
    with t.redirected():
        for server in servers:
            connection = t.root.connect(server.local)
            exchange(connection)
            expect_untouched(connection, server, t.agent)


@scenario("I3")
def straight_to_the_proxy(t, family):
    """The tree's own connection to the proxy is not a redirected one, and the proxy is told so."""
    t.session.forget_proxied()
    connection = t.root.connect(f"{t.loopback}/{t.session.proxy_port}")
    expect_equal(connection.end(), "reset", "what a relay does with a stranger")
    records = t.session.proxied()
    expect_equal([(r["peer"], r["status"]) for r in records], [(connection.local, 8)], "what the proxy saw")
    expect("destination" not in records[0], "a destination", records)
