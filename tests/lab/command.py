# SPDX-License-Identifier: LGPL-3.0-or-later
"""lab/lab as functions: its commands, what its daemon says, programs on its hosts.

Output of Windows programs goes to files: Wine's background services inherit it and would keep a pipe open.
"""
import contextlib
import os
import signal
import subprocess

from lab.waiting import Failure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMAND = os.path.join(ROOT, "lab", "lab")
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

CLIENT = {4: ("10.77.0.1", "10.77.0.11"), 6: ("fd77::1", "fd77::11")}
SERVER = {4: "10.77.0.2", 6: "fd77::2"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
ANY = {4: "0.0.0.0", 6: "::"}

# Counters of packets that Windows would have refused or lost. A test names those it expects.
LOSSES = ("lost_in_queue", "truncated", "bad_checksum", "inbound_loopback", "inbound_not_local",
          "inbound_too_large", "loopback_source", "outbound_loopback", "firewall", "too_big", "unsent", "hindered",
          "refused", "capture_lost")


class LabError(Exception):
    """The lab cannot be had; the text is the lab's own."""


def lab_command(*words, limit=120):
    """A command of the lab that starts nothing that stays; its status and output."""
    return subprocess.run([COMMAND, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit,
                          check=False)


def path():
    """The folder of the lab; it is there while the lab is up."""
    return lab_command("path").stdout.strip()


def popen(*words, out, err=None, mode="wb", **options):
    """Starts a command of the lab (`run` or `wine`), with its output in the file `out`, errors in `err` if given."""
    with open(out, mode) as out_file, open(err or os.devnull, "wb") as err_file:
        return subprocess.Popen([COMMAND, *words], stdin=subprocess.DEVNULL, stdout=out_file,
                                stderr=err_file if err else out_file, **options)


def wine(*words, out, err=None, limit=60):
    """Runs a Windows program to its end; its exit status."""
    process = popen("wine", *words, out=out, err=err)
    try:
        return process.wait(limit)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def on_host(host, *words):
    """Runs a native command on "client" or "server" to its end; its output."""
    done = lab_command("run", host, "--", *words)
    if done.returncode != 0:
        raise Failure(f"{' '.join(words)} on {host}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def listens(host, port):
    """How many sockets of that host are bound to this port."""
    return len(on_host(host, "ss", "-Hltun", f"sport = :{port}").splitlines())


@contextlib.contextmanager
def wire(*words):
    """Conditions between the hosts, as in lab/README.md: wire("loss", "100"). They add up."""
    try:
        answer = lab_command("net", *words)
        if answer.returncode != 0:
            raise Failure(f"net {words}: {answer.stdout}{answer.stderr}")
        yield
    finally:
        lab_command("net", "clear")


def end_on_signals():
    """From now on a signal ends this program as an exception does, so that it takes its lab down."""
    def end(number, _frame):
        raise SystemExit(f"ended by signal {number}")
    for number in SIGNALS[1:]:
        signal.signal(number, end)


@contextlib.contextmanager
def uninterrupted():
    """Signals that would end this program do nothing meanwhile."""
    before = [signal.signal(number, signal.SIG_IGN) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, before):
            signal.signal(number, handler)
