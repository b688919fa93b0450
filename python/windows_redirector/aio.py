# SPDX-License-Identifier: LGPL-3.0-or-later
"""For asyncio: a server whose connections are redirected ones, each with its original destination.

    async def handle(reader, writer, destination):
        ...
    async with await windows_redirector.aio.start_server(handle, roots=[pid]) as server:
        await asyncio.sleep(60)

and the same for datagrams:

    def receive(data, peer, destination):
        server.sendto(b"answer", peer)
    async with await windows_redirector.aio.start_server(None, roots=[pid], datagrams=receive) as server:
        await asyncio.sleep(60)
"""
import asyncio
import errno
from types import TracebackType
from typing import Any, Awaitable, Callable, Iterable, List, Optional, Set, Type

from ._datagrams import Datagrams
from ._convert import Peer, Protocol
from ._library import Error
from ._redirector import Destination, Redirector

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Destination], Awaitable[None]]
DatagramHandler = Callable[[bytes, Peer, Destination], object]

PORT_ATTEMPTS = 16


class Server:
    """Listens on one port of both loopback addresses. redirector: for everything else that can be asked."""

    redirector: Redirector

    def __init__(self, handle: Optional[Handler], receive: Optional[DatagramHandler] = None) -> None:
        self.strangers = 0  # connections that were nobody's of the tree: they are reset
        self.stranger_datagrams = 0  # the same of datagrams, and those whose flow had ended: they are dropped
        self._handle, self._receive = handle, receive
        self._datagrams = Datagrams() if receive else None
        self._servers: List[asyncio.AbstractServer] = []
        self._started = asyncio.Event()
        self._tasks: Set["asyncio.Task[None]"] = set()

    @property
    def port(self) -> int:
        """0: connections are left alone."""
        return int(self._servers[0].sockets[0].getsockname()[1]) if self._servers else 0  # type: ignore[attr-defined]

    @property
    def udp_port(self) -> int:
        """0: datagrams are left alone."""
        return self._datagrams.port if self._datagrams else 0

    def sendto(self, data: bytes, peer: Peer) -> None:
        """Answers a peer: its program receives it as from the destination of the flow."""
        if not self._datagrams:
            raise Error("INVALID_ARGUMENT", "this server has no datagrams; give start_server() a function for them")
        self._datagrams.sendto(data, peer)

    def _received(self, data: bytes, peer: Peer) -> None:
        try:
            destination = self.redirector.destination(peer, Protocol.UDP)
            if destination is None:
                self.stranger_datagrams += 1
            elif self._receive:
                self._receive(data, peer, destination)
        except Error:
            pass  # redirection has ended
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "the handler of a redirected datagram has failed", "exception": error})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task and self._handle
        self._tasks.add(task)
        try:
            await self._started.wait()  # a connection can be quicker than the start that has redirected it
            peer = writer.get_extra_info("peername")  # None: it has gone already
            destination = self.redirector.destination(peer) if peer else None
            if destination is None:
                self.strangers += 1
                writer.transport.abort()
            else:
                await self._handle(reader, writer, destination)
        except (Error, ConnectionError):
            pass  # redirection, or the connection, has ended
        except Exception as error:  # asyncio itself tells of it since Python 3.12 only
            asyncio.get_running_loop().call_exception_handler(
                {"message": "the handler of a redirected connection has failed", "exception": error, "task": task})
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _listen(self) -> None:
        """The same port in both families: another program may have the one that the first has got."""
        if not self._handle:
            return
        for attempt in range(PORT_ATTEMPTS):
            first = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self._servers = [first]
            try:
                self._servers.append(await asyncio.start_server(self._serve, "::1", self.port))
                return
            except OSError as error:
                if error.errno == errno.EADDRINUSE and attempt < PORT_ATTEMPTS - 1:
                    first.close()
                elif error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    return  # a machine without IPv6
                else:
                    first.close()
                    raise

    async def close(self) -> None:
        """Stops redirecting, then listening; handlers that still run are cancelled."""
        if hasattr(self, "redirector"):
            await asyncio.get_running_loop().run_in_executor(None, self.redirector.close)
        if self._datagrams:
            self._datagrams.close()
        for server in self._servers:
            server.close()
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await self.close()


async def start_server(handle: Optional[Handler], roots: Iterable[int], datagrams: Optional[DatagramHandler] = None,
                       **options: Any) -> Server:
    """Listens and redirects. handle(reader, writer, destination) is called for each connection; when it is done, the
    connection is closed. None: connections are left alone. datagrams(data, peer, destination), a plain function, is called
    for each datagram, and answers by Server.sendto(data, peer). None: UDP is left alone. options: as for Redirector, but
    for proxy_port and udp_port. Raises windows_redirector.Error."""
    server = Server(handle, datagrams)
    pids = list(roots)
    try:
        await server._listen()
        starting = asyncio.get_running_loop().run_in_executor(  # half a second, with its proof
            None, lambda: Redirector(pids, proxy_port=server.port, udp_port=server.udp_port, **options))
        try:
            server.redirector = await asyncio.shield(starting)
        except asyncio.CancelledError:
            server.redirector = await starting  # a thread cannot be cancelled
            raise
    except BaseException:
        await server.close()
        raise
    if server._datagrams:
        server._datagrams.start(server._received)
    server._started.set()
    return server
