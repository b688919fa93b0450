# SPDX-License-Identifier: LGPL-3.0-or-later
"""redirector.exe: a program run under it reaches its destinations through the built-in relay."""
import json
import os
import subprocess

from actors import expect_equal, port_of
from harness import expect, scenario
from lab import COMMAND, windows_path
from scenarios.outgoing import exchange

BYTES = 5000


class Run:
    """`redirector run --json -- probe.exe`, its standard error in a file."""

    def __init__(self, t, *options):
        self.t = t
        self.probe = t.lab.prepare(t.world.name("run"))
        t.extra.append(self.probe)
        self.errors = os.path.join(t.lab.folder, self.probe.name + ".errors")
        words = ["wine", "redirector.exe", "run", "--json", *options, "--", "probe.exe", windows_path(self.probe.commands),
                 windows_path(self.probe.answers_path)]
        with open(self.probe.std, "wb") as std, open(self.errors, "wb") as errors:
            self.process = subprocess.Popen([COMMAND, *words], stdin=subprocess.DEVNULL, stdout=std, stderr=errors)
        t.lab.processes.append(self.process)
        self.probe.alive = lambda: self.process.poll() is None

    def end(self, code=0):
        """Ends the program with this status; returns redirector's own status and its lines."""
        self.probe.call("exit", code=code)
        self.t.extra.remove(self.probe)
        status = self.process.wait(20)
        with open(self.errors, encoding="utf-8") as errors:
            return status, [json.loads(line) for line in errors if line.strip()]


@scenario("O1", "S2", families=None, session="own")
def program_run_relays_and_reports(t):
    run = Run(t, "--log", "run.log")
    run.probe.wait_ready()
    wanted = []
    for host in ("10.77.0.2", "fd77::2"):
        server = t.echo(host=host)
        connection = run.probe.connect(server.local)
        exchange(connection, BYTES)
        connection.close()
        wanted.append((host, port_of(server.local)))
        peers = [v["peer"] for v in t.server.visitors(server)]
        expect_equal(len(peers), 1, "connections at the server")
        expect(peers[0] != connection.local, "the server saw the program itself", connection.local)
    status, lines = run.end(code=7)
    expect_equal(status, 7, "exit status, which is the program's own")
    connections = [x for x in lines if x["type"] == "connection"]
    expect_equal(sorted((c["destination"], c["port"]) for c in connections), sorted(wanted), "destinations")
    for c in connections:
        expect_equal((c["process"], c["pid"]), ("probe.exe", run.probe.pid), "whose connection it was")
        expect_equal((c["bytes_up"], c["bytes_down"], c["outcome"]), (BYTES, BYTES, "closed"), "how it went")
    summary = [x for x in lines if x["type"] == "summary"]
    expect_equal(len(summary), 1, "summaries")
    expect_equal({key: summary[0][key] for key in ("connections", "bytes_up", "bytes_down", "failed", "strangers")},
                 {"connections": 2, "bytes_up": 2 * BYTES, "bytes_down": 2 * BYTES, "failed": 0, "strangers": 0},
                 "the summary")
    expect_equal(t.lab.handles(), [], "driver handles open afterwards")


@scenario("S1", families=None, session="own")
def program_run_without_the_dll_says_what_to_do(t):
    empty = os.path.join(t.lab.stage, "no_dll")
    os.makedirs(empty, exist_ok=True)
    errors = os.path.join(t.lab.folder, "no_dll.errors")
    with open(errors, "wb") as output:
        status = subprocess.run([COMMAND, "wine", "redirector.exe", "run", "--windivert", windows_path(empty), "--",
                                 "probe.exe"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=30,
                                check=False).returncode
    with open(errors, encoding="utf-8") as output:
        text = output.read().strip()
    expect_equal(status, 3, "exit status")
    expect_equal(len(text.splitlines()), 1, f"lines of {text!r}")
    expect("WinDivert.dll was not found" in text and "no_dll" in text, "it does not say what is missing", text)
