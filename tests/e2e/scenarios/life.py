# SPDX-License-Identifier: LGPL-3.0-or-later
"""L1, L2: how flows end, and mappings with them."""
from harness import scenario
from lab import expect, expect_equal, port_of, wait_until
from scenarios.outgoing import exchange

NOT_FOUND = 8


def through(t):
    """A redirected connection to a listener on the server that does nothing by itself: (program's end, server's end). The
    program's end knows under which address the proxy sees it: .at_proxy"""
    listener = t.server.listen(f"{t.server_host}/{t.free_port()}")
    connecting = t.server.begin_accept(listener)
    near = t.root.connect(listener.local)
    far = connecting.finish()
    record = t.session.proxied_for(near)
    expect_equal(far.peer, record["onward"], "who came to the server")
    near.at_proxy = record["peer"]
    return near, far


def end_of(t, connection):
    """How the proxy saw the connection end."""
    def ended():
        return t.session.proxied_for(connection)["end"]
    return wait_until(ended, "end of the connection at the proxy", 5)


@scenario("L1")
def reset_by_the_program(t, family):
    near, far = through(t)
    exchange_pair(near, far)
    ending = far.begin("receive_end")
    near.reset()
    expect_equal(ending.result()["end"], "reset", "what the server saw")
    expect_equal(end_of(t, near), "reset by client", "what the proxy saw")


@scenario("L1")
def reset_by_the_server(t, family):
    near, far = through(t)
    exchange_pair(near, far)
    ending = near.begin("receive_end")
    far.reset()
    expect_equal(ending.result()["end"], "reset", "what the program saw")
    expect_equal(end_of(t, near), "reset by server", "what the proxy saw")


def exchange_pair(near, far, n=5000, at=0):
    for one, other in ((near, far), (far, near)):
        one.send(9, n, at)
        other.receive(9, n, at)


@scenario("L1")
def both_ends_close(t, family):
    for first, second in ((0, 1), (1, 0)):
        ends = through(t)
        exchange_pair(*ends)
        ends[first].shutdown()
        expect_equal(ends[second].end(), "fin", "what the second end saw")
        ends[second].close()
        expect_equal(ends[first].end(), "fin", "what the first end saw")
        ends[first].close()
        expect_equal(end_of(t, ends[0]), "fin", "what the proxy saw")


@scenario("L1")
def half_closed_by_the_program(t, family):
    """The server goes on sending."""
    near, far = through(t)
    near.shutdown()
    expect_equal(far.end(), "fin", "what the server saw")
    half_open(far, near, t)
    far.close()
    expect_equal(near.end(), "fin", "what the program saw")


@scenario("L1")
def half_closed_by_the_server(t, family):
    near, far = through(t)
    far.shutdown()
    expect_equal(near.end(), "fin", "what the program saw")
    half_open(near, far, t)
    near.close()
    expect_equal(far.end(), "fin", "what the server saw")


def half_open(sender, receiver, t):
    for i in range(5):
        sender.send(4, 20_000, i * 20_000)
        receiver.receive(4, 20_000, i * 20_000)
    near = sender if sender.actor is t.root else receiver
    answer = t.agent.call("lookup", peer=near.at_proxy)
    expect_equal(answer.get("destination"), near.peer, "lookup of a half-closed connection")


@scenario("L1")
def refused_by_the_server(t, family):
    """The proxy accepts, finds nobody there, and resets; the program sees a reset."""
    connection = t.root.connect(f"{t.server_host}/{t.free_port()}")
    expect_equal(connection.end(), "reset", "what the program saw")
    expect_equal(end_of(t, connection), "not connected", "what the proxy saw")


@scenario("L1", "L2")
def mapping_goes_with_its_flow(t, family):
    near, _ = through(t)
    peer = near.at_proxy
    expect_equal(t.agent.call("lookup", peer=peer)["status"], 0, "lookup while it is open")
    near.reset()
    wait_until(lambda: t.agent.call("lookup", peer=peer)["status"] == NOT_FOUND, "mapping gone after a reset", 5)


@scenario("L1")
def source_port_used_again_at_once(t, family):
    """A new SYN on an old tuple is a new connection, while the old flow lingers."""
    server = t.echo()
    port = t.free_port()
    before = t.session.stats()["flows_total"]
    for i in range(5):
        connection = t.root.connect(server.local, reuse=1, **{"from": f"{t.client}/{port}"})
        exchange(connection, seed=i)
        connection.reset()
    records = [r for r in t.session.proxied() if r.get("destination") == server.local]
    expect_equal(len(records), 5, f"connections that reached the proxy ({records})")
    expect_equal(t.session.stats()["flows_total"] - before, 5, "flows")


@scenario("L2")
def lookup_by_family_address_and_port(t, family):
    near, _ = through(t)
    port = port_of(near.at_proxy)
    other = {4: "::1", 6: "127.0.0.1"}[family]
    unspecified = {4: "0.0.0.0", 6: "::"}[family]
    for host, status in ((t.loopback, 0), (unspecified, 0), (t.client, NOT_FOUND), (other, NOT_FOUND)):
        expect_equal(t.agent.call("lookup", peer=f"{host}/{port}")["status"], status, f"lookup of {host}/{port}")
    expect_equal(t.agent.call("lookup", peer=f"{t.loopback}/{t.free_port()}")["status"], NOT_FOUND,
                 "lookup of a port that nobody has")


@scenario("L2")
def delete_removes_the_mapping_and_leaves_the_connection(t, family):
    near, far = through(t)
    peer = near.at_proxy
    expect_equal(t.agent.call("forget", peer=f"{t.client}/{port_of(peer)}")["status"], NOT_FOUND,
                 "forget with another address")
    expect_equal(t.agent.call("forget", peer=peer)["status"], 0, "forget")
    expect_equal(t.agent.call("lookup", peer=peer)["status"], NOT_FOUND, "lookup afterwards")
    expect_equal(t.agent.call("forget", peer=peer)["status"], NOT_FOUND, "forget again")
    exchange_pair(near, far, 20_000)
    expect_equal(t.agent.call("lookup", peer=peer)["status"], NOT_FOUND, "lookup after more traffic")


@scenario("L2", session="own")
def classic_get_and_delete(t, family):
    server = t.echo()
    with t.redirected(api="classic"):
        connection = t.root.connect(server.local)
        exchange(connection)
        answer = t.agent.call("get", port=connection.port)
        expect_equal((answer["ip_version"], answer.get("destination"), answer.get("pid")),
                     (family, server.local, t.root.pid), "get_destination")
        for port in (connection.port + 65536, 0, 65536, t.free_port()):
            expect_equal(t.agent.call("get", port=port)["all_zero"], 1, f"get_destination({port}) is all zero")
        expect_equal(t.agent.call("delete", port=connection.port + 65536)["result"], 0, "delete of an impossible port")
        expect_equal(t.agent.call("delete", port=connection.port)["result"], 1, "delete_destination")
        expect_equal(t.agent.call("delete", port=connection.port)["result"], 0, "delete_destination again")
        expect_equal(t.agent.call("get", port=connection.port)["all_zero"], 1, "get_destination afterwards")
        exchange(connection, 20_000, seed=2)
        second = t.root.connect(server.local)
        exchange(second)
        t.agent.call("stop", api="classic")
        expect_equal(t.agent.call("get", port=second.port)["all_zero"], 1, "get_destination after stop")
        expect(t.agent.call("delete", port=second.port)["result"] == 0, "delete_destination after stop")
