# SPDX-License-Identifier: LGPL-3.0-or-later
"""Datagrams for an event loop, from one port of both loopback addresses.

They are received on threads, one a socket: on Windows the transports of asyncio pass over empty datagrams, and receive
nothing more after an ICMP error (cpython 91227, 127057). No more than AHEAD wait for the loop; the rest waits in the
sockets.
"""
import asyncio
import errno
import socket
import threading
from typing import Any, Callable, List

from ._convert import Peer

AHEAD = 256
LARGEST = 65536  # bytes; no datagram has so many
RECEIVE_BUFFER = 1 << 20  # Windows has 64 KiB, and drops what comes in a burst of two of the largest
PORT_ATTEMPTS = 16


def _bind(family: int, host: str, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_DGRAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        one.bind((host, port))
    except BaseException:
        one.close()
        raise
    return one


def _bind_both() -> List[socket.socket]:
    """The same port in both families: another program may have the one that the first has got."""
    for attempt in range(PORT_ATTEMPTS):
        first = _bind(socket.AF_INET, "127.0.0.1", 0)
        try:
            return [first, _bind(socket.AF_INET6, "::1", first.getsockname()[1])]
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                return [first]  # a machine without IPv6
            first.close()
            if error.errno != errno.EADDRINUSE or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError


class Datagrams:
    """Two sockets. received(data, peer) is called by the loop, from start() on."""

    def __init__(self) -> None:
        self._sockets = _bind_both()
        self._closed = False
        self._room = threading.Semaphore(AHEAD)
        self._threads: List[threading.Thread] = []

    @property
    def port(self) -> int:
        return int(self._sockets[0].getsockname()[1])

    def start(self, received: Callable[[bytes, Any], None]) -> None:
        loop = asyncio.get_running_loop()

        def deliver(data: bytes, peer: Any) -> None:
            self._room.release()
            if not self._closed:
                received(data, peer)

        def serve(one: socket.socket) -> None:
            while True:
                self._room.acquire()
                try:
                    data, peer = one.recvfrom(LARGEST)
                except OSError:  # a peer that is gone, as Windows tells it; else close() comes
                    self._room.release()
                    if self._closed:
                        return
                    continue
                if self._closed:
                    return
                try:
                    loop.call_soon_threadsafe(deliver, data, peer)
                except RuntimeError:  # the loop is closed
                    return

        for one in self._sockets:
            thread = threading.Thread(target=serve, args=(one,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def sendto(self, data: bytes, peer: Peer) -> None:
        host, port = peer[0], peer[1]
        one = self._sockets[-1] if ":" in host else self._sockets[0]
        one.sendto(data, (host, port))

    def close(self) -> None:
        """Ends the threads: an empty datagram wakes the one that waits, and one for which there is no room need not."""
        self._closed = True
        for one in self._sockets:
            self._room.release()
            try:
                one.sendto(b"", one.getsockname())
            except OSError:
                pass
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()
