# SPDX-License-Identifier: LGPL-3.0-or-later
"""proxy.py PID...   redirects the connections of running programs to this process, relays them, and prints each."""
import asyncio
import sys

import windows_redirector


async def pump(reader, writer):
    """Relays one direction of a connection until its end."""
    count = 0
    while data := await reader.read(65536):
        count += len(data)
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    return count


async def serve(redirector, reader, writer):
    """One redirected connection."""
    where = redirector.destination(writer.get_extra_info("peername"))
    if where:
        try:
            far_reader, far_writer = await asyncio.open_connection(where.host, where.port)
            up, down = await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
            print(f"pid {where.pid} -> {where.host} port {where.port}: {up} bytes up, {down} bytes down", flush=True)
            far_writer.close()
        except OSError as error:
            print(f"pid {where.pid} -> {where.host} port {where.port}: {error}", flush=True)
    writer.close()


async def main(roots):
    """Listens on the same port of both loopback addresses, then starts redirecting."""
    redirector = None
    first = await asyncio.start_server(lambda r, w: serve(redirector, r, w), "127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    await asyncio.start_server(lambda r, w: serve(redirector, r, w), "::1", port)
    with windows_redirector.Redirector(roots, proxy_port=port) as redirector:
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)  # until Enter is pressed


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    asyncio.run(main([int(pid) for pid in sys.argv[1:]]))
