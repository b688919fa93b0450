# SPDX-License-Identifier: LGPL-3.0-or-later
"""The server host's side of the conformance tests.

Port 8000 echoes what it gets, by TCP and UDP. Port 8001 takes a line "ADDRESS PORT", connects to it and answers "ok"
or the error; the connection it made lives until the asker closes. Prints "ready" when both listen.
"""
import socket
import threading

ADDRESSES = ((socket.AF_INET, "10.77.0.2"), (socket.AF_INET6, "fd77::2"))


def echo(conn):
    with conn:
        while data := conn.recv(65536):
            conn.sendall(data)


def call_back(conn):
    with conn, conn.makefile() as lines:
        address, port = lines.readline().split()
        try:
            with socket.create_connection((address, int(port)), timeout=5):
                conn.sendall(b"ok\n")
                lines.read()
        except OSError as e:
            conn.sendall(f"{e}\n".encode())


def echo_datagrams(family, address, port):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((address, port))

    def loop():
        while True:
            data, peer = s.recvfrom(65536)
            s.sendto(data, peer)

    threading.Thread(target=loop).start()


def serve(family, address, port, job):
    listener = socket.create_server((address, port), family=family, backlog=256)

    def loop():
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=guarded, args=(job, conn), daemon=True).start()

    threading.Thread(target=loop).start()


def guarded(job, conn):
    try:
        job(conn)
    except OSError:
        pass  # the client went away; the tests reset connections on purpose


for family, address in ADDRESSES:
    serve(family, address, 8000, echo)
    echo_datagrams(family, address, 8000)
    serve(family, address, 8001, call_back)
print("ready", flush=True)
