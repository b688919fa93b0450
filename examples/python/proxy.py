# SPDX-License-Identifier: LGPL-3.0-or-later
"""proxy.py PID...   redirects the connections of running programs to this process, relays them, and prints each."""
import asyncio
import sys

from windows_redirector import aio


async def pump(reader, writer):
    """Relays one direction of a connection until its end."""
    count = 0
    while data := await reader.read(65536):
        count += len(data)
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    return count


async def handle(reader, writer, where):
    """One redirected connection."""
    try:
        far_reader, far_writer = await asyncio.open_connection(where.host, where.port)
        up, down = await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        print(f"pid {where.pid} -> {where.host} port {where.port}: {up} bytes up, {down} bytes down", flush=True)
        far_writer.close()
    except OSError as error:
        print(f"pid {where.pid} -> {where.host} port {where.port}: {error}", flush=True)


async def main(roots):
    async with await aio.start_server(handle, roots):
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)  # until Enter is pressed


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    asyncio.run(main([int(pid) for pid in sys.argv[1:]]))
