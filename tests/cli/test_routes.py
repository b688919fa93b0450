# SPDX-License-Identifier: LGPL-3.0-or-later
"""Where "through" of a file of rules leads: chains of two proxies, and others in the stead of one that fails."""
import socket
import threading

from harness import Server, read_all, wait_for
from lab import expect, expect_equal
from test_relay import parse
from test_upstream import Proxy, http, socks_login, socks_open


def closed_port():
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return "127.0.0.1:%d" % server.getsockname()[1]


def rules_file(t, through):
    path = t.path("through.rules")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# all of it\nredirect through {through}\n")
    return path


def routed(t, server, through, *options):
    run = t.relay("--rules", rules_file(t, through), *options, destination4=server.destination)
    return run


def greeting(run):
    with run.connect() as client:
        return read_all(client)


def greeter():
    return Server(4, lambda c: c.sendall(b"greeting"))


class Forwarder(Proxy):
    """A proxy that passes bytes on in both directions, so that another one can be spoken to through it."""

    def serve(self, connection):
        destination = self.talk(self, connection)
        if destination:
            with socket.create_connection(destination, 30) as onward:
                back = threading.Thread(target=pump, args=(onward, connection), daemon=True)
                back.start()
                pump(connection, onward)
                back.join()


def pump(source, to):
    try:
        while part := source.recv(4096):
            to.sendall(part)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def check_chain(t, near, far, near_url, far_url):
    """Through the second of the two to the first, and from there on."""
    with greeter() as server, Forwarder(near) as over, Proxy(far) as to:
        near_url, far_url = near_url.replace("PROXY", over.authority), far_url.replace("PROXY", to.authority)
        run = routed(t, server, f"{far_url} over {near_url}")
        expect_equal(greeting(run), b"greeting", "what comes from the destination")
        line = run.finish()[0]
        expect_equal((over.asked, to.asked), ([to.destination], [server.destination]), "where the proxies were asked to go")
        expect_equal(parse(line)[3:5], (0, 8), "bytes, without those of the talks")
        expect(f"via {far_url.split(':')[0]}://{to.authority} over " in line, f"the way is not in {line!r}")
        expect("s3cret" not in run.err(), "the password was shown")


def test_r1_socks_over_http(t):
    check_chain(t, http(), socks_open, "http://PROXY", "socks5://PROXY")


def test_r1_http_over_socks_with_logins(t):
    check_chain(t, socks_login("near", "s3cret"), http(login="far:s3cret"), "socks5://near:s3cret@PROXY",
                "http://far:s3cret@PROXY")


def test_r1_another_way_in_the_stead_of_one_that_fails(t):
    """Nobody listens at the first, and the second rejects the login; that is said once for each."""
    with greeter() as server, Proxy(socks_login("joe", "right")) as second, Proxy(socks_open) as third:
        first = closed_port()
        run = routed(t, server, f"socks5://{first}, socks5://joe:wrong@{second.authority}, socks5://{third.authority}")
        for _ in range(2):
            expect_equal(greeting(run), b"greeting", "what comes from the destination")
        lines = run.finish()
        expect_equal(third.asked, 2 * [server.destination], "where the third was asked to go")
        told = [line for line in lines if "does not work" in line]
        expect_equal(len(told), 2, f"messages about ways in {lines}")
        expect(first in told[0] and second.authority in told[1], f"ways in {told}")
        expect(all(line.endswith(f"via socks5://{third.authority}") for line in lines if " via " in line), f"{lines}")


def test_r1_directly_if_no_proxy_works(t):
    with greeter() as server:
        run = routed(t, server, f"http://{closed_port()}, direct")
        expect_equal(greeting(run), b"greeting", "what comes from the destination")
        expect(not any(" via " in line for line in run.finish()), "a connection that went directly shows a proxy")


def test_r1_a_destination_that_refuses_is_no_fault_of_the_proxy(t):
    """What the proxy says of the destination counts, and no other way is tried."""
    with greeter() as server, Proxy(http(status="502 Bad Gateway")) as first, Proxy(http()) as second:
        run = routed(t, server, f"http://{first.authority}, http://{second.authority}")
        with run.connect() as client:
            wait_for(lambda: first.asked, "the question to the first proxy")
            try:
                read_all(client)
            except ConnectionResetError:
                pass
        lines = run.finish()
        expect_equal(second.asked, [], "what the second proxy was asked")
        expect(not any("does not work" in line for line in lines), f"{lines}")


def test_r1_a_proxy_that_says_nothing_has_half_of_the_time(t):
    """S10: a way that is not the last has half of what is left."""
    with greeter() as server, Proxy(lambda proxy, connection: read_all(connection) and None) as mute, Proxy(socks_open) as second:
        run = routed(t, server, f"socks5://{mute.authority}, socks5://{second.authority}", "--connect-timeout", "2")
        expect_equal(greeting(run), b"greeting", "what comes from the destination")
        expect(any("does not work" in line for line in run.finish()), "nothing was said of the first")


def test_r1_a_way_that_works_again_is_taken_again(t):
    with greeter() as server, Proxy(socks_open) as second:
        address, port = closed_port().split(":")
        run = routed(t, server, f"socks5://{address}:{port}, socks5://{second.authority}")
        expect_equal(greeting(run), b"greeting", "what comes by the second")
        with Server(4) as silent, run.connect() as waiting, Proxy(socks_open, port=int(port)) as first:
            del silent, waiting
            wait_for(lambda: "works again" in run.err(), "the first proxy taken for one that works again")
            expect_equal(greeting(run), b"greeting", "what comes by the first")
            expect_equal((first.asked, second.asked[:1]), ([server.destination], [server.destination]), "who was asked")
        run.finish()


def test_r1_mistakes_and_hosts_that_are_not_there(t):
    path = rules_file(t, "socks5://no.such.host.invalid")
    run = t.finish("run", "--rules", path, "--", t.child(), "exit", "0")
    expect_equal(run.status, 3, "exit status")
    expect("no.such.host.invalid" in run.err(), run.err())
    run = t.finish("run", "--rules", rules_file(t, "ftp://host"), "--", t.child(), "exit", "0")
    expect_equal(run.status, 2, "exit status")
    expect("through.rules:2:18: it begins neither with socks5://" in run.err(), run.err())


def greeted_by(t, upstream, server, *options):
    """The program's greeting, and redirector's lines, with such an --upstream."""
    run = t.relay("--upstream", upstream, *options, destination4=server.destination)
    expect_equal(greeting(run), b"greeting", f"what comes from the destination with {upstream}")
    return run.finish()


def test_r1_upstream_has_ways_as_rules_have(t):
    """A proxy over another, and one in the stead of one where nobody listens or that rejects the login; for whom it is."""
    with greeter() as server, Forwarder(http()) as over, Proxy(socks_login("a, b", "over c")) as to:
        lines = greeted_by(t, f"socks5://a%2C%20b:over%20c@{to.authority} over http://{over.authority}", server)
        expect_equal((over.asked, to.asked), (2 * [to.destination], [server.destination]),
                     "where the proxies were asked to go, with the try before the program")
        expect(f"via socks5://{to.authority} over " in lines[0], f"the way is not in {lines[0]!r}")
        nobody = f"http://{closed_port()}"
        lines = greeted_by(t, f"*={nobody}, socks5://joe:no@{to.authority}, direct", server)
        expect_equal([sum(word in line for line in lines) for word in ("cannot be reached", "rejects the login", " via ")],
                     [1, 1, 0], f"what is said in {lines}")
        lines = greeted_by(t, f"other.exe={nobody}, direct", server)
        expect(not any("does not work" in line for line in lines), f"what is said in {lines}")


def test_r1_a_rules_way_comes_before_that_of_the_option(t):
    with greeter() as server, Proxy(http()) as rules, Proxy(http()) as option:
        lines = greeted_by(t, f"http://{option.authority}", server, "--rules", rules_file(t, f"http://{rules.authority}"))
        expect_equal((rules.asked, option.asked), ([server.destination], []), f"who was asked; {lines}")


def test_r1_mistakes_of_upstream(t):
    for upstream, what in (("=http://a", "the pattern before '=' is empty"), ("http://a, ", "a proxy is missing behind ','"),
                           ("http://a over ftp://b", "it begins neither with socks5:// nor"),
                           ("http://a over http://b over http://c", "'over' stands behind two proxies"),
                           (", ".join(5 * ["http://a"]), "there are more than 4 ways"), ("x=http://a, direct\nblock", "end of line")):
        run = t.finish("run", "--upstream", upstream, "--", t.child(), "exit", "0")
        expect_equal(run.status, 2, f"exit status of {upstream!r}")
        expect(what in run.err(), f"{upstream!r}: {run.err()}")
    nobody = closed_port()
    run = t.finish("run", "--upstream", f"http://{nobody}, socks5://{nobody}", "--", t.child(), "exit", "0")
    expect_equal((run.status, run.err().count("cannot be reached")), (3, 2), "exit status, messages")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_r1_")]
