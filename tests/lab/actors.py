# SPDX-License-Identifier: LGPL-3.0-or-later
"""The harness's side of the test programs: it writes commands to a file and reads answers from another.

Both kinds of program, the Windows ones (tests/e2e/programs) and the native one (native.py), speak the same, so a
scenario can put either at any end of a connection.
"""
import contextlib
import json
import os
import signal
import time

from lab.waiting import Failure

POLL_S = 0.001


class Pending:
    """A command under way."""

    def __init__(self, actor, number, what):
        self.actor, self.number, self.what = actor, number, what

    @property
    def done(self):
        self.actor.read()
        return self.number in self.actor.answers

    def result(self, limit=20, may_fail=False):
        end = time.monotonic() + limit
        while not self.done:
            if not self.actor.alive():
                raise Failure(f"{self.actor.name} has died during {self.what}")
            if time.monotonic() > end:
                raise Failure(f"{self.actor.name}: no answer to {self.what} within {limit} s")
            time.sleep(POLL_S)
        answer = self.actor.answers.pop(self.number)
        if "error" in answer and not may_fail:
            raise Failure(f"{self.actor.name}: {self.what} failed: {answer}")
        return answer


class Connection:
    """A connection of an actor's, by its number there."""

    def __init__(self, actor, number, answer=None):
        self.actor, self.number = actor, number
        self.local = (answer or {}).get("local")
        self.peer = (answer or {}).get("peer")

    def call(self, name, **arguments):
        return self.actor.call(name, id=self.number, **arguments)

    def begin(self, name, **arguments):
        return self.actor.begin(name, id=self.number, **arguments)

    @property
    def port(self):
        return port_of(self.local)

    def send(self, seed, n, at=0):
        return self.call("send", seed=seed, n=n, at=at)

    def receive(self, seed, n, at=0):
        return self.call("receive", seed=seed, n=n, at=at)

    def end(self):
        """How the other side ended it: "fin" or "reset"."""
        return self.call("receive_end")["end"]

    def close(self):
        self.call("close")

    def reset(self):
        self.call("reset")

    def shutdown(self):
        self.call("shutdown")


class Datagrams(Connection):
    """A UDP socket of an actor's."""

    def ask(self, *to, n=1, size=1, limit=30, **more):
        """Asks each of `to` (none: where it is connected): {"came": answers that were right, "from": who answered,
        "code": the last error}."""
        where = {"to": ",".join(to)} if to else {}
        return self.actor.call("ask", limit=limit, id=self.number, n=n, size=size, **where, **more)

    def tell(self, to=None, n=1, size=1):
        return self.call("tell_datagrams", n=n, size=size, **({"to": to} if to else {}))["sent"]

    def hear(self, answer=0):
        """The next datagram: {"from", "bytes"}, or {"code"}."""
        return self.call("hear", answer=answer)


class Actor:
    """One running test program."""

    def __init__(self, name, folder, alive):
        self.name = name
        self.commands = os.path.join(folder, name + ".commands")
        self.answers_path = os.path.join(folder, name + ".answers")
        self.std = os.path.join(folder, name + ".std")
        for path in (self.commands, self.answers_path, self.std):
            open(path, "wb").close()
        self.alive = alive
        self.answers = {}
        self.number = 0
        self.ids = 0
        self.rest = b""
        self.reader = open(self.answers_path, "rb")
        self.writer = open(self.commands, "ab", buffering=0)

    def wait_ready(self, limit=30):
        self.pid = Pending(self, 0, "starting").result(limit)["pid"]
        return self

    def read(self):
        data = self.reader.read()
        if not data:
            return
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self.answers[answer["re"]] = answer

    def begin(self, name, **arguments):
        self.number += 1
        words = [f"{key.rstrip('_')}={value}" for key, value in arguments.items()]
        self.writer.write(" ".join([str(self.number), name, *words, "\n"]).encode())
        return Pending(self, self.number, " ".join([name, *words]))

    def call(self, name, limit=20, may_fail=False, **arguments):
        return self.begin(name, **arguments).result(limit, may_fail)

    def new_id(self):
        self.ids = self.ids % 4000 + 1
        return self.ids

    def begin_connect(self, to, **arguments):
        """Starts to connect; `finish(...)` of what it returns gives the connection."""
        number = self.new_id()
        return Connecting(self, number, self.begin("connect", id=number, to=to, **arguments))

    def connect(self, to, **arguments):
        return self.begin_connect(to, **arguments).finish()

    def listen(self, at, **more):
        number = self.new_id()
        return Connection(self, number, self.call("listen", id=number, at=at, **more))

    def accept(self, listener):
        number = self.new_id()
        return Connection(self, number, self.call("accept", id=number, listener=listener.number))

    def begin_accept(self, listener):
        number = self.new_id()
        return Connecting(self, number, self.begin("accept", id=number, listener=listener.number))

    def serve(self, at, stamp=0, **more):
        """An echo server; .number for visitors()."""
        number = self.new_id() % 60
        return Connection(self, number, self.call("serve", id=number, at=at, stamp=stamp, **more))

    def visitors(self, server):
        return self.call("served", id=server.number)["visitors"]

    def datagrams(self, at, **more):
        """A UDP socket bound to `at`; port "any": not bound."""
        number = self.new_id()
        return Datagrams(self, number, self.call("datagram", id=number, at=at, **more))

    def close(self):
        self.reader.close()
        self.writer.close()


class Connecting:
    def __init__(self, actor, number, pending):
        self.actor, self.number, self.pending = actor, number, pending

    def finish(self, limit=20):
        return Connection(self.actor, self.number, self.pending.result(limit))


def port_of(address):
    return int(address.rpartition("/")[2])


def host_of(address):
    return address.rpartition("/")[0]


def linux_pid(actor):
    """Of a Windows program: its command line names its file of commands, by the whole path: other labs have actors of
    the same name."""
    needle = actor.commands.encode()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                if any(word.endswith(needle) for word in file.read().split(b"\0")[1:]):
                    return int(entry)
    raise Failure(f"no process has the commands of {actor.name}")


def has_ended(pid):
    """Whether the process' first thread has; Wine may have left others."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def end_leftover(pid):
    """Ends what Wine 8 leaves of a process that has exited: a thread that waits for the lock of Wine's memory
    (virtual_mutex in its ntdll.so) whose owner was ended with the process. Windows leaves nothing. Whether there was
    something."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
