# SPDX-License-Identifier: LGPL-3.0-or-later
"""O8: under redirector.exe a program's connect() ends as its destination answers, although a relay stands between."""
from harness import scenario
from lab import expect, expect_equal, on_host, port_of, wait_until
from network import kernel_setting, packet_rules
from scenarios.decisions import REFUSED, TIMED_OUT, refusal
from scenarios.outgoing import exchange
from scenarios.program import Daemon, Run



def silent(family, port):
    return packet_rules(family, f"INPUT -p tcp --dport {port} -j DROP", host="server")


def has_dropped(family):
    """Packets that the rule of silent() has dropped."""
    table = on_host("server", {4: "iptables", 6: "ip6tables"}[family], "-w", "-t", "mangle", "-nvxL", "INPUT")
    return sum(int(line.split()[0]) for line in table.splitlines() if " DROP " in line)


def started(t, *options):
    run = Run(t, *options)
    run.probe.wait_ready()
    return run


@scenario("O8", session="own")
def a_closed_port_is_refused_through_the_relay(t, family):
    run = started(t)
    for host in (t.server_host, t.loopback):
        closed = f"{host}/{t.free_port()}"
        direct = refusal(t.bystander, closed)
        expect_equal(direct, REFUSED, "a closed port, directly")
        expect_equal(refusal(run.probe, closed), direct, "a closed port, through the relay")
    connections = run.connections()
    expect_equal([c["outcome"] for c in connections], ["refused", "refused"], "what is reported")


@scenario("O8", session="own")
def a_silent_destination_times_out_through_the_relay(t, family):
    port = t.free_port()
    silent_one = f"{t.server_host}/{port}"
    with kernel_setting("client", "net.ipv4.tcp_syn_retries", 1), silent(family, port):
        run = started(t)
        direct = refusal(t.bystander, silent_one)
        expect_equal(direct, TIMED_OUT, "a silent destination, directly")
        expect_equal(refusal(run.probe, silent_one), direct, "a silent destination, through the relay")
        run.connections()


@scenario("O8", session="own")
def a_slow_destination_is_waited_for_through_the_relay(t, family):
    """Its first SYN is lost: the program is answered when the destination has answered, and not before."""
    run, server = started(t), t.echo()
    with silent(family, port_of(server.local)):
        connecting = run.probe.begin_connect(server.local)
        wait_until(lambda: has_dropped(family) > 0, "a SYN on its way")
        expect(not connecting.pending.done, "it was connected before the destination has answered")
    connection = connecting.finish()
    exchange(connection, 100_000)
    connection.close()
    connection, = run.connections()
    expect_equal((connection["bytes_up"], connection["bytes_down"], connection["outcome"]),
                 (100_000, 100_000, "closed"), "what is reported")


@scenario("O8", session="own")
def a_program_that_waits_for_a_port_is_not_deceived(t, family):
    """It connects again and again until somebody listens; and one with two addresses goes on to the second."""
    run, to = started(t), f"{t.server_host}/{t.free_port()}"
    for _ in range(3):
        expect_equal(refusal(run.probe, to), REFUSED, "a connect before somebody listens")
    t.server.serve(to)
    connection = run.probe.connect(to)
    exchange(connection)
    connection.close()
    dead, alive = f"{t.loopback}/{t.free_port()}", t.echo(t.native, t.loopback)
    expect_equal(refusal(run.probe, dead), REFUSED, "the first address")
    connection = run.probe.connect(alive.local)
    exchange(connection)
    connection.close()
    expect_equal([c["outcome"] for c in run.connections()], ["refused"] * 3 + ["closed", "refused", "closed"],
                 "what is reported")


@scenario("O8", session="own", families=None)
def a_closed_port_is_refused_through_an_upstream(t):
    with Daemon(t, "server", 1080, "microsocks", "-i", "10.77.0.2", "-p", "1080"):
        run = started(t, "--upstream", "socks5://10.77.0.2:1080")
        expect_equal(refusal(run.probe, f"10.77.0.2/{t.free_port()}"), REFUSED, "a closed port, through an upstream")
        server = t.echo(host="10.77.0.2")
        connection = run.probe.connect(server.local)
        exchange(connection)
        connection.close()
        expect_equal([c["outcome"] for c in run.connections()], ["refused", "closed"], "what is reported")


@scenario("O8", session="own")
def a_program_that_gives_up_is_forgotten_by_the_relay(t, family):
    """Its socket is closed while the relay still dials; later the destination answers, to nobody."""
    run, server = started(t), t.echo()
    with silent(family, port_of(server.local)):
        connecting = run.probe.begin_connect(server.local)
        wait_until(lambda: has_dropped(family) > 0, "a SYN on its way")
        run.probe.call("close", id=connecting.number)
        connecting.pending.result(may_fail=True)
    wait_until(lambda: len(t.server.visitors(server)) == 1, "the relay's connection")
    expect_equal([c["outcome"] for c in run.connections()], ["reset by program"], "what is reported")
