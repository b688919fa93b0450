# SPDX-License-Identifier: LGPL-3.0-or-later
"""The lab, as the scenarios use it: brought up once a run, programs in it, its counters."""
import json
import os
import shutil
import socket
import subprocess

from actors import Actor, Failure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
COMMAND = os.path.join(ROOT, "lab", "lab")
PROGRAMS = os.path.join(ROOT, "build", "e2e", os.environ.get("E2E_PRESET", "mingw-release"))
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3"

# Counters of packets that did not arrive. A scenario names those it expects.
LOSSES = ("lost_in_queue", "truncated", "bad_checksum", "inbound_loopback", "inbound_not_local",
          "loopback_source", "outbound_loopback", "too_big", "unsent", "refused", "capture_lost")

CLIENT = {4: ("10.77.0.1", "10.77.0.11"), 6: ("fd77::1", "fd77::11")}
SERVER = {4: "10.77.0.2", 6: "fd77::2"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
ANY = {4: "0.0.0.0", 6: "::"}


class LabError(Exception):
    """The lab cannot be had; the text is the lab's own."""


def lab_command(*words, limit=120):
    return subprocess.run([COMMAND, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit,
                          check=False)


class Lab:
    def __init__(self):
        self.processes = []
        self.actors = []
        self.launcher = None

    def up(self):
        check = lab_command("check")
        if check.returncode != 0:
            raise LabError((check.stdout + check.stderr).strip())
        self.state = lab_command("path").stdout.strip()
        self.stage = os.path.join(self.state, "win")
        log = os.path.join(ROOT, "build", "e2e", "lab-up.log")
        with open(log, "wb") as output:  # not a pipe: what the lab starts keeps it open
            up = subprocess.run([COMMAND, "up"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=180,
                                check=False)
        if up.returncode != 0:
            with open(log, encoding="utf-8", errors="replace") as output:
                raise LabError(output.read().strip())
        shutil.copytree(PROGRAMS, self.stage, dirs_exist_ok=True)
        self.folder = os.path.join(self.stage, "actors")
        os.mkdir(self.folder)
        self.launcher = self.program("launcher", "probe.exe")

    def down(self):
        for actor in self.actors:
            actor.close()
        lab_command("down")
        for process in self.processes:
            process.wait()

    # ---- programs

    def _run(self, actor, words):
        with open(actor.std, "wb") as std:
            process = subprocess.Popen([COMMAND, *words], stdin=subprocess.DEVNULL, stdout=std, stderr=std)
        self.processes.append(process)
        actor.alive = lambda: process.poll() is None
        self.actors.append(actor)
        return actor.wait_ready()

    def program(self, name, exe):
        """A Windows program with no Windows parent."""
        actor = Actor(name, self.folder, None)
        return self._run(actor, ["wine", exe, windows_path(actor.commands), windows_path(actor.answers_path)])

    def native(self, name, host):
        """native.py on a host: "client" or "server"."""
        actor = Actor(name, self.folder, None)
        return self._run(actor, ["run", host, "--", PYTHON, os.path.join(HERE, "native.py"), actor.commands,
                                 actor.answers_path])

    def prepare(self, name):
        """The files of a Windows program that is to be started; commands may be written before it is."""
        actor = Actor(name, self.folder, lambda: True)
        self.actors.append(actor)
        return actor

    def spawn(self, parent, actor, exe="probe.exe", cwd=None):
        """Starts a Windows program as a child of another."""
        arguments = {"cwd": windows_path(cwd)} if cwd else {}
        exe = windows_path(os.path.join(self.stage, exe))
        pid = parent.call("spawn", exe=exe, commands=windows_path(actor.commands),
                          answers=windows_path(actor.answers_path), std=windows_path(actor.std), **arguments)["pid"]
        actor.wait_ready()
        if pid != actor.pid:
            raise Failure(f"{actor.name} was started as {pid} and says it is {actor.pid}")
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

    # ---- the daemon

    def ask(self, *words):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(10)
            s.connect(os.path.join(self.state, "control.sock"))
            s.sendall((" ".join(words) + "\n").encode())
            answer = b""
            while not answer.endswith(b"\n"):
                part = s.recv(1 << 20)
                if not part:
                    break
                answer += part
        return json.loads(answer)

    def losses(self):
        counters = self.ask("counters")
        return {name: counters[name] for name in LOSSES}

    def handles(self):
        """Open handles of the driver, of whoever."""
        return [handle for handle in self.ask("handles")["handles"] if handle["open"]]


    def remove_driver_service(self):
        """Makes Windows forget where it was told the driver's file is."""
        self.program_to_end("sc.exe", "delete", "WinDivert")

    def program_to_end(self, *words):
        with open(os.path.join(self.folder, words[0] + ".out"), "wb") as out:
            return subprocess.run([COMMAND, "wine", *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  timeout=60, check=False).returncode


def windows_path(path):
    return "Z:" + path
