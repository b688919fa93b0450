#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""A native program that does what it is told: the same commands and answers as the Windows probe (programs/actor.h and
endpoint.c), as far as a server, or a client that is no Windows program, needs them.

usage: native.py COMMANDS ANSWERS
"""
import collections
import errno
import itertools
import json
import os
import resource
import select
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from stream import Stream  # noqa: E402

POLL_S = 0.002
CHUNK = 64 * 1024
FLOOD_S = 30
SO_MAX_PACING_RATE = 47  # socket.h; Python does not name it


class Failed(Exception):
    """A command failed: what, the code, and what else belongs into the answer."""

    def __init__(self, what, code=0, **more):
        super().__init__(what)
        self.answer = {"error": what, "code": code, **more}


def text(address):
    scope = f"%{address[3]}" if len(address) == 4 and address[3] else ""
    return f"{address[0].partition('%')[0]}{scope}/{address[1]}"


def parse(words):
    host, _, port = words.partition("/")
    host, _, scope = host.partition("%")
    if ":" in host:
        return socket.AF_INET6, (host, int(port or 0), 0, int(scope or 0))
    return socket.AF_INET, (host, int(port or 0))


def reset(sock):
    """Ends a connection by RST, also one that another thread is reading from: that thread would keep it open."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if sock.family != socket.AF_UNSPEC:
            disconnect(sock)
    except OSError:
        pass
    sock.close()


def disconnect(sock):
    """connect() to AF_UNSPEC: Linux' way to abort a connection at once."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.connect(sock.fileno(), struct.pack("H", socket.AF_UNSPEC) + bytes(26), 28)


class Server:
    """Echoes; see programs/serve.c."""

    def __init__(self, listener, stamp):
        self.listener = listener
        self.stamp = struct.pack("!H", listener.getsockname()[1]) if stamp else b""
        self.visitors = []
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            visitor = {"peer": text(peer), "bytes": 0, "over": 0}
            self.visitors.append(visitor)
            self.sockets.append(sock)
            threading.Thread(target=self.echo, args=(sock, visitor), daemon=True).start()

    def echo(self, sock, visitor):
        try:
            sock.sendall(self.stamp)
            while data := sock.recv(CHUNK):
                visitor["bytes"] += len(data)
                sock.sendall(data)
            sock.close()
        except OSError:
            sock.close()
        visitor["over"] = 1

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # or accept() would go on
        except OSError:
            pass
        self.listener.close()
        for sock in self.sockets:
            if sock.fileno() >= 0:
                reset(sock)


class Native:
    def __init__(self):
        self.stream = Stream()
        self.sockets = {}
        self.servers = {}
        self.datagram_visitors = {}
        self.flood = collections.deque()

    def command_connect(self, id, to, **more):
        family, address = parse(to)
        sock = self.sockets[id] = socket.socket(family, socket.SOCK_STREAM)
        if "reuse" in more:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if "pace" in more:  # bytes a second
            sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, int(more["pace"]))
        if "from" in more:
            sock.bind(parse(more["from"])[1])
        sock.connect(address)
        return self.command_names(id)

    def command_connect_fast(self, id, to, seed, n):
        """Connects with the first n bytes of the stream: in the SYN, once the kernel has a cookie."""
        family, address = parse(to)
        sock = self.sockets[id] = socket.socket(family, socket.SOCK_STREAM)
        sock.sendto(self.stream.piece(int(seed), 0, int(n)), socket.MSG_FASTOPEN, address)
        return self.command_names(id)

    def command_flood(self, to, count):
        """Opens that many connections, to the destinations in turn, and keeps them. How many there are now."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        poll = select.epoll()
        fresh = {}
        for i, (family, address) in zip(range(int(count)), itertools.cycle([parse(one) for one in to.split(",")])):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex(address)
            fresh[sock.fileno()] = sock
            poll.register(sock, select.EPOLLOUT | select.EPOLLONESHOT)
        while fresh:
            ready = poll.poll(FLOOD_S)
            if not ready:
                raise Failed("flood: not all connect", 0, missing=len(fresh))
            for number, _ in ready:
                sock = fresh.pop(number)
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise Failed("flood", error, open=len(self.flood))
                self.flood.append(sock)
        return {"open": len(self.flood)}

    def command_flood_reset(self, count):
        """Ends the oldest ones."""
        for _ in range(min(int(count), len(self.flood))):
            reset(self.flood.popleft())
        return {"open": len(self.flood)}

    def command_serve_datagrams(self, id, at, mute=0):
        """Echoes UDP datagrams, or only takes them."""
        family, address = parse(at)
        sock = self.sockets[id] = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind(address)

        visitors = self.datagram_visitors[id] = collections.Counter()

        def echo():
            try:
                while True:
                    datagram, peer = sock.recvfrom(CHUNK)
                    visitors[text(peer)] += 1
                    if not mute:
                        sock.sendto(datagram, peer)
            except OSError:
                pass
        threading.Thread(target=echo, daemon=True).start()
        return {"local": text(sock.getsockname())}

    def command_datagram_visitors(self, id):
        """How many datagrams have come from whom."""
        return {"visitors": dict(self.datagram_visitors[id])}

    def command_hand_out(self, id, at, to, count, n):
        """Sends datagrams of n bytes to there, as fast as the network takes them; from one socket by its number."""
        family, address = parse(at)
        if id not in self.sockets:
            self.sockets[id] = socket.socket(family, socket.SOCK_DGRAM)
            self.sockets[id].bind(address)
        datagram, to = bytes(int(n)), parse(to)[1]
        for _ in range(int(count)):
            self.sockets[id].sendto(datagram, to)
        return {"local": text(self.sockets[id].getsockname())}

    def command_once(self, at, to, n):
        """Sends a datagram of n bytes from there to there, and waits for the same back."""
        family, address = parse(at)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.bind(address)
            datagram = bytes(self.stream.piece(1, 0, int(n)))
            sock.sendto(datagram, parse(to)[1])
            answer, peer = sock.recvfrom(CHUNK)
            return {"same": answer == datagram, "from": text(peer), "local": text(sock.getsockname())}

    def command_datagrams(self, to, count, n):
        """Sends datagrams of n bytes; each must come back before the next is sent. How many did, in order and right."""
        family, address = parse(to)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect(address)
            local = text(sock.getsockname())
            for i in range(int(count)):
                datagram = bytes(self.stream.piece(i, 0, int(n)))
                sock.send(datagram)
                if sock.recv(CHUNK) != datagram:
                    raise Failed("another datagram", 0, number=i, local=local)
        return {"count": int(count), "local": local}

    def command_raw(self, packets):
        """Sends IP packets, given in hexadecimal with commas between them, as they are."""
        for packet in map(bytes.fromhex, packets.split(",")):
            four = packet[0] >> 4 == 4
            host = packet[16:20] if four else packet[24:40]
            family = socket.AF_INET if four else socket.AF_INET6
            with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
                sock.sendto(packet, (socket.inet_ntop(family, host), 0))

    def listener(self, at, backlog, dual="0"):
        family, address = parse(at)
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, dual != "1")
        sock.bind(address)
        sock.listen(int(backlog))
        return sock

    def command_listen(self, id, at, backlog=512):
        self.sockets[id] = self.listener(at, backlog)
        return {"local": text(self.sockets[id].getsockname())}

    def command_accept(self, id, listener):
        self.sockets[id] = self.sockets[listener].accept()[0]
        return self.command_names(id)

    def command_names(self, id):
        sock = self.sockets[id]
        return {"local": text(sock.getsockname()), "peer": text(sock.getpeername())}

    def command_serve(self, id, at, stamp="0", backlog=2048, dual="0"):
        listener = self.listener(at, backlog, dual)
        self.servers[id] = Server(listener, stamp == "1")
        return {"local": text(listener.getsockname())}

    def command_served(self, id):
        return {"visitors": list(self.servers[id].visitors)}

    def command_send(self, id, seed, n, at="0"):
        sock, seed, at, n, done = self.sockets[id], int(seed), int(at), int(n), 0
        while done < n:
            part = self.stream.piece(seed, at + done, min(CHUNK, n - done))
            try:
                sock.sendall(part)
            except OSError as error:
                raise Failed("send", error.errno, bytes=done) from error
            done += len(part)
        return {"bytes": done}

    def command_receive(self, id, seed, n, at="0"):
        sock, seed, at, n, done = self.sockets[id], int(seed), int(at), int(n), 0
        while done < n:
            try:
                data = sock.recv(min(CHUNK, n - done))
            except OSError as error:
                raise Failed("receive", error.errno, bytes=done) from error
            if not data:
                raise Failed("ended", 0, bytes=done)
            right = self.stream.first_wrong(seed, at + done, data)
            if right < len(data):
                raise Failed("wrong byte", 0, bytes=done, wrong_at=at + done + right)
            done += len(data)
        return {"bytes": done}

    def command_receive_end(self, id):
        done = 0
        try:
            while data := self.sockets[id].recv(CHUNK):
                done += len(data)
        except OSError as error:
            end = "reset" if error.errno == errno.ECONNRESET else "other"
            return {"end": end, "os_error": error.errno, "bytes": done}
        return {"end": "fin", "os_error": 0, "bytes": done}

    def command_shutdown(self, id):
        self.sockets[id].shutdown(socket.SHUT_WR)

    def command_close(self, id):
        self.sockets.pop(id).close()

    def command_reset(self, id):
        reset(self.sockets.pop(id))

    def command_close_all(self):
        for number in list(self.servers):
            self.servers.pop(number).close()
        open_now = len(self.sockets)
        for number in list(self.sockets):
            reset(self.sockets.pop(number))
        return {"open": open_now}

    def command_exit(self):
        return {}


def execute(native, answers, number, name, arguments):
    try:
        answer = getattr(native, "command_" + name)(**arguments) or {}
    except Failed as failed:
        answer = failed.answer
    except OSError as error:
        answer = {"error": f"{name}: {error.strerror}", "code": error.errno}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        answer = {"error": f"{name}: {error!r}", "code": -1}
    os.write(answers, (json.dumps({"re": number, **answer}) + "\n").encode())
    if name == "exit":
        os._exit(0)


def main(commands_path, answers_path):
    native = Native()
    answers = os.open(answers_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(answers, (json.dumps({"re": 0, "pid": os.getpid()}) + "\n").encode())
    rest = ""
    with open(commands_path, encoding="ascii") as commands:
        while True:
            got = commands.read()
            if not got:
                time.sleep(POLL_S)
                continue
            *lines, rest = (rest + got).split("\n")
            for line in lines:
                number, name, *words = line.split()
                arguments = dict(word.split("=", 1) for word in words)
                threading.Thread(target=execute, args=(native, answers, int(number), name, arguments),
                                 daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
