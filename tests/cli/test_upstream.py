# SPDX-License-Identifier: LGPL-3.0-or-later
"""The relay behind another proxy: SOCKS5 and HTTP CONNECT, played here byte by byte."""
import base64
import shutil
import socket
import struct

import schema
from harness import Server, expect_reset, read_all, read_exactly, wait_for
from lab import expect, expect_equal
from test_program import one_line
from test_relay import LinkLocalServer, parse


class Proxy(Server):
    """A proxy that speaks as `talk` says; what it was asked for is in `asked`."""

    def __init__(self, talk, family=4, port=0):
        self.asked = []
        self.talk = talk
        super().__init__(family, self.serve, port=port)

    def serve(self, connection):
        destination = self.talk(self, connection)
        if not destination:
            return
        with socket.create_connection(destination, 30) as onward:
            connection.sendall(read_all(onward))

    @property
    def authority(self):
        address, port = self.destination
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def socks_login(user, password, slowly=False):
    """Wants that user; every byte of its own comes alone if slowly."""
    def send(connection, data):
        for part in ([data[i:i + 1] for i in range(len(data))] if slowly else [data]):
            connection.sendall(part)

    def talk(proxy, connection):
        _, count = read_exactly(connection, 2)
        methods = read_exactly(connection, count)
        if 2 not in methods:
            send(connection, b"\5\xff")
            return None
        send(connection, b"\5\2")
        read_exactly(connection, 1)
        got = [read_exactly(connection, read_exactly(connection, 1)[0]) for _ in range(2)]
        if got != [user.encode(), password.encode()]:
            send(connection, b"\1\1")
            return None
        send(connection, b"\1\0")
        return socks_request(proxy, connection, send)
    return talk


def socks_open(proxy, connection):
    _, count = read_exactly(connection, 2)
    expect_equal(read_exactly(connection, count), b"\0", "ways to log in that are offered")
    connection.sendall(b"\5\0")
    return socks_request(proxy, connection, lambda c, data: c.sendall(data))


def socks_request(proxy, connection, send):
    head = connection.recv(1)
    if not head:  # the try before the program goes no further
        return None
    _, _, kind = read_exactly(connection, 3)
    expect_equal(head, b"\5", "version of the request")
    family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
    address = socket.inet_ntop(family, read_exactly(connection, size))
    port, = struct.unpack("!H", read_exactly(connection, 2))
    proxy.asked.append((address, port))
    send(connection, b"\5\0\0\3\x09localhost\0\0")  # an address of the third kind, which has a length of its own
    return address, port


def http(status="200 Connection established", login=None, answer=None):
    def talk(proxy, connection):
        request = b""
        while b"\r\n\r\n" not in request:
            part = connection.recv(4096)
            if not part:
                return None
            request += part
        first, *headers = request.decode().split("\r\n")
        method, target, version = first.split(" ")
        expect_equal((method, version), ("CONNECT", "HTTP/1.1"), "request")
        expect(f"Host: {target}" in headers, "it has no Host")
        if login:
            expect_equal([h for h in headers if h.startswith("Proxy-Authorization")],
                         ["Proxy-Authorization: Basic " + base64.b64encode(login.encode()).decode()], "login")
        host, port = target.rsplit(":", 1)
        proxy.asked.append((host.strip("[]"), int(port)))
        if answer:
            connection.sendall(answer)
            return None
        connection.sendall(f"HTTP/1.1 {status}\r\nVia: test\r\n\r\n".encode())
        return proxy.asked[-1] if status.startswith("2") else None
    return talk


def check_way(t, talk, url, family=4, via_family=4):
    """A connection goes through the proxy; the destination greets first, with the proxy's last word perhaps."""
    with Server(family, lambda c: c.sendall(b"greeting")) as server, Proxy(talk, via_family) as proxy:
        option = url.replace("PROXY", proxy.authority)
        run = t.relay("--upstream", option, **{f"destination{family}": server.destination})
        with run.connect(family) as client:
            expect_equal(read_all(client), b"greeting", "what comes from the destination")
        line = run.finish()[0]
        expect_equal(proxy.asked, [server.destination], "where the proxy was asked to go")
        expect_equal(parse(line)[3:5], (0, 8), "bytes, without those of the talk")
        expect(line.endswith(f"  via {option.split('://')[0]}://{proxy.authority}"), f"the way is not in {line!r}")
        expect(":s3" not in run.err(), "the password was shown")


def test_socks_without_login(t):
    check_way(t, socks_open, "socks5://PROXY")


def test_socks_ipv6(t):
    check_way(t, socks_open, "socks5://PROXY", family=6, via_family=6)


def test_socks_with_login(t):
    check_way(t, socks_login("user", "s3:=@ %"), "socks5://user:s3%3A=%40%20%25@PROXY/")


def test_socks_byte_by_byte(t):
    check_way(t, socks_login("user", "s3cret", slowly=True), "socks5://user:s3cret@PROXY")


def test_http(t):
    check_way(t, http(), "http://PROXY")


def test_http_with_login_ipv6(t):
    check_way(t, http(login="user:s3cret"), "http://user:s3cret@PROXY", family=6)


def test_what_comes_with_the_proxys_last_word(t):
    """It is the destination's first, and comes to the program, whatever the proxy speaks."""
    def socks(proxy, connection):
        def send(c, data):
            c.sendall(data + b"early" if data[:2] == b"\5\0" and len(data) > 2 else data)
        _, count = read_exactly(connection, 2)
        read_exactly(connection, count)
        connection.sendall(b"\5\0")
        socks_request(proxy, connection, send)
    for scheme, talk in (("socks5", socks), ("http", http(answer=b"HTTP/1.0 200 OK\r\n\r\nearly"))):
        with Server() as server, Proxy(talk) as proxy:
            run = t.relay("--upstream", f"{scheme}://{proxy.authority}", destination4=server.destination)
            with run.connect() as client:
                expect_equal(read_all(client), b"early", f"what comes by {scheme}")
            expect_equal(parse(run.finish()[0])[3:5], (0, 5), "bytes")


def test_http_with_bare_line_feeds(t):
    """RFC 9112, section 2.2: a line feed alone may end a line. What follows the empty line is the destination's."""
    for answer in (b"HTTP/1.1 200 OK\n\nearly", b"HTTP/1.1 200 OK\nA: b\n\nearly", b"HTTP/1.1 200 OK\r\nA: b\r\n\nearly",
                   b"HTTP/1.1 200 OK\n\r\nearly"):
        with Server() as server, Proxy(http(answer=answer)) as proxy:
            run = t.relay("--upstream", f"http://{proxy.authority}", destination4=server.destination)
            with run.connect() as client:
                expect_equal(read_all(client), b"early", f"what comes behind {answer!r}")
            run.finish()


def test_password_from_the_environment(t):
    with Server(4, lambda c: c.sendall(b"x")) as server, Proxy(socks_login("user", "hidden")) as proxy:
        run = t.finish("run", "--upstream", f"socks5://user@{proxy.authority}", "--", t.child(), "exit", "4",
                       REDIRECTOR_UPSTREAM_PASSWORD="hidden", FAKE_DESTINATION4="%s %d" % server.destination)
        expect_equal((run.status, len(run.lines())), (4, 1), "status and lines")


def check_outcome(t, talk, url, outcome):
    with Server() as server, Proxy(talk) as proxy:
        run = t.relay("--upstream", url.replace("PROXY", proxy.authority), destination4=server.destination)
        run.expect_refusal("connection that the proxy does not make")
        lines = run.finish()
        expect(f"  {outcome}  via " in lines[0], f"{outcome!r} is not in {lines[0]!r}")
        expect("1 failed" in lines[1], f"summary: {lines[1]}")


def test_http_refusals(t):
    for status, outcome in (("407 Proxy Authentication Required", "upstream rejects the login"),
                            ("403 Forbidden", "upstream forbids it"),
                            ("502 Bad Gateway", "upstream cannot reach it"),
                            ("nonsense", "upstream is no such proxy")):
        check_outcome(t, http(status), "http://PROXY", outcome)
    check_outcome(t, http(answer=b"SSH-2.0-OpenSSH\r\n"), "http://PROXY", "upstream is no such proxy")
    check_outcome(t, http(answer=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000), "http://PROXY", "upstream is no such proxy")


def socks_reply(code):
    def talk(proxy, connection):
        _, count = read_exactly(connection, 2)
        read_exactly(connection, count)
        connection.sendall(b"\5\0")
        if connection.recv(1):  # not the try before the program
            read_exactly(connection, 9)
            connection.sendall(bytes((5, code, 0, 1)) + bytes(6))
            connection.recv(1)
    return talk


def test_socks_refusals(t):
    for code, outcome in ((1, "upstream cannot reach it"), (2, "upstream forbids it"), (5, "refused"), (7, "upstream cannot reach it")):
        check_outcome(t, socks_reply(code), "socks5://PROXY", outcome)


def test_the_try_before_the_program(t):
    """A proxy that cannot work is one line, and the program does not run."""
    def start(url):
        return t.finish("run", "--upstream", url, "--", t.child(), "args", "the program has run")
    with Proxy(socks_login("user", "right")) as proxy:
        one_line(start(f"socks5://user:wrong@{proxy.authority}"), 3, proxy.authority, "rejects the login")
        one_line(start(f"socks5://{proxy.authority}"), 3, proxy.authority, "rejects the login")
    with Proxy(lambda _, connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as proxy:
        one_line(start(f"socks5://{proxy.authority}"), 3, "does not answer as such a proxy does")
    with Server() as gone:
        authority = "%s:%d" % gone.destination
    one_line(start(f"socks5://{authority}"), 3, "cannot be reached: connection refused")
    run = t.finish("run", "--json", "--upstream", f"socks5://{authority}", "--", t.child())
    line, = map(schema.parse, run.lines())
    expect("connection refused" in line["text"], f"message: {line}")
    one_line(start("http://no-such-host.invalid:1"), 3, "'no-such-host.invalid' was not found")


def test_urls(t):
    for url, part in (("ftp://x", "neither with socks5://"), ("socks5://", "host"), ("socks5://x:0", "port"),
                      ("socks5://x:70000", "port"), ("socks5://x:1x", "port"), ("socks5://u@x", "password is missing"),
                      ("socks5://:p@x", "user name"), ("socks5://u:%zz@x", "password"), ("socks5://[::1", "address"),
                      ("=socks5://x", "pattern"), ("socks5://u:" + "p" * 256 + "@x", "password")):
        run = t.finish("run", "--upstream", url, "--", t.child())
        one_line(run, 2, "--upstream", part)
        expect("ppp" not in run.err(), "the password was shown")


def test_rules(t):
    """By program, by address and by port; the last that matches wins, 'direct' is a way, too."""
    with Server(4, lambda c: c.sendall(b"x")) as server, Proxy(http()) as proxy, Proxy(http()) as other:
        address, port = server.destination
        for options, asked in (
                ([f"http://{other.authority}", f"child.e?e=http://{proxy.authority}"], proxy),
                ([f"{address}=http://{proxy.authority}"], proxy),
                ([f"*:{port}=http://{proxy.authority}"], proxy),
                ([f"http://{proxy.authority}", "other.exe=direct", "10.*=direct", f"*:{port}1=direct"], proxy),
                ([f"http://{proxy.authority}", f"*:{port}=direct"], None),
                ([f"other.exe=http://{proxy.authority}"], None)):
            proxy.asked.clear()
            other.asked.clear()
            words = [word for option in options for word in ("--upstream", option)]
            run = t.relay(*words, destination4=server.destination)
            with run.connect() as client:
                expect_equal(read_all(client), b"x", f"what comes with {options}")
            run.finish()
            wanted = [server.destination] if asked else []
            expect_equal((proxy.asked, other.asked), (wanted, []), f"what the proxies were asked with {options}")


def test_a_pattern_with_equals_signs(t):
    """As in the name of a program; also where a password has some, and one that looks like a proxy."""
    shutil.copy(t.child(), t.path("a=b=.exe"))
    with Server(4, lambda c: c.sendall(b"x")) as server, Proxy(http(login="u:=http://=")) as proxy:
        for whom, asked in (("a=b=.exe", True), ("*=*", True), ("a=*=", False)):
            run = t.relay("--upstream", f"{whom}=http://u:=http://=@{proxy.authority}", program=t.path("a=b=.exe"),
                          destination4=server.destination)
            with run.connect() as client:
                expect_equal(read_all(client), b"x", "what comes")
            run.finish()
            expect_equal(len(proxy.asked), asked, f"connections for {whom}")
            proxy.asked.clear()


def test_upstreams_of_this_machine_are_told_to_the_library(t):
    """O9: by whatever address; not what goes directly."""
    with Proxy(http()) as v4, Proxy(http(), 6) as v6, Server(address="198.51.100.1") as own:
        urls = [f"http://{p.authority}" for p in (v4, v6)] + ["http://%s:%d" % own.destination, "direct"]
        run = t.relay(*[word for url in urls for word in ("--upstream", url)])
        lines = open(run.rules_path, encoding="utf-8").read().splitlines()
        expect_equal({line for line in lines if line.startswith("upstream")},
                     {"upstream %s %d" % server.destination for server in (v4, v6, own)}, "upstreams")
        run.finish()


def test_the_proxy_goes_away(t):
    """It answered the try, and is gone when the connection comes: reset, with a reason, and the relay goes on."""
    proxy = Proxy(http())
    with Server() as server:
        run = t.relay("--upstream", f"http://{proxy.authority}", destination4=server.destination)
        proxy.socket.shutdown(socket.SHUT_RDWR)
        proxy.close()
        for _ in range(2):
            run.expect_refusal("connection without proxy")
        wait_for(lambda: len(run.lines()) == 2, "the lines")
        lines = run.finish()
        expect(all("  upstream not reached" in line for line in lines[:2]), f"lines: {lines}")


def test_the_program_gives_up_while_the_proxy_thinks(t):
    def talk(_, connection):
        thinking.append(connection.recv(4096))
        if thinking[-1]:  # not the try before the program
            expect_reset(connection, "connection to the proxy")
    thinking = []
    with Server() as server, Proxy(talk) as proxy:
        run = t.relay("--upstream", f"http://{proxy.authority}", destination4=server.destination)
        client = run.connect()
        wait_for(lambda: any(b"CONNECT" in request for request in thinking), "the request")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        wait_for(run.err, "the line")
        expect("  reset by program" in run.finish()[0], f"lines: {run.lines()}")


def test_the_scope_of_a_destination_is_not_told_to_a_proxy(t):
    """It means nothing there (RFC 6874). The rules for upstreams know the destination with and without it."""
    with LinkLocalServer() as server, Proxy(http(answer=b"HTTP/1.1 200 OK\r\n\r\nhello")) as proxy:
        for whom in ("fe80::77", f"fe80::77%{server.scope}", f"[fe80::77]:{server.port}"):
            run = t.relay("--upstream", f"{whom}=http://{proxy.authority}", destination6=server.destination)
            with run.connect(6) as client:
                expect_equal(read_all(client), b"hello", f"what comes by the proxy for {whom}")
            run.finish()
        expect_equal(proxy.asked, [("fe80::77", server.port)] * 3, "what the proxy was asked for")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
