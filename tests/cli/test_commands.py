# SPDX-License-Identifier: LGPL-3.0-or-later
"""attach, ps, flows, stats, doctor; incoming connections, proxies of the user's own, names of hosts."""
import fcntl
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import termios

import schema
from harness import Server, read_all, wait_for
from lab import expect, expect_equal
from test_program import HOSTILE_NAME, one_line


def ask(t, *arguments):
    """A second redirector.exe, beside the one that runs."""
    run = t.start(*arguments)
    run.end_input()
    run.wait()
    return run


def start_program(t, *arguments, name="child.exe"):
    """A program of its own, outside of any redirector; its Windows process id."""
    base = t.path(f"program{len(t.programs)}")
    with open(base, "wb") as out:
        process = subprocess.Popen([t.wine, t.child(name), *arguments], stdin=subprocess.PIPE, stdout=out, stderr=out,
                                   cwd=t.folder)
    process.out = base
    t.programs.append(process)
    return process


def find(t, name, *options):
    """The rows of ps with that file name."""
    run = ask(t, "ps", "--json", *options)
    expect_equal((run.status, run.err()), (0, ""), "status and errors of ps")
    rows = [schema.parse(line) for line in run.out().splitlines()]
    rows = [row for row in rows if row["reason"] != "redirector itself"]
    return [row for row in rows if (row["path"] or "").replace("/", "\\").split("\\")[-1] == name]


def find_one(t, name, *options):
    wait_for(lambda: len(find(t, name, *options)) == 1, f"one process {name}")
    return find(t, name, *options)[0]


def rules(t, run):
    """What the library was given: flags, roots, rules."""
    lines = open(run.rules_path, encoding="utf-8").read().splitlines()
    return int(lines[0].split()[1]), [int(word) for word in lines[1].split()[1:]], lines[2:]


# ---- attach and ps

def test_attach_errors(t):
    for arguments, status, *parts in (
            (["attach"], 2, "--pid or --name"), (["attach", "--pid", "0"], 2, "a process id"),
            (["attach", "--pid", "4294967296"], 2, "a process id"), (["attach", "--pid", "1x"], 2, "a process id"),
            (["attach", "--exclude", "x.exe"], 2, "--pid or --name"), (["attach", "--", "x"], 2, "'--'"),
            (["attach", "--pid", "3999996"], 3, "no process 3999996"),
            (["attach", "--name", "nobody.exe"], 127, "runs")):
        one_line(t.finish(*arguments), status, *parts)


def test_attach_by_pid_and_name(t):
    programs = [start_program(t, "wait", name=name) for name in ("child.exe", "other.exe")]
    child, other = find_one(t, "child.exe"), find_one(t, "other.exe")
    with Server(4, lambda c: c.sendall(b"y")) as server:
        run = t.start("attach", "--pid", str(child["pid"]), "--name", "OTH*.exe", "--exclude", "third.exe",
                      "--exclude", "77", "--exclude-listener", "guard.exe", "--until-exit", FAKE_DESTINATION4="%s %d" % server.destination)
        run.read_start()
        expect_equal(rules(t, run)[1:], ([child["pid"], other["pid"]],
                                        ["include 0 OTH*.exe", "exclude 0 third.exe", "exclude 77 -", "exclude 0 -",
                                         "to guard.exe"]), "roots, rules")
        wait_for(lambda: "redirecting 2 processes and what they start" in run.err(), "what it says")
        with run.connect() as client:
            expect_equal(read_all(client), b"y", "what comes")
        programs[0].stdin.close()
        wait_for(lambda: not find(t, "child.exe"), "the end of the first")
        expect(run.process.poll() is None, "attach has ended with one of two")
        programs[1].stdin.close()
        expect_equal(run.wait(), 0, "status")
        lines = run.lines()
        expect("redirecting 2 processes and what they start" in lines[0], f"first line: {lines[0]}")
        expect("child.exe(" in lines[1] and "1 connection" in lines[2], f"lines: {lines}")


def test_attach_to_more_processes_of_a_name_than_fit_anywhere(t):
    """Each is a root; redirector waits for the last."""
    crowd = start_program(t, "crowd", "80", name="other.exe")
    wait_for(lambda: len(find(t, "other.exe")) == 81, "the crowd")
    pids = {row["pid"] for row in find(t, "other.exe")}
    rows = find(t, "other.exe", "--name", "other.exe")
    expect_equal({row["pid"] for row in rows if row["redirected"]}, pids, "whom ps names")
    run = t.start("attach", "--until-exit", "--name", "other.exe")
    run.read_start()
    expect_equal(set(rules(t, run)[1]), pids, "roots")
    wait_for(lambda: "redirecting 81 processes and what they start" in run.err(), "what it says")
    crowd.stdin.close()
    expect_equal(run.wait(), 0, "status")


def test_attach_waits_for_later_ones_of_a_name(t):
    first = start_program(t, "wait", name="other.exe")
    find_one(t, "other.exe")
    run = t.start("attach", "--name", "other.exe")
    run.read_start()
    first.stdin.close()
    wait_for(lambda: "waiting for later ones" in run.err() or run.process.poll() is not None, "the hint")
    expect(run.process.poll() is None, f"attach has ended with the last that ran: {run.err()}")
    start_program(t, "wait", name="other.exe")
    find_one(t, "other.exe")
    run.interrupt()
    expect_equal(run.wait(), 0, "status")


def test_attach_until_exit(t):
    """It ends with the last of that name, though that came later."""
    first = start_program(t, "wait", name="other.exe")
    find_one(t, "other.exe")
    run = t.start("attach", "--name", "other.exe", "--until-exit")
    run.read_start()
    second = start_program(t, "wait", name="other.exe")
    wait_for(lambda: len(find(t, "other.exe")) == 2, "the second")
    first.stdin.close()
    find_one(t, "other.exe")
    expect(run.process.poll() is None, f"attach has ended with the first: {run.err()}")
    second.stdin.close()
    expect_equal(run.wait(), 0, "status")
    expect("waiting" not in run.err(), f"it said {run.err()!r}")


def test_what_is_not_redirected_is_said_once(t):
    shutil.copy(t.child(), t.path("WSL.exe"))
    run = t.start("run", "--", t.path("WSL.exe"), "wait")
    run.read_start()
    wait_for(lambda: "wsl.exe is in the tree; what runs inside WSL is not redirected" in run.err(), "the message")
    expect_equal(len(run.finish()), 2, "lines")
    run = t.start("run", "--", t.child(), "wait")
    run.read_start()
    other = start_program(t, "wait")  # outside of the tree
    find(t, "child.exe")
    expect_equal(len(run.finish()), 1, "lines without it")
    other.stdin.close()


def test_where_the_log_is_is_said(t):
    run = t.finish("run", "--", t.child(), "exit", "5", FAKE_NOTE="the log is elsewhere")
    expect_equal((run.status, run.lines()[0]), (5, "redirector: the log is elsewhere"), "status, first line")


def test_ctrl_c_ends_attach(t):
    program = start_program(t, "wait")
    run = t.start("attach", "--pid", str(find_one(t, "child.exe")["pid"]))
    run.read_start()
    wait_for(lambda: run.err().endswith("\n"), "the first line")
    run.interrupt()
    expect_equal(run.wait(), 0, "status")
    expect(os.path.exists(run.stop_path), "the redirector was not freed")
    expect(program.poll() is None, "the program has ended, too")


def test_a_launcher_may_end_before_its_child(t):
    with Server(4, lambda c: c.sendall(b"z")) as server:
        run = t.start("run", "--", t.child(), "launch", "wait", FAKE_DESTINATION4="%s %d" % server.destination)
        run.read_start()
        wait_for(lambda: [row["pid"] for row in find(t, "child.exe")] not in ([], [run.pid]), "the launcher's end")
        wait_for(lambda: run.process.poll() is not None or "1 process of it still runs" in run.err(), "the hint")
        expect(run.process.poll() is None, f"redirector has ended with the launcher: {run.err()}")
        with run.connect() as client:
            expect_equal(read_all(client), b"z", "what comes after the launcher's end")
        run.end_input()
        expect_equal(run.wait(), 0, "status")


def test_ps_says_why(t):
    launcher = start_program(t, "pass", f'"{t.child("other.exe")}" wait')
    parent, child = find_one(t, "child.exe"), find_one(t, "other.exe")
    expect_equal((parent["redirected"], parent["reason"]), (False, None), "without options")
    options = ("--pid", str(parent["pid"]))
    reasons = [(find_one(t, name, *more)["redirected"], find_one(t, name, *more)["reason"]) for name, more in (
        ("child.exe", options), ("other.exe", options), ("other.exe", options + ("--exclude", "oth*")),
        ("other.exe", ("--name", "OTHER.exe")), ("child.exe", ("--name", "OTHER.exe")),
        ("other.exe", ("--exclude", "*", "--name", "*\\other.exe")))]
    expect_equal(reasons, [(True, f"--pid {parent['pid']}"), (True, f"started by {parent['pid']}"),
                          (False, "--exclude oth*"), (True, "--name OTHER.exe"), (False, None),
                          (True, "--name *\\other.exe")], "reasons")
    expect_equal(child["parent"], parent["pid"], "parent")
    lines = ask(t, "ps", *options).out().splitlines()
    expect_equal(lines[0].split(), ["PID", "PROCESS", "REDIRECTED"], "heading")
    at = next(i for i, line in enumerate(lines) if line.split()[:2] == [str(parent["pid"]), "child.exe"])
    expect(re.search(rf"^ *{child['pid']}    +other.exe +yes  started by {parent['pid']}$", lines[at + 1]),
           f"the child is not below its parent: {lines[at:at + 2]}")
    launcher.stdin.close()


def start_hostile_program(t):
    """One with a name that would do things to a terminal."""
    shutil.copy(t.child(), t.path(HOSTILE_NAME))
    program = subprocess.Popen([t.wine, t.path(HOSTILE_NAME), "wait"], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.programs.append(program)
    wait_for(lambda: "evil" in ask(t, "ps").out(), "the program")


def test_hostile_names_in_ps(t):
    start_hostile_program(t)
    for options in ([], ["--json"]):
        out = ask(t, "ps", *options).out()
        expect("\u009b" not in out and "\u202e" not in out, "a hostile character reached the terminal")


# ---- incoming, and other people's proxies

def test_incoming(t):
    """The relay listens on all addresses for it, and says who came."""
    with Server(4, lambda c: c.sendall(b"in")) as server:
        run = t.start("run", "--incoming", "--json", "--", t.child(), "wait", FAKE_INCOMING="1",
                      FAKE_DESTINATION4="%s %d" % server.destination)
        run.read_start()
        expect(run.incoming not in (0, run.port), f"incoming port: {run.incoming}")
        with socket.create_connection(("198.51.100.1", run.incoming), 30) as client:
            own = client.getsockname()
            expect_equal(read_all(client), b"in", "what comes")
        connection = next(line for line in run.json() if line["type"] == "connection")
        expect_equal({key: connection[key] for key in ("direction", "peer", "peer_port", "destination", "port")},
                     {"direction": "in", "peer": own[0], "peer_port": own[1], "destination": server.destination[0],
                     "port": server.destination[1]}, "connection")


def test_incoming_alone(t):
    run = t.start("run", "--incoming", "--no-outgoing", "--", t.child(), "wait")
    run.read_start()
    expect_equal(run.port, 0, "port for outgoing")
    expect(run.incoming, "there is no port for incoming")
    run.finish()


def test_flags_and_fixed_port(t):
    with Server() as free:
        port = free.destination[1]
    run = t.start("run", "--reflect", "--fail-closed", "--no-loopback", "--no-firewall-permit",
                  "--no-proof", "--relay-port", str(port), "--",
                   t.child(), "wait")
    run.read_start()
    expect_equal((run.port, rules(t, run)[0]), (port, 2 | 4 | 32 | 128 | 256 | 512), "port and flags")
    socket.create_connection(("198.51.100.1", port), 30).close()  # reflection needs all addresses
    run.finish()


def test_port_busy(t):
    with Server() as busy:
        run = t.finish("run", "--relay-port", str(busy.destination[1]), "--", t.child())
        one_line(run, 3, f"port {busy.destination[1]} is in use", "--relay-port")


def test_own_proxy_that_does_not_listen(t):
    with Server() as gone:
        port = gone.destination[1]
    for option in ("--proxy-port", "--incoming-proxy"):
        one_line(t.finish("run", option, str(port), "--", t.child(), "args", "x"), 3,
                 f"nothing listens on port {port}", "start your proxy first")


# ---- what a running one tells

def test_flows_and_stats(t):
    with Server() as server:
        run = t.relay(destination4=server.destination)
        client = run.connect()
        upstream = server.accept()
        client.sendall(b"12345")
        expect_equal(upstream.recv(5), b"12345", "data")
        line, = [schema.parse(line) for line in ask(t, "flows", "--json").out().splitlines()]
        expect_equal((line["pid"], line["bytes_up"], line["port"]), (run.pid, 5, server.destination[1]), "connection")
        heading, row = ask(t, "flows").out().splitlines()
        expect_equal(heading.split()[0], "process(pid)", "heading")
        expect("child.exe(%d)  %s:%d" % (run.pid, *server.destination) in re.sub("  +", "  ", row), f"row {row!r}")
        stats, = [schema.parse(line) for line in ask(t, "stats", "--json").out().splitlines()]
        expect_equal((stats["flows_live"], stats["watchdog_trips"]), (3, 23), "counters")
        expect(re.search(r"^watchdog_trips +23$", ask(t, "stats").out(), re.M), "a counter is missing")
        client.close()
        upstream.close()
        run.finish()


def test_redirecting_that_ends_by_itself_is_told_once(t):
    run = t.start("run", "--", t.child(), "wait", "6", FAKE_FAILED="Z:" + t.path("failed"))
    run.read_start()
    open(t.path("failed"), "wb").close()
    wait_for(lambda: run.err().endswith("\n"), "the message")
    lines = run.finish()
    expect_equal((run.status, len(lines)), (6, 2), "status and number of lines")
    expect("has ended by itself" in lines[0] and "made no progress" in lines[0], f"message: {lines[0]}")


def test_what_limits_redirection_is_told_once(t):
    run = t.start("run", "--", t.child(), "wait", "6", FAKE_LIMIT="process 7 cannot be put into a job")
    run.read_start()
    wait_for(lambda: run.err().endswith("\n"), "the message")
    lines = run.finish()
    expect_equal([line for line in lines if "process 7 cannot be put into a job" in line], lines[:1], "messages")


class Terminal:
    """A terminal of 100 by 24 characters with redirector.exe in it; what the program has written to it so far."""

    def __init__(self, t, *arguments, **environment):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.written = b""
        self.process = subprocess.Popen([t.wine, t.child("redirector.exe"), *arguments], stdin=theirs, stdout=theirs,
                                        stderr=theirs, cwd=t.folder, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
                                        env=dict(os.environ, TERM="xterm", **environment))
        self.process.stdin = os.fdopen(theirs, "wb")
        t.programs.append(self.process)

    def shows(self, *texts):
        while select.select([self.ours], [], [], 0)[0]:
            self.written += os.read(self.ours, 65536)
        text = self.written.decode("utf-8", "replace")
        return all(part in text for part in texts)


def test_live_list(t):
    """On a terminal that is free; names in it are harmless, and Ctrl-C ends it."""
    start_hostile_program(t)
    port_file = t.path("live.start")
    with Server(4, lambda c: c.recv(1)) as server:
        terminal = Terminal(t, "attach", "--name", "evil*", FAKE_PORT_FILE="Z:" + port_file,
                            FAKE_DESTINATION4="%s %d" % server.destination)
        wait_for(lambda: terminal.shows("PROCESS", "DESTINATION", "Ctrl-C ends"), "the list")
        port = int(open(port_file, encoding="utf-8").read().split()[0])
        with socket.create_connection(("127.0.0.1", port), 30):
            wait_for(lambda: terminal.shows("evil\ufffd31m\ufffdgpj.exe", "%s:%d" % server.destination, "1 open"),
                     "a row")
        wait_for(lambda: terminal.shows("1 ended"), "the end of the connection")
        os.write(terminal.ours, b"\x03")
        wait_for(lambda: terminal.shows() and terminal.process.poll() is not None, "the end")
        expect_equal(terminal.process.returncode, 0, "status")
        expect("\u009b31m" not in terminal.written.decode() and "\u202e" not in terminal.written.decode(),
               "a hostile character reached the terminal")


def test_live_needs_a_terminal(t):
    run = t.finish("run", "--live", "--", t.child(), "exit", "5")
    expect_equal((run.status, len(run.lines())), (5, 2), "status and lines")
    expect("--live needs a terminal" in run.lines()[0], f"lines: {run.lines()}")


def test_nobody_to_ask(t):
    one_line(t.finish("flows"), 1, "no redirector runs")
    one_line(t.finish("stats", "--pid", "3999996"), 1, "3999996", "no redirector")
    one_line(t.finish("stats", "--pid", "1", "--pid", "2"), 2, "one --pid")


def test_a_client_that_stands_still_stops_nobody(t):
    """Somebody opens the channel and says nothing; the end of the redirector does not wait for him."""
    run = t.relay()
    row = find_one(t, "redirector.exe")
    silent = start_program(t, "hold", rf"\\.\pipe\windows-redirector-{row['pid']}")
    wait_for(lambda: open(silent.out, "rb").read().split() == [b"open"], "the open channel")
    run.end_input()
    run.wait(20)
    silent.stdin.close()


# ---- names

def client_hello(name, key_bytes=2):
    """With a key share of that size before the name."""
    host = name.encode()
    entry = struct.pack("!BH", 0, len(host)) + host
    extension = struct.pack("!H", len(entry)) + entry
    extensions = struct.pack("!HH", 51, key_bytes) + bytes(key_bytes) + struct.pack("!HH", 0, len(extension)) + extension
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\x01" + b"\1\0" + struct.pack("!H", len(extensions)) + extensions
    message = b"\1" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\3\1" + struct.pack("!H", len(message)) + message


def test_host_names(t):
    hello = client_hello("shop.example.com")
    cases = [([hello], "shop.example.com"), ([hello[:70], hello[70:]], "shop.example.com"),
             ([hello[i:i + 1] for i in range(len(hello))], "shop.example.com"),
             ([b"GET / HTTP/1.1\r\nUser-Agent: x\r\nHOST: example.org\r\n\r\n"], "example.org"),
             ([b"POST / HTTP/1.1\r\nHo", b"st:  a.example:8080 \r\n\r\n"], "a.example:8080"),
             ([client_hello("evil\x1b[31m.com")], None), ([b"GET / HTTP/1.1\r\nHost: a\xe2\x80\xaeb\r\n\r\n"], None),
             ([b"GET / HTTP/1.1\r\nAccept: x\r\n\r\nHost: no.example\r\n"], None), ([b"SSH-2.0-x\r\n"], None),
             ([hello[:60]], None), ([b"\x16" * 9000], None), ([b"GET " + b"x" * 9000], None)]

    def serve(connection):
        read_all(connection)
    with Server(4, serve) as server:
        run = t.relay("--json", destination4=server.destination)
        for parts, _ in cases:
            with run.connect() as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for part in parts:
                    client.sendall(part)
                client.shutdown(socket.SHUT_WR)
                read_all(client)
        ended = sorted((line for line in run.json() if line["type"] == "connection"), key=lambda line: line["number"])
        expect_equal([line["host"] for line in ended], [name for _, name in cases], "names")


# ---- listeners of others

def test_listen_port_reaches_the_library(t):
    run = t.relay("--incoming", "--listen-port", "8080", "--listen-port=443")
    run.finish()
    with open(run.rules_path, encoding="utf-8") as file:
        expect_equal([line for line in file.read().splitlines() if line.startswith("port ")], ["port 8080", "port 443"],
                     "ports")
    refused = t.finish("run", "--listen-port", "8080", "--", t.child(), "exit", "0")
    expect_equal(refused.status, 2, "without --incoming")
    expect("--listen-port needs --incoming" in refused.err(), refused.err())


def test_a_tree_that_does_not_listen_is_said(t):
    """Its listener may be http.sys'; where there is one, nothing is said."""
    listening = t.start("run", "--incoming", "--", t.child(), "wait", "0", FAKE_INCOMING="1")
    listening.read_start()
    silent = t.relay("--incoming")
    wait_for(lambda: "--listen-port N" in silent.err(), "the hint")
    for run in (silent, listening):
        run.finish()
    expect_equal([run.err().count("--listen-port N") for run in (silent, listening)], [1, 0], "how often it is said")


# ---- doctor

def test_doctor_without_a_driver(t):
    """The fake library redirects nothing, so there is something wrong; each finding says what to do."""
    run = t.finish("doctor", "--json", FAKE_START_ERROR="10")
    expect_equal(run.status, 1, "status")
    findings = {line["what"]: line for line in map(schema.parse, run.out().splitlines())}
    expect_equal(findings["administrator rights"]["state"], "ok", "rights")
    for what in ("WinDivert.dll", "start"):
        expect_equal(findings[what]["state"], "wrong", what)
        expect(findings[what]["advice"], f"{what} has no advice")
    expect("WinDivert.dll was not found" in findings["start"]["detail"], f"start: {findings['start']}")
    text = t.finish("doctor", FAKE_START_ERROR="10")
    expect(text.out().endswith("This machine cannot redirect yet: see the lines marked WRONG.\n"), text.out())
    expect("\x1b" not in text.out(), "a control character reached the terminal")


# ---- unload

def entry(t, *words):
    """sc.exe on the driver's entry among the services; 0: done."""
    return subprocess.run([t.wine, "sc.exe", words[0], "WinDivert", *words[1:]], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False).returncode


def test_unload_removes_only_the_own_entry(t):
    """A driver that does not run; one that does is in the end-to-end tests."""
    run = t.finish("unload")
    expect_equal((run.status, run.out()), (0, "no driver is loaded\n"), "without an entry")
    one_line(t.finish("unload", "now"), 2, "takes no arguments")
    os.mkdir(t.path("own"))
    for name in filter(os.path.isfile, (os.path.join(t.build, name) for name in os.listdir(t.build))):
        shutil.copy(name, t.path("own"))
    t.build = t.path("own")
    os.symlink(t.build, t.path("link"))  # another name of it, as scoop has one
    foreign, own, linked = "C:\\other product\\WinDivert64.sys", *(
        "Z:" + os.path.join(os.path.realpath(t.folder), name, "WinDivert64.sys").replace("/", "\\") for name in ("own", "link"))
    for path, left, said in ((foreign, True, f"the driver stays: it is that of another program, {foreign}\n"),
                             (own, False, "the driver is unloaded\n"),
                             (linked, False, "the driver is unloaded\n")):
        if path == linked:  # a name is followed while there is a file
            shutil.copy(t.child("redirector.exe"), os.path.join(t.build, "WinDivert64.sys"))
        expect_equal(entry(t, "create", "binPath=", path, "type=", "kernel"), 0, "an entry for " + path)
        try:
            run = t.finish("unload")
            expect_equal((run.status, run.out(), run.err()), (0, said, ""), path)
        finally:
            expect_equal(entry(t, "delete") == 0, left, "whether the entry was left: " + path)


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
