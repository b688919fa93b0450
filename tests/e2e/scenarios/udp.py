# SPDX-License-Identifier: LGPL-3.0-or-later
"""U1 to U5: datagrams of the tree go to a proxy of datagrams, which relays them.

Where a datagram went is told by three witnesses: the program, which sees who answers; the proxy, which says what the library
told it; and the server, which sees the agent's socket, not the program's.
"""
import struct

from harness import scenario
from lab import ANY, LOOPBACK, expect, expect_equal, port_of, wait_until
from network import increase, kernel_counters

UDP, TCP = 17, 6
LARGEST = 65531  # bytes of a packet that Linux hands to the lab: netlink's most. A datagram's most is 4 more


class Echo:
    """A native server of datagrams."""

    def __init__(self, t, actor=None, host=None, port=0):
        self.actor, self.number = actor or t.server, (actor or t.server).new_id()
        self.local = self.actor.call("serve_datagrams", id=self.number, at=f"{host or t.server_host}/{port}")["local"]

    def visitors(self):
        return self.actor.call("datagram_visitors", id=self.number)["visitors"]


def expect_answers(answer, *from_, what=""):
    expect_equal((answer["from"], answer["code"]), (list(from_), 0), f"answers {what}")


def expect_led(session, socket, server, datagrams=1):
    """The proxy was told of one peer that was going there, and the server has not seen the program's socket."""
    peers = session.led(server.local)
    expect(len(peers) == 1, f"{len(peers)} peers of the proxy were going to {server.local}", session.led())
    expect_equal((peers[0]["status"], peers[0]["pid"], peers[0]["up"]), (0, socket.actor.pid, datagrams),
                 "what the proxy was told")
    expect(socket.local not in server.visitors(), "the server has seen the program's own socket", server.visitors())
    return peers[0]


def expect_free(session, socket, server, what):
    """Its datagrams are not redirected."""
    expect_answers(socket.ask(server.local), server.local, what=f"of {what}")
    expect_equal(session.led(server.local), [], f"peers of the proxy for {what}")


@scenario("U1", session="udp")
def datagrams_go_to_the_proxy_and_back(t, family):
    """Sockets that are bound, not bound, bound to all addresses, and connected."""
    session = t.session
    for at, to in ((f"{t.client}/0", False), (f"{ANY[family]}/0", False), (f"{ANY[family]}/any", False),
                   (f"{ANY[family]}/any", True)):
        server = Echo(t)
        socket = t.root.datagrams(at, **({"to": server.local} if to else {}))
        answer = socket.ask(*(() if to else (server.local,)), n=3, size=100)
        expect_answers(answer, *3 * [server.local], what=f"to a socket at {at}")
        socket.local = answer["local"]
        peer = expect_led(session, socket, server, 3)
        flows = session.flows(protocol=UDP, destination=server.local)
        expect_equal([(f["pid"], f["peer"], f["bytes_up"], f["packets_down"]) for f in flows],
                     [(t.root.pid, peer["peer"], 300, 3)], "the library's list")
        expect_equal(port_of(peer["peer"]), port_of(socket.local), "source port at the proxy, which nobody else had")
        tcp = t.agent.call("lookup", peer=peer["peer"], protocol=TCP)
        expect(tcp["status"] != 0, "a peer of UDP is one of TCP", tcp)
        socket.close()


@scenario("U1", session="udp")
def one_socket_and_many_destinations(t, family):
    """Each has a port of its own at the proxy, and answers come from where each was sent to."""
    servers = [Echo(t) for _ in range(6)] + [Echo(t, t.native, t.client2)]
    socket = t.root.datagrams(f"{ANY[family]}/0")
    everywhere = [server.local for server in servers]
    expect_answers(socket.ask(*everywhere, n=2), *2 * everywhere)
    peers = [expect_led(t.session, socket, server, 2)["peer"] for server in servers]
    expect_equal(len(set(peers)), len(peers), "peers of the proxy")
    others = t.child(t.root)
    mine = others.datagrams(f"{ANY[family]}/0")
    expect_answers(mine.ask(*everywhere), *everywhere, what="to a child")
    pids = [sorted(p["pid"] for p in t.session.led(one)) for one in everywhere]
    expect_equal(pids, len(everywhere) * [sorted((t.root.pid, others.pid))], "processes that the proxy was told")


@scenario("U1", "U2", session="udp")
def a_socket_changes_its_peer(t, family):
    """Connected to one, then to another, then to the first again."""
    first, second = Echo(t), Echo(t)
    socket = t.root.datagrams(f"{ANY[family]}/any", to=first.local)
    expect_answers(socket.ask(), first.local)
    for server in (second, first):
        socket.call("redirect_datagram", to=server.local)
        expect_answers(socket.ask(), server.local, what="after a change of peer")
    expect_led(t.session, socket, second)
    expect_led(t.session, socket, first, 2)


@scenario("U4", session="udp")
def datagrams_of_any_size(t, family):
    """Empty ones; with sums that are left to the card; larger than the network's packets, as fragments."""
    server = Echo(t)
    socket = t.root.datagrams(f"{ANY[family]}/0")
    whole = 1500 - 28 if family == 4 else 1500 - 48
    for offload, fragments, sizes in (("off", "off", (0, 1, whole)), ("on", "off", (0, 1, whole)),
                                      ("off", "on", (0, whole, whole + 1, 9000, LARGEST - (1500 - whole)))):
        t.lab.ctl("offload", offload)
        t.lab.ctl("fragments", fragments)
        for size in sizes:
            expect_answers(socket.ask(server.local, size=size), server.local,
                           what=f"with {size} bytes, offload {offload}, fragments {fragments}")
    expect_led(t.session, socket, server, 11)
    stats = t.session.stats()
    expect_equal((stats["udp_fragments_passed"], stats["udp_packets_malformed"]), (0, 0), "fragments that passed")
    t.lab.ctl("fragments", "off")


@scenario("U4", families=None, session="udp")
def a_sum_of_zero_stays_one(t):
    """Of IPv4: "no sum". The datagram is put on the wire beside the program, from its socket's port."""
    server = Echo(t)
    socket = t.root.datagrams(f"{t.client}/0")
    source, to = port_of(socket.local), port_of(server.local)
    header = bytes.fromhex("450000200000000040110000") + bytes((10, 77, 0, 1, 10, 77, 0, 2))
    datagram = header + struct.pack("!HHHH", source, to, 12, 0) + b"zero"
    t.native.call("raw", packets=datagram.hex())
    heard = socket.hear()
    expect_equal((heard.get("from"), heard["bytes"]), (server.local, 4), "the answer")
    expect_led(t.session, socket, server)


@scenario("U2", session="udp")
def events_that_are_late_lost_or_doubled(t, family):
    """Then the first datagram waits, and the sockets that are known, or the table, tell whose it is; order is kept."""
    for setting, undo in ((("delay", "20"), ("reset",)), (("lose", "all"), ("lose", "off")),
                          (("double", "on"), ("double", "off"))):
        t.lab.ctl("events", *setting)
        server = Echo(t)
        socket = t.root.datagrams(f"{ANY[family]}/any", to=server.local)
        expect_answers(socket.ask(n=2), server.local, server.local, what=f"with events {setting}")
        t.lab.ctl("events", *undo)
        expect_led(t.session, socket, server, 2)


@scenario("U2", "U3", session="udp")
def family_and_address_decide_not_the_port(t, family):
    """One port in the hands of the tree and of a stranger, at different addresses, and one after the other."""
    mine = t.root.datagrams(f"{t.client}/0")
    port = port_of(mine.local)
    for _ in range(2 if family == 6 else 0):  # of IPv4 Wine binds datagram sockets to all addresses
        server, free = Echo(t), Echo(t)
        expect_answers(mine.ask(server.local), server.local)
        expect_led(t.session, mine, server)
        its = t.native.call("once", at=f"{t.client2}/{port}", to=free.local, n=9)
        expect_equal((its["same"], its["from"], list(free.visitors())), (True, free.local, [f"{t.client2}/{port}"]),
                     "a stranger with the same port")
    mine.close()
    for actor in (t.root, t.bystander, t.root):
        server = Echo(t)
        socket = actor.datagrams(f"{t.client}/{port}")
        if actor is t.root:
            expect_answers(socket.ask(server.local), server.local)
            expect_led(t.session, socket, server)
        else:
            expect_free(t.session, socket, server, "the next owner of the port")
        socket.close()


@scenario("U2", session="udp")
def one_port_that_the_tree_shares_with_a_stranger(t, family):
    """SO_REUSEADDR: whose a datagram is, the port does not tell then, but the events of each socket's peers do."""
    for connected in (True, False):
        led, free = Echo(t), Echo(t)
        mine = t.root.datagrams(f"{t.client}/0", reuse=1, **({"to": led.local} if connected else {}))
        its = t.bystander.datagrams(f"{t.client}/{port_of(mine.local)}", reuse=1, **({"to": free.local} if connected else {}))
        for _ in range(3):
            expect_equal((mine.tell(None if connected else led.local), its.tell(None if connected else free.local)), (1, 1), "sent")
        wait_until(free.visitors, "the stranger's datagram")
        wait_until(led.visitors, "the tree's datagram")
        expect_equal((list(free.visitors()), t.session.led(free.local)), ([its.local], []), "who reached the stranger's server")
        expect(mine.local not in led.visitors(), "the server has seen the program's own socket", led.visitors())
        expect_equal([p["pid"] for p in t.session.led(led.local)], [t.root.pid], "whose the proxy was told they are")
        mine.close()
        its.close()


@scenario("U2", families=None, session="udp")
def a_dual_stack_socket_sends_in_both_families(t):
    four, six = Echo(t), Echo(t, host="fd77::2")
    socket = t.root.datagrams("::/0", dual=1)
    mapped = "::ffff:" + four.local
    expect_answers(socket.ask(mapped, six.local), mapped, six.local)
    expect_led(t.session, socket, four)
    expect_led(t.session, socket, six)


@scenario("U2", "S9", session="udp")
def sockets_that_send_once_and_close(t, family):
    """As statsd's and syslog's, and those of resolvers that give up: none of it passes the proxy."""
    server = Echo(t)
    expect_equal(t.root.call("tell_once", n=50, to=server.local)["sent"], 50, "datagrams")
    wait_until(lambda: len(server.visitors()) == 50, "fifty visitors of the server", 10)
    expect_equal(len(t.session.led(server.local)), 50, "peers of the proxy that were going there")


@scenario("U3", session="udp")
def what_is_left_alone(t, family):
    """Strangers, the agent, multicast and broadcast, what goes to the proxy itself; and none of it is counted as a flow."""
    session = t.session
    before = session.stats()
    for actor, what in ((t.bystander, "a stranger"), (t.agent, "the agent")):
        expect_free(session, actor.datagrams(f"{ANY[family]}/0"), Echo(t), what)
    socket = t.root.datagrams(f"{t.client}/0")
    groups = ("224.0.0.251/5353", "239.1.2.3/9", "255.255.255.255/9", "10.77.0.255/9") if family == 4 else ("ff02::fb%2/5353",)
    for group in groups:
        socket.call("tell_datagrams", to=group, may_fail=True)
    peers = len(session.led())
    socket = t.root.datagrams(f"{LOOPBACK[family]}/0")
    socket.tell(f"{LOOPBACK[family]}/{session.udp_port}")
    mine = wait_until(lambda: session.led()[peers:], "the datagram to the proxy itself")
    expect_equal([(p["peer"], p["status"] != 0) for p in mine], [(socket.local, True)], "who has sent to the proxy")
    after = session.stats()
    expect_equal(after["udp_flows_total"], before["udp_flows_total"], "flows")


@scenario("U3", session="udp")
def a_server_of_the_tree_keeps_its_port(t, family):
    """What it answers to those who have sent first is not redirected, by whichever of its sockets."""
    port = t.free_port()
    for at in (t.client, ANY[family]):
        server = t.root.datagrams(f"{at}/{port}")
        heard = server.begin("hear", answer=1)
        answer = t.server.call("once", at=f"{t.server_host}/0", to=f"{t.client}/{port}", n=500)
        expect_equal((answer["same"], answer["from"]), (True, f"{t.client}/{port}"), "the answer")
        expect_equal(heard.result()["from"], answer["local"], "who has asked")
        expect_equal(t.session.led(answer["local"]), [], "peers of the proxy")
        server.close()


@scenario("U1", "U3", session="udp")
def datagrams_within_the_machine(t, family):
    """Go to the proxy, too; what the agent sends to the tree does not."""
    for host in (t.loopback, t.client):
        server = Echo(t, t.native, host)
        socket = t.root.datagrams(f"{host}/0")
        expect_answers(socket.ask(server.local, n=2), server.local, server.local, what=f"of {host}")
        expect_led(t.session, socket, server, 2)
        heard = socket.begin("hear", answer=1)
        expect_answers(t.agent.datagrams(f"{host}/0").ask(socket.local), socket.local, what="to the agent")
        heard.result()


@scenario("U4", session="udp")
def who_cannot_be_reached_is_said_to_be(t, family):
    """The proxy says so, and the program's stack gets an error that it finds the socket of. (Wine tells no program.)"""
    server = Echo(t)
    names = ("IcmpInDestUnreachs", "IcmpInErrors") if family == 4 else ("Icmp6InDestUnreachs", "Icmp6InErrors")
    for at in (f"{t.client}/0", f"{ANY[family]}/0")[family == 4:]:  # of IPv4 Wine ties the first one to its interface
        socket = t.root.datagrams(at)
        answer = socket.ask(server.local)
        expect_answers(answer, server.local)
        peer = next(p["peer"] for p in t.session.led(server.local) if port_of(p["peer"]) == port_of(answer["local"]))
        before, translated = kernel_counters("client"), t.session.stats()["udp_errors_translated"]
        expect_equal(t.agent.call("datagram_unreachable", peer=peer)["status"], 0, "redirector_udp_unreachable()")
        wait_until(lambda: kernel_counters("client")[names[0]] > before[names[0]], "the error at the program's stack")
        expect_equal(increase(before, kernel_counters("client"), *names), {names[0]: 1, names[1]: 0}, f"errors for a socket at {at}")
        expect_equal(t.session.stats()["udp_errors_translated"], translated + 1, "errors that were translated")
        expect_answers(socket.ask(server.local), server.local, what="after that: the flow goes on")
    nobody = f"{LOOPBACK[family]}/{t.free_port()}"
    expect_equal(t.agent.call("datagram_unreachable", peer=nobody)["status"], 8, "of a peer that is none")


LOAD = 20000
GIGABYTE = (1 << 30) // 1200  # packets


@scenario("U5", session="udp")
def a_strangers_load_stays_in_the_kernel(t, family):
    """What it sends, once the filter knows the port: until then less than a hundredth of a gigabyte. And what it gets."""
    sink, number = Echo(t), t.native.new_id()
    before = t.session.stats()["udp_packets_seen"]

    def seen(what, give):
        give()
        return wait_until(lambda: settled(t.session), f"the count of {what}")["udp_packets_seen"] - before

    def upload():
        t.native.call("hand_out", limit=60, id=number, at=f"{t.client}/0", to=sink.local, count=LOAD, n=1200)

    first = seen("the first upload", upload)
    expect(first <= GIGABYTE // 100, f"the library was given {first} packets of a stranger's upload")
    second = seen("the second upload", upload) - first
    expect(second <= LOAD // 1000, f"the library was given {second} of {LOAD} packets more")
    sink = t.native.call("serve_datagrams", id=t.native.new_id(), at=f"{t.client}/0", mute=1)["local"]
    down = seen("the download", lambda: t.server.call("hand_out", limit=60, id=t.server.new_id(), at=f"{t.server_host}/0",
                                                      to=sink, count=LOAD, n=1200)) - first - second
    expect(down <= 100, f"the library was given {down} of {LOAD} packets of a stranger's download")


def settled(session):
    """The counters, if no packet is on its way any more."""
    stats = session.stats()
    return stats if session.stats()["udp_packets_seen"] == stats["udp_packets_seen"] else None


# ---- redirectors of their own


@scenario("U3", session="own")
def nobody_receives_on_the_proxys_port(t, family):
    """Then datagrams pass, or with FAIL_CLOSED are dropped; and are led as soon as somebody does."""
    for flags in (0, 4):
        server = Echo(t)
        with t.redirected(udp=True, udp_proxy=False, flags=flags, proxy=0) as session:
            socket = t.root.datagrams(f"{t.client}/0", patience_ms=300 if flags else 5000)
            answer = socket.ask(server.local)
            expect_equal((answer["came"], list(server.visitors())), (0, []) if flags else (1, [socket.local]),
                         f"answers, and who the server has seen, with flags {flags}")
            expect(session.stats()["udp_proxy_not_listening"] >= 1, "it is not counted")
            t.agent.call("datagram_proxy", at=f"{LOOPBACK[family]}/{session.udp_port}", mode="relay")
            other = Echo(t)
            socket = t.root.datagrams(f"{t.client}/0")
            expect_answers(socket.ask(other.local), other.local, what="once somebody receives")
            expect_led(session, socket, other)


@scenario("U1", "U3", session="own")
def without_loopback_and_without_tcp(t, family):
    """REDIRECTOR_NO_LOOPBACK counts for datagrams as well; and UDP alone needs no port of TCP's."""
    near, far = Echo(t, t.native, t.loopback), Echo(t)
    with t.redirected(udp=True, flags=32, proxy=0) as session:
        expect_free(session, t.root.datagrams(f"{t.loopback}/0"), near, "loopback")
        socket = t.root.datagrams(f"{t.client}/0")
        expect_answers(socket.ask(far.local), far.local)
        expect_led(session, socket, far)
        connection = t.root.connect(t.echo().local)
        expect_equal(session.proxied(), [], "connections at the proxy")
        connection.close()
        expect_equal(session.stats()["packets_seen"], 0, "packets of TCP that the library was given")


@scenario("U5", "S2", session="own")
def stop_under_load(t, family):
    """Stops in time, and what comes then goes to its destination directly."""
    server = Echo(t)
    with t.redirected(udp=True, udp_mode="echo") as session:
        sockets = [t.root.datagrams(f"{t.client}/0") for _ in range(3)]
        for socket in sockets:
            expect_answers(socket.ask(server.local), server.local)
        telling = [socket.begin("tell_datagrams", to=server.local, n=20000, size=1000) for socket in sockets]
        session.stop()
        for pending in telling:
            expect_equal(pending.result(60)["sent"], 20000, "datagrams that were sent")
        socket = t.root.datagrams(f"{t.client}/0")
        expect_answers(socket.ask(server.local), server.local, what="after the stop")
        expect(socket.local in server.visitors(), "it is not direct")


FLOWS, AT_A_TIME, MORE = 16384, 512, 1024


@scenario("U5", families=None, session="own", long=True)
def more_flows_than_there_is_room_for(t):
    """The flow that has been idle longest makes room. Nobody goes without an answer, and the table does not grow."""
    with t.redirected(udp=True, udp_mode="echo") as session:
        socket = t.root.datagrams("10.77.0.1/0")

        def reached(count):
            stats = session.stats()
            return stats if stats["udp_flows_total"] == count else None
        for sent in range(0, FLOWS + MORE, AT_A_TIME):
            socket.call("tell_datagrams", to=f"10.77.0.2/{2000 + sent}", n=AT_A_TIME, step=1)
            stats = wait_until(lambda count=sent + AT_A_TIME: reached(count), f"{sent + AT_A_TIME} flows in all")
            expect(stats["udp_flows_live"] <= FLOWS, "more flows than there is room for", stats["udp_flows_live"])
        expect_equal((stats["udp_flows_live"], stats["udp_table_full"]), (FLOWS, 0), "live flows, datagrams without room")
        fresh = t.root.datagrams("10.77.0.1/0", patience_ms=500)
        for to in ("10.77.0.2/1999", "10.77.0.2/2000", f"10.77.0.2/{2000 + FLOWS}"):
            # the proxy's buffer may still be full of the others, and lose it
            wait_until(lambda to=to: fresh.ask(to)["from"] == [to], f"an answer of {to}, with a full table", 20)


@scenario("U2", "R3", session="own")
def changed_rules_apply_to_new_flows(t, family):
    with t.redirected(udp=True) as session:
        old, fresh, other = Echo(t), Echo(t), Echo(t)
        socket = t.root.datagrams(f"{t.client}/0")
        expect_answers(socket.ask(old.local), old.local)
        t.agent.call("set_rules", rules=f"-#{t.root.pid}")
        expect_answers(socket.ask(old.local), old.local, what="of a flow that goes on")
        expect_led(session, socket, old, 2)
        expect_free(session, t.root.datagrams(f"{t.client}/0"), fresh, "what a rule excludes")
        t.agent.call("set_rules", rules="")
        again = t.root.datagrams(f"{t.client}/0")
        expect_answers(again.ask(other.local), other.local)
        expect_led(session, again, other)
