# SPDX-License-Identifier: LGPL-3.0-or-later
"""The program around the relay: options, the started program, statuses, Ctrl-C."""
import os
import shutil
import subprocess

from harness import Server, expect_reset, processes, wait_for
from lab import expect, expect_equal

HOSTILE_NAME = "evil\u009b31m\u202egpj.exe"  # CSI, and a direction override; Windows forbids ESC itself in file names


def one_line(run, status, *parts):
    """The run failed with this status and said exactly one line."""
    expect_equal(run.status, status, f"status of a program that said {run.err()!r}")
    expect_equal(run.out(), "", "standard output")
    lines = run.lines()
    expect_equal(len(lines), 1, f"number of lines of {lines}")
    expect(lines[0].startswith("redirector: "), f"{lines[0]!r} does not say who speaks")
    for part in parts:
        expect(part in lines[0], f"{part!r} is not in {lines[0]!r}")


def test_option_errors(t):
    child = t.child()
    for arguments, *parts in (
            ([], "no command", "--help"),
            (["fly"], "'fly'", "--help"),
            (["--json"], "'--json'", "--help"),
            (["run"], "no program"),
            (["run", "--"], "no program"),
            (["run", "--json"], "no program"),
            (["run", child], "--"),
            (["run", "--fast", "--", child], "'--fast'"),
            (["run", "-j", "--", child], "'-j'"),
            (["run", "--json=1", "--", child], "--json takes no value"),
            (["run", "--log"], "--log needs a file"),
            (["run", "--log", "--", child], "--log needs a file"),
            (["run", "--log=", "--", child], "--log needs a file"),
            (["run", "--windivert", "--json", "--", child], "--windivert needs a folder"),
            (["run", "--log-level", "loud", "--", child], "--log-level needs off, error"),
            (["run", "--clean", "--", child], "--clean is not an option of this command"),
            (["run", "--json", "--live", "--", child], "exclude one another"),
            (["run", "--no-outgoing", "--", child], "nothing would be redirected"),
            (["run", "--proxy-port", "0", "--", child], "--proxy-port needs a port"),
            (["run", "--proxy-port", "65536", "--", child], "--proxy-port needs a port"),
            (["run", "--proxy-port", "-1", "--", child], "--proxy-port needs a port"),
            (["run", "--proxy-port", "80", "--upstream", "http://x", "--", child], "--proxy-port takes the place"),
            (["run", "--incoming", "--incoming-proxy", "80", "--", child], "give one of them"),
            (["run", "--connect-timeout", "0", "--", child], "--connect-timeout needs a number of seconds, 1 to 600"),
            (["run", "--connect-timeout", "601", "--", child], "--connect-timeout needs a number of seconds"),
            (["run", "--proxy-port", "80", "--connect-timeout", "9", "--", child], "is for the relay"),
            (["flows", "x"], "'x' is no option"),
            (["run", "--\u009b31m", "--", child], "'--\ufffd31m'"),
    ):
        one_line(t.finish(*arguments), 2, *parts)


def test_help_and_version(t):
    for arguments in (["--help"], ["run", "--help"], ["run", "--json", "--help", "--", "x"]):
        run = t.finish(*arguments)
        expect_equal((run.status, run.err()), (0, ""), f"status and errors of {arguments}")
        for part in ("redirector attach", "--json", "--windivert", "--log-level", "exit status", "Ctrl-C"):
            expect(part in run.out(), f"{part!r} is not in the help")
        expect(max(map(len, run.out().splitlines())) <= 120, "a line of the help is too long")
    run = t.finish("--version")
    expect_equal((run.status, run.out(), run.err()), (0, "redirector 0.1.0\n", ""), "status, output, errors")


def test_options_reach_the_library(t):
    run = t.relay("--windivert", "divert", "--log=my log.txt", "--log-level", "debug")
    expect_equal(run.windivert_dir.replace("\\", "/"), "Z:" + t.path("divert"), "WinDivert folder, made absolute")
    expect_equal((run.log_path, run.level), ("my log.txt", 5), "log file and level")
    expect_equal((run.agent, run.incoming), (0, 0), "agent and incoming port")
    run.finish()
    run = t.relay()
    expect_equal((run.windivert_dir, run.log_path, run.level), ("-", "-", 0), "defaults")
    run.finish()


def test_program_not_found(t):
    one_line(t.finish("run", "--", "no-such-program", "x"), 127, "'no-such-program'", "not found")
    one_line(t.finish("run", "--", ""), 127, "not found")
    one_line(t.finish("run", "--", t.folder), 127, "not found")


def test_program_cannot_be_started(t):
    for name in ("text.exe", "script.bat", "script.CMD"):
        with open(t.path(name), "w") as file:
            file.write("this is no program\n")
    one_line(t.finish("run", "--", t.path("text.exe")), 126, "text.exe", "cannot be started")
    one_line(t.finish("run", "--", t.path("script.bat")), 126, "batch file", "cmd /c")
    one_line(t.finish("run", "--", t.path("script")+".CMD"), 126, "batch file", "cmd /c")


def test_program_search(t):
    """In the current folder, beside redirector.exe, and in PATH, with and without .exe."""
    shutil.copy(t.child(), t.path("here.exe"))
    os.mkdir(t.path("folder"))
    shutil.copy(t.child(), t.path("folder/there3.11.exe"))
    for name in ("here", "here.exe", "child", "folder\\there3.11.exe"):
        run = t.finish("run", "--", name, "exit", "7")
        expect_equal(run.status, 7, f"status of {name}: {run.err()}")
    run = t.finish("run", "--", "there3.11", "exit", "7", WINEPATH="Z:" + t.path("folder"))
    expect_equal(run.status, 7, f"status of there3.11 in PATH: {run.err()}")


def test_exit_status(t):
    for status in (0, 1, 42, 255):
        run = t.finish("run", "--", t.child(), "exit", str(status))
        expect_equal(run.status, status, "status")
        expect_equal(run.lines(), ["redirector: 0 connections, 0 bytes up, 0 bytes down, 0 failed, 0 unknown peers"],
                     "lines")


def test_arguments_arrive(t):
    arguments = ["plain", "", "two words", 'quote"inside', '"', '\\', '\\\\', 'end\\', 'end with space\\', 'a\\"b',
                 'a\\\\"b c\\\\', '""', "tab\there", "*", "*.exe", "%PATH%", "^&|<>", "'single'", "--json", "--", "-x",
                 "Zażółć gęślą", "日本語", "\U0001f600"]
    run = t.finish("run", "--", t.child(), "args", *arguments)
    expect_equal(run.status, 0, "status")
    expect_equal(run.out().split("\n")[:-1], arguments, "arguments")
    expect_equal(len(run.lines()), 1, "lines of redirector")


def test_the_command_line_is_not_touched(t):
    """What stands behind -- reaches the program as it was typed, whatever rules of quoting that follows."""
    child = t.child().replace("/", "\\")
    redirector = t.child("redirector.exe").replace("/", "\\")
    for tail in (f'Z:{child} raw  two   blanks ""x"" \\\\" odd\' ^%A% &|', f'"Z:{child}" raw "a -- b" --',
                 f'"Z:{child}" raw\t"not closed'):
        for own in (f"Z:{redirector} run -- ", f'"Z:{redirector}" run --log "with -- in it.log"  --  '):
            with open(t.path("line"), "w", encoding="utf-8") as file:
                file.write(own + tail)
            with open(t.path("out"), "wb") as out:
                subprocess.run([t.wine, t.child(), "pass", "@Z:" + t.path("line")], stdin=subprocess.DEVNULL,
                               stdout=out, stderr=subprocess.DEVNULL, timeout=60, check=True, cwd=t.folder)
            with open(t.path("out"), encoding="utf-8", newline="") as out:
                expect_equal(out.read().rstrip("\r\n"), tail, "command line of the program")


def test_redirector_cannot_start(t):
    run = t.finish("run", "--", t.child(), "args", "the program has run", FAKE_START_ERROR="9")
    one_line(run, 3, "run the program as Administrator\ufffd[31m")
    expect("\x1b" not in run.err(), "a control character reached the terminal")


def test_unicode_and_hostile_names(t):
    with Server(serve=lambda c: c.recv(1)) as server:
        for name, shown in (("zażółć 日本.exe", "zażółć 日本.exe"),
                            (HOSTILE_NAME, "evil\ufffd31m\ufffdgpj.exe")):
            shutil.copy(t.child(), t.path(name))
            run = t.relay(destination4=server.destination, program=t.path(name))
            with run.connect() as client:
                client.sendall(b"x")
                client.recv(1)
            line = run.finish()[0]
            expect(f"  {shown}({run.pid})  " in line, f"{shown!r} is not in {line!r}")


def test_no_socket_is_inherited(t):
    run = t.finish("run", "--", t.child(), "handles")
    expect_equal(run.out(), "0\n", "inherited sockets")


def program_runs():
    return any(words[0].endswith("child.exe") and "wait" in words for _, _, words in processes())


def test_redirector_outlives_the_program_while_connections_live(t):
    with Server() as server:
        run = t.relay(destination4=server.destination, status=5)
        client = run.connect()
        upstream = server.accept()
        run.end_input()
        wait_for(lambda: not program_runs(), "the program's end")
        try:
            run.process.wait(1)
            expect(False, f"redirector has ended with its program: {run.lines()}")
        except subprocess.TimeoutExpired:
            pass
        client.sendall(b"after the end")
        expect_equal(upstream.recv(100), b"after the end", "data after the program's end")
        client.close()
        upstream.close()
        expect_equal(run.wait(), 5, "status")
        expect(os.path.exists(run.stop_path), "the redirector was not freed")


def test_ctrl_c_leaves_the_program_its_own(t):
    with Server() as server:
        run = t.relay(destination4=server.destination, status=6)
        client = run.connect()
        server.accept()
        run.interrupt()
        wait_for(lambda: "Ctrl-C twice" in run.err(), "the hint")
        run.end_input()
        expect_equal(run.wait(), 6, "status")
        lines = run.lines()
        expect(lines[1].endswith("  stopped"), f"the open connection was not stopped: {lines}")
        client.close()


def test_ctrl_c_ends_the_wait_for_connections(t):
    with Server() as server:
        run = t.relay(destination4=server.destination, status=8)
        client = run.connect()
        upstream = server.accept()
        expect(program_runs(), "the program is not among the processes")
        run.end_input()
        wait_for(lambda: not program_runs(), "the program's end")
        run.interrupt()
        expect_equal(run.wait(), 8, "status")
        expect(run.lines()[0].endswith("  stopped"), f"the open connection was not stopped: {run.lines()}")
        expect_reset(client, "connection of the program")
        expect_reset(upstream, "connection to the destination")


def test_ctrl_c_twice_ends_redirector(t):
    with Server() as server:
        run = t.relay(destination4=server.destination)
        client = run.connect()
        server.accept()
        run.interrupt()
        wait_for(lambda: "Ctrl-C twice" in run.err(), "the hint")
        run.interrupt()
        expect_equal(run.wait(), 0xC000013A & 0xFF, "status")
        expect(os.path.exists(run.stop_path), "the redirector was not freed")
        client.close()


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
