# SPDX-License-Identifier: LGPL-3.0-or-later
"""Many connections at a time. usage: many.py serve | connect NUMBER

The server echoes on port 8002 and prints "ready". The client opens all its connections, has each
echo something while all are open, and prints how many did.
"""
import selectors
import socket
import sys

ADDRESS = ("10.77.0.2", 8002)


def serve():
    selector = selectors.DefaultSelector()
    listener = socket.create_server(ADDRESS, backlog=16384)
    selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            data = key.fileobj.recv(64)
            if data:
                key.fileobj.sendall(data)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()


def connect(number):
    sockets = [socket.create_connection(ADDRESS, timeout=30) for _ in range(number)]
    for i, s in enumerate(sockets):
        s.sendall(b"%06d" % i)
    good = sum(s.recv(64) == b"%06d" % i for i, s in enumerate(sockets))
    print(good, flush=True)
    for s in sockets:  # one after the other: the daemon is one thread, and machines may be slow
        s.shutdown(socket.SHUT_WR)
        s.recv(64)
        s.close()


if sys.argv[1] == "serve":
    serve()
else:
    connect(int(sys.argv[2]))
