# SPDX-License-Identifier: LGPL-3.0-or-later
"""A lab of one's own, with programs in it that do what they are told, and what its daemon counts.

    with Lab("build/e2e/mingw-release") as lab:
        tree, server = lab.program("tree", "probe.exe"), lab.native("server", "server")
        tree.connect(server.serve("10.77.0.2/20001").local)
        lab.counters()["captured"]
"""
import json
import os
import shutil
import socket

from lab.actors import Actor
from lab.command import LOSSES, PYTHON, LabError, lab_command, path, popen, uninterrupted, wine
from lab.waiting import Failure

NATIVE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "native.py")
FIRST_PORT = 20001


def windows_path(name):
    return "Z:" + name


class Lab:
    """The lab that LAB names. `state` is its folder, `stage` that of its Windows programs, `folder` the actors'."""

    def __init__(self, programs=None, log=None):
        self.programs = programs  # a folder; what is in it goes on stage
        self.log = log or f"{programs}.lab-up.log"  # of bringing it up
        self.processes = []
        self.actors = []
        self.standing_launcher = None
        self.ours = False
        self.last_port = FIRST_PORT - 1

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_):
        self.down()

    def up(self):
        check = lab_command("check")
        if check.returncode != 0:
            raise LabError((check.stdout + check.stderr).strip())
        self.state = path()
        self.stage = os.path.join(self.state, "win")
        self.folder = os.path.join(self.stage, "actors")
        if os.path.exists(self.state):
            raise LabError(f"{self.state}: this lab is in use, or was not taken down (lab/lab down)")
        self.ours = True
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        if popen("up", out=self.log).wait(180) != 0:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise LabError(log.read().strip())
        if self.programs:
            shutil.copytree(self.programs, self.stage, dirs_exist_ok=True)
        os.mkdir(self.folder)

    def down(self):
        if not self.ours:
            return
        for actor in self.actors:
            actor.close()
        with uninterrupted():
            lab_command("down")
        for process in self.processes:
            process.wait()

    def free_port(self):
        """A port below the ephemeral ones that nobody here has had."""
        self.last_port += 1
        return self.last_port

    # ---- programs

    def popen(self, *words, out, **options):
        """command.popen() of a process that the lab's end ends."""
        process = popen(*words, out=out, **options)
        self.processes.append(process)
        return process

    def _run(self, actor, *words):
        process = self.popen(*words, out=actor.std)
        actor.alive = lambda: process.poll() is None
        self.actors.append(actor)
        return actor.wait_ready()

    def program(self, name, exe):
        """A Windows program with no Windows parent."""
        actor = Actor(name, self.folder, None)
        return self._run(actor, "wine", exe, windows_path(actor.commands), windows_path(actor.answers_path))

    def native(self, name, host, script=NATIVE):
        """native.py, or one that can more, on a host: "client" or "server"."""
        actor = Actor(name, self.folder, None)
        return self._run(actor, "run", host, "--", PYTHON, script, actor.commands, actor.answers_path)

    @property
    def launcher(self):
        """A Windows program that starts others."""
        if not self.standing_launcher:
            self.standing_launcher = self.program("launcher", "probe.exe")
        return self.standing_launcher

    def prepare(self, name):
        """The files of a Windows program that is to be started; commands may be written before it is."""
        actor = Actor(name, self.folder, lambda: True)
        self.actors.append(actor)
        return actor

    def spawn(self, parent, actor, exe="probe.exe", cwd=None, breakaway=False, guarded=False):
        """Starts a Windows program as a child of another; out of its job, if that permits it; so that nobody may put it
        into a job."""
        arguments = {"cwd": windows_path(cwd)} if cwd else {}
        arguments |= {"breakaway": 1} if breakaway else {}
        arguments |= {"guarded": 1} if guarded else {}
        exe = windows_path(os.path.join(self.stage, exe))
        answer = parent.call("spawn", exe=exe, commands=windows_path(actor.commands),
                             answers=windows_path(actor.answers_path), std=windows_path(actor.std), **arguments)
        pid, actor.broke_away = answer["pid"], bool(answer["broke_away"])
        actor.wait_ready()
        if pid != actor.pid:
            raise Failure(f"{actor.name} was started as {pid} and says it is {actor.pid}")
        return actor

    def spawn_apart(self, name, exe):
        """A child of the launcher, in a folder of its own."""
        cwd = os.path.join(self.stage, name)
        os.mkdir(cwd)
        actor = self.spawn(self.launcher, self.prepare(name), exe, cwd)
        actor.cwd = cwd
        return actor

    def std_output(self):
        """What actors have written to standard output or error, by name: nothing is right."""
        texts = {}
        for actor in self.actors:
            with open(actor.std, encoding="utf-8", errors="replace") as std:
                text = std.read()
            if text:
                texts[actor.name] = text[:300]
        return texts

    def program_to_end(self, *words):
        """Another Windows program; its exit status."""
        return wine(*words, out=os.path.join(self.folder, words[0] + ".out"))

    def remove_driver_service(self):
        """Makes Windows forget where it was told the driver's file is."""
        self.program_to_end("sc.exe", "delete", "WinDivert")

    # ---- the daemon

    def ctl(self, *words):
        """The answer to `lab/lab ctl`, without a process for each."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(10)
            s.connect(os.path.join(self.state, "control.sock"))
            s.sendall((" ".join(words) + "\n").encode())
            with s.makefile("rb") as answer:
                return json.loads(answer.readline())

    def order(self, *words):
        """A command of ctl that must be understood."""
        answer = self.ctl(*words)
        if "error" in answer:
            raise Failure(f"the lab does not understand {' '.join(words)}: {answer}")

    def counters(self):
        return self.ctl("counters")

    def losses(self):
        counters = self.counters()
        return {name: counters[name] for name in LOSSES}

    def flows(self):
        return self.ctl("flows")["flows"]

    def faults(self):
        """By name, what is scripted ("left") and how often each has struck ("struck")."""
        return self.ctl("faults")["faults"]

    def handles(self):
        """Open handles of the driver, of whoever."""
        return [handle for handle in self.ctl("handles")["handles"] if handle["open"]]

    def restore(self):
        """No faults of driver and events, no limit and no firewall any more."""
        self.ctl("largest", "0")
        self.ctl("fault", "clear")
        self.ctl("obstacle", "off")
        self.ctl("events", "reset")
        self.ctl("outbound", "allow")
        self.ctl("outbound", "stall", "off")
