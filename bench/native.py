# SPDX-License-Identifier: LGPL-3.0-or-later
"""The tests' native program (tests/lab/native.py), and what the benchmarks want of one beside that: many short
connections without a command for each, and an echo that ten thousand connections do not mind.

usage: native.py COMMANDS ANSWERS
"""
import os
import resource
import select
import socket
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "lab"))
import native  # noqa: E402

CHUNK = 64 * 1024


class Echo:
    """One thread, any number of connections; `peers` are the ports that came."""

    def __init__(self, listeners):
        self.listeners = {sock.fileno(): sock for sock in listeners}
        self.connections = {}
        self.peers = []
        self.poll = select.epoll()
        for number, sock in self.listeners.items():
            sock.setblocking(False)
            self.poll.register(number, select.EPOLLIN)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            for number, _ in self.poll.poll():
                if number in self.listeners:
                    self.accept(self.listeners[number])
                else:
                    self.echo(self.connections[number])

    def accept(self, listener):
        try:
            while True:
                sock, peer = listener.accept()
                self.peers.append(peer[1])
                self.connections[sock.fileno()] = sock
                self.poll.register(sock.fileno(), select.EPOLLIN)
        except BlockingIOError:
            pass

    def echo(self, sock):
        try:
            data = sock.recv(CHUNK)
            if data:
                sock.sendall(data)
                return
        except OSError:
            pass
        self.poll.unregister(sock.fileno())
        del self.connections[sock.fileno()]
        sock.close()


class Answer:
    """Sends each peer some bytes and its end, reads to the peer's, and closes."""

    def __init__(self, listener, data):
        self.listener, self.data = listener, data
        for _ in range(8):
            threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            sock, _ = self.listener.accept()
            with sock:
                try:
                    sock.sendall(self.data)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(CHUNK):
                        pass
                except OSError:
                    pass  # the program sees it


class Native(native.Native):
    def command_echo(self, at):
        """Echoes at all of these addresses."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.echo = Echo([self.listener(one, 4096) for one in at.split(",")])

    def command_answer(self, at, n):
        """Answers at this address with n bytes."""
        Answer(self.listener(at, 1024), bytes(self.stream.piece(1, 0, int(n))))

    def command_echoed(self):
        return {"open": len(self.echo.connections), "peers": list(self.echo.peers)}

    def command_shorts(self, to, count, n="100"):
        """Connections in turn: some bytes to an echo and back, and an orderly end."""
        family, address = native.parse(to)
        data = bytes(self.stream.piece(1, 0, int(n)))
        for i in range(int(count)):
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.connect(address)
                sock.sendall(data)
                got = b""
                while len(got) < len(data):
                    part = sock.recv(CHUNK)
                    if not part:
                        raise native.Failed("ended", 0, number=i)
                    got += part
                if got != data:
                    raise native.Failed("another echo", 0, number=i)


if __name__ == "__main__":
    native.Native = Native
    native.main(*sys.argv[1:])
