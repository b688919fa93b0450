# SPDX-License-Identifier: LGPL-3.0-or-later
"""R2, R3: the rules of a running redirector: the file changes, other ones are set, and names are told."""
import os
import socket
import struct

import schema
from harness import read_exactly, wait_for
from lab import expect, expect_equal
from test_commands import find_one, start_program
from test_program import one_line
from test_rules import write
from test_udp import Datagrams
from test_upstream import Proxy, http

START, NEXT = "block to 10.0.0.0/8\n", "pass to 10.0.0.0/8\nblock port 25\n"


def watched(t, *options, text=START, **environment):
    write(t, "rules.txt", text)
    return t.relay("--rules", "rules.txt", *options, **environment)


def test_a_changed_file(t):
    """Written in place, or replaced by a rename, as editors do; the command line keeps the last word."""
    run = watched(t, "--exclude", "x.exe")
    write(t, "rules.txt", NEXT)
    wait_for(lambda: "rules.txt has changed: 3 rules are in force now" in run.err(), "the first change")
    expect_equal(run.told(), ["rules 3", "exclude 0 - /8", "block 0 - :25-25", "exclude 0 x.exe", "end"], "rules")
    # emptied and written: who is slow between may be seen in between
    with open(t.path("rules.txt"), "w", encoding="utf-8") as file:
        file.write(START)
    wait_for(lambda: "rules.txt has changed: 2 rules are in force now" in run.err(), "the second change")
    expect_equal(run.told()[-4:], ["rules 2", "block 0 - /8", "exclude 0 x.exe", "end"], "rules")
    run.finish()


def test_a_broken_file_changes_nothing(t):
    run = watched(t, "--json")
    write(t, "rules.txt", "pass\nblok\nblock port x\n")
    wait_for(lambda: "stay in force" in run.err(), "the message")
    texts = [schema.parse(line)["text"] for line in run.lines()]
    expect_equal([text.rpartition("rules.txt")[2] for text in texts],
                 [":2:1: 'blok' is none of redirect, pass and block",
                  ":3:12: 'x' is no port, 1 to 65535, and no range such as 8000-8100",
                  " has changed, but is not right: the former rules stay in force"], "messages")
    os.remove(t.path("rules.txt"))
    wait_for(lambda: "cannot be read (error 2); the former rules stay in force" in run.err(), "that it is gone")
    expect_equal(run.told(), [], "what the library was told")
    write(t, "rules.txt", NEXT)
    wait_for(lambda: "2 rules are in force now" in run.err(), "that it is right again")
    expect_equal(run.told()[0], "rules 2", "rules")
    run.finish()


def wait_for_reads(path, count):
    """Waits until somebody has read the file so often, by the time of its last access; where the file system keeps none, not
    at all."""
    def forget():
        os.utime(path, ns=(0, os.stat(path).st_mtime_ns))
    forget()
    with open(path, "rb") as file:
        file.read()
    if not os.stat(path).st_atime_ns:
        return
    for _ in range(count):
        forget()
        wait_for(lambda: os.stat(path).st_atime_ns, "somebody who reads the file")


def test_a_file_that_only_was_touched_is_not_told(t):
    run = watched(t)
    os.utime(t.path("rules.txt"), (1, 1))
    write(t, "rules.txt", START)
    wait_for_reads(t.path("rules.txt"), 2)
    write(t, "other.txt", NEXT)
    write(t, "rules.txt", NEXT)
    wait_for(lambda: "2 rules are in force now" in run.err(), "the change")
    expect_equal(run.err().count("rules.txt has changed"), 1, "changes")
    run.finish()


def ask(t, *arguments, status=0):
    run = t.finish("rules", *arguments)
    expect_equal(run.status, status, f"status of rules {arguments}, which said {run.err()!r}")
    return run


def test_list(t):
    run = watched(t, "--exclude", "a b.exe", "--exclude", "77", "--exclude-listener", "guard.exe",
                  text="# c\n  block to 10.0.0.0/8,fd00::/8\nredirect through http://me:pass@127.0.0.1:8080\n")
    expect_equal(ask(t, "list").out().splitlines(),
                 ["line 2: block to 10.0.0.0/8,fd00::/8", "line 3: redirect through http://127.0.0.1:8080",
                  'command line: pass program "a b.exe"', "command line: pass pid 77",
                  'command line: pass listener "guard.exe"'], "rules as text")
    objects = [schema.parse(line) for line in ask(t, "list", "--json").out().splitlines()]
    expect_equal([(row["line"], row["action"]) for row in objects],
                 [(2, "block"), (2, "block"), (3, "redirect"), (None, "pass"), (None, "pass"), (None, "pass")], "rules")
    run.finish()
    run = t.relay()
    expect_equal(ask(t, "list").out(), "no rules: what the programs open is redirected\n", "none")
    run.finish()
    one_line(t.finish("rules", "list"), 1, "no redirector runs")


def test_set(t):
    run = watched(t, "--exclude", "x.exe")
    write(t, "next.txt", NEXT)
    expect("there are 3 in force now" in ask(t, "set", "next.txt").err(), "the answer")
    expect_equal(run.told(), ["rules 3", "exclude 0 - /8", "block 0 - :25-25", "exclude 0 x.exe", "end"], "rules")
    wait_for(lambda: "'redirector rules set' has set the rules: 3 rules are in force now" in run.err(), "its message")
    expect_equal(ask(t, "list").out().splitlines()[0], "line 1: pass to 10.0.0.0/8", "what is in force")
    write(t, "next.txt", "pass\nblok\n")
    one_line(ask(t, "set", "next.txt", status=1), 1, "next.txt:2:1: 'blok' is none of")
    write(t, "next.txt", "pass\n" * 256)  # right by itself, and one too many
    one_line(ask(t, "set", "next.txt", status=1), 1, "more than 256 rules in all: 256 of the file, 1 of the command line")
    write(t, "next.txt", "pass " + "#" * (1 << 20))
    one_line(ask(t, "set", "next.txt", status=1), 1, "larger than 1 MiB")
    expect_equal(len(run.told()), 5, "what the library was told")
    write(t, "next.txt", "pass\n#" + "x" * ((1 << 20) - 6))  # as large as it may be
    expect("there are 2 in force now" in ask(t, "set", "next.txt").err(), "the answer")
    write(t, "rules.txt", START + START + START)  # the file has the last word when it changes
    wait_for(lambda: "rules.txt has changed: 4 rules" in run.err(), "the change")
    run.finish()


def test_set_that_the_library_refuses(t):
    write(t, "next.txt", NEXT)
    run = t.start("run", "--", t.child(), "wait", "0", FAKE_SET_ERROR="1")
    run.read_start()
    one_line(ask(t, "set", "next.txt", status=1), 1, "the rules cannot be set: ")
    expect_equal(ask(t, "list").out(), "no rules: what the programs open is redirected\n", "what is in force")
    run.finish()


def test_set_needs_the_only_one(t):
    write(t, "next.txt", NEXT)
    runs = [t.relay(), t.relay()]
    one_line(ask(t, "set", "next.txt", status=1), 1, "several redirectors run")
    expect_equal([run.told() for run in runs], [[], []], "what they were told")
    runs[0].finish()
    pid = find_one(t, "redirector.exe")["pid"]
    ask(t, "set", "--pid", str(pid), "next.txt")
    expect_equal(runs[1].told()[0], "rules 2", "rules")
    runs[1].finish()


def test_test(t):
    run = watched(t)
    for arguments, said in ((["curl.exe", "10.1.2.3:25"], "block, by the last rule that matches, line 1"),
                            (["--udp", "--incoming", "curl.exe", "[fd00::1]:25"], "redirect: no rule matches"),
                            (["--stranger", "curl.exe", "10.1.2.3:25"], "pass: no rule matches")):
        answer = ask(t, "test", *arguments).out()
        expect(answer.startswith(said), f"{arguments}: {answer!r}")
    write(t, "next.txt", "pass to *.example.org\n")
    ask(t, "set", "next.txt")
    verdict = schema.parse(ask(t, "test", "--json", "--host", "a.example.org", "x.exe", "10.1.2.3:25").out())
    expect_equal((verdict["action"], verdict["rule"]["line"], verdict["through"]), ("pass", 1, None), "as JSON")
    run.finish()


def test_test_knows_upstream(t):
    with Proxy(http()) as proxy:
        run = watched(t, "--upstream", f"curl.exe=http://joe:secret@{proxy.authority}")
        verdict = schema.parse(ask(t, "test", "--json", "curl.exe", "192.0.2.1:25").out())
        expect_equal(verdict["through"], [[f"http://{proxy.authority}"]], "the way")
        answer = ask(t, "test", "other.exe", "192.0.2.1:25").out()
        expect(answer.startswith("redirect: no rule matches"), answer)
        run.finish()


def test_hostile_requests(t):
    """Each is refused or left, and the next one is served."""
    run = watched(t)
    pipe = rf"\\.\pipe\windows-redirector-{find_one(t, 'redirector.exe')['pid']}"
    for request in (b"rules set 99999999999\n", b"rules set 1048577\n" + b"x" * 100, b"rules set 100\nshort",
                    b"rules set 3\n\xff\xfe\x00", b"rules set \n", b"rules set 1\nblock and more than it said",
                    b"rules test text 5\na\nb\nc", b"rules test json 40\n" + b"9 9 9 9 9 zz\n\n\n" + b"\n" * 25,
                    b"rules test text 12\n" + b"1 6 1 4 80\n\n", b"rules ", b"rules list", b"\n" * 32, b"x" * 32,
                    b"rules test text 60\n1 6 1 4 80 " + b"0a" * 16 + b"\nx\n" + b"h" * 13 + b"\n"):
        client = start_program(t, "say", pipe, request.hex())
        wait_for(lambda: client.poll() is not None, f"the end of {request[:30]}")
        expect_equal(client.returncode, 0, f"status of a client that said {request[:30]}")
    expect_equal(run.told(), [], "what the library was told")
    expect_equal(ask(t, "list").out(), "line 1: block to 10.0.0.0/8\n", "what is in force")
    run.finish()


# ---- names

def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def question(number, name):
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + encoded(name) + struct.pack("!2H", 1, 1)


def answer(number, name, address, alias=None):
    records = [(name, 5, encoded(alias))] if alias else []
    records.append((alias or name, 1, bytes(map(int, address.split(".")))))
    return (struct.pack("!6H", number, 0x8180, 1, len(records), 0, 0) + encoded(name) + struct.pack("!2H", 1, 1)
            + b"".join(encoded(owner) + struct.pack("!2HIH", kind, 1, 60, len(data)) + data
                       for owner, kind, data in records))


def hosts_file(t, text):
    """Replaces Windows' hosts file for this prefix; the former text."""
    path = os.path.join(os.environ["WINEPREFIX"], "drive_c", "windows", "system32", "drivers", "etc", "hosts")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    former = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
    if os.path.lexists(path):
        os.remove(path)  # it may be the same file as in other prefixes
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return former


def test_names_told_by_the_hosts_file(t):
    """Told before the program runs, each address once, by the name that stands last."""
    former = hosts_file(t, "\ufeff# c\r\n10.0.0.1 a.test\r\n10.0.0.2\tb.test alias.test # c d\n fd00::1 c.test#d\n"
                        "10.0.0.1 z.test\nnonsense d.test\n10.0.0.3\n10.0.0.4 " + "x" * 254 + "\n1.2.3 e.test\n"
                        + "".join(f"10.9.{i // 256}.{i % 256} h{i}\n" for i in range(1030)))
    try:
        run = watched(t, text="block to *.test\n")
        wait_for(lambda: "names more than 1024 addresses" in run.err(), "the message about the rest")
        told = run.told()
        expect_equal(told[:4], ["name 10.0.0.1 z.test", "name 10.0.0.2 alias.test", "name fd00::1 c.test",
                                "name 10.9.0.0 h0"], "names")
        expect_equal(len(told), 1024, "how many")
        run.finish()
        hosts_file(t, "10.0.0.1 a.test\n")
        run = watched(t)
        expect_equal(run.told(), [], "names while no rule names a host")
        write(t, "rules.txt", "block to *.test\n")
        wait_for(lambda: "1 rule is in force now" in run.err(), "the change")
        expect_equal(run.told(), ["name 10.0.0.1 a.test", "rules 1", "block 0 - *.test", "end"], "then, before the rules")
        run.finish()
    finally:
        hosts_file(t, former)


def test_names_told_by_dns(t):
    """Told before the program has the answer; the address counts under the name that was looked up last."""
    with Datagrams(port=53) as server:
        run = watched(t, udp=[(0, server.address)], text="block to *.test\n")
        with Datagrams(to=run.udp_port) as program:
            names = lambda: [line for line in run.told() if line.startswith("name 192.")]  # noqa: E731
            for number, name, alias in ((1, "A.test", None), (2, "b.test", "cdn.example"), (2, "b.test", None)):
                before = len(names())
                program.send(question(number, name))
                _, peer = server.receive_from()
                if number == 2 and not alias:
                    server.socket.sendto(answer(3, "forged.test", "192.0.2.1"), peer)  # of another id
                    program.receive()
                    expect_equal(len(names()), before, "names after an answer that nobody asked for")
                server.socket.sendto(answer(number, name, "192.0.2.1", alias), peer)
                program.receive()
                expect_equal(names()[before:], ["name 192.0.2.1 " + name.lower()], "names when the answer is there")
            server.socket.sendto(answer(2, "late.test", "192.0.2.1"), peer)
            program.receive()
            expect_equal(len(names()), 3, "names after a second answer")
            server.socket.sendto(b"\0" * 5, peer)
            program.receive()
            write(t, "rules.txt", START)
            wait_for(lambda: "1 rule is in force now" in run.err(), "rules without hosts")
            program.exchange(server, question(4, "d.test"), answer(4, "d.test", "192.0.2.1"))
            expect_equal(len(names()), 3, "names while no rule names a host")
        run.finish()


def test_names_told_by_dns_over_tcp(t):
    """In pieces of any size, before the program has the last one."""
    listener = socket.create_server(("127.0.0.1", 53))
    run = watched(t, destination4=("127.0.0.1", 53), text="block to *.test\n")
    with listener, run.connect() as program:
        names = lambda: [line for line in run.told() if line.startswith("name 192.")]  # noqa: E731
        program.sendall(b"q")  # what it asks does not matter
        server, _ = listener.accept()
        stream = b"".join(struct.pack("!H", len(message)) + message
                          for message in (answer(1, "a.test", "192.0.2.1"), b"", answer(2, "b.test", "192.0.2.2", "c.test")))
        for at in range(0, 60, 20):
            server.sendall(stream[at:at + 20])
            read_exactly(program, len(stream[at:at + 20]))
            expect_equal(names(), ["name 192.0.2.1 a.test"] if at + 20 >= len(answer(1, "a.test", "192.0.2.1")) + 2 else [],
                         f"names after {at + 20} bytes")
        server.sendall(stream[60:])
        read_exactly(program, len(stream[60:]))
        expect_equal(names(), ["name 192.0.2.1 a.test", "name 192.0.2.2 b.test"], "names at the end")
        server.close()
    run.finish()


def test_names_not_told_are_said(t):
    for options, said in (([], 0), (["--udp", "pass"], 1)):
        run = watched(t, *options, text="block to *.test\n")
        if said:
            wait_for(lambda: "only the names of the hosts file are known" in run.err(), "the message")
        run.finish()
        expect_equal(run.err().count("only the names of the hosts file"), said, f"messages with {options}")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
