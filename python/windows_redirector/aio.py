# SPDX-License-Identifier: LGPL-3.0-or-later
"""For asyncio: a server whose connections are redirected ones, each with its original destination.

    async def handle(reader, writer, destination):
        ...
    async with await windows_redirector.aio.start_server(handle, roots=[pid]) as server:
        await asyncio.sleep(60)
"""
import asyncio
import errno
from types import TracebackType
from typing import Any, Awaitable, Callable, Iterable, List, Optional, Set, Type

from ._library import Error
from ._redirector import Destination, Redirector

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Destination], Awaitable[None]]

PORT_ATTEMPTS = 16


class Server:
    """Listens on one port of both loopback addresses. redirector: for everything else that can be asked."""

    redirector: Redirector

    def __init__(self, handle: Handler) -> None:
        self.strangers = 0  # connections that were nobody's of the tree: they are reset
        self._handle = handle
        self._servers: List[asyncio.AbstractServer] = []
        self._started = asyncio.Event()
        self._tasks: Set["asyncio.Task[None]"] = set()

    @property
    def port(self) -> int:
        return int(self._servers[0].sockets[0].getsockname()[1])  # type: ignore[attr-defined]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
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


async def start_server(handle: Handler, roots: Iterable[int], **options: Any) -> Server:
    """Listens and redirects. handle(reader, writer, destination) is called for each connection; when it is done, the
    connection is closed. options: as for Redirector, but for proxy_port. Raises windows_redirector.Error."""
    server = Server(handle)
    pids = list(roots)
    await server._listen()
    starting = asyncio.get_running_loop().run_in_executor(  # half a second, with its proof
        None, lambda: Redirector(pids, proxy_port=server.port, **options))
    try:
        server.redirector = await asyncio.shield(starting)
    except asyncio.CancelledError:
        server.redirector = await starting  # a thread cannot be cancelled
        await server.close()
        raise
    except BaseException:
        await server.close()
        raise
    server._started.set()
    return server
