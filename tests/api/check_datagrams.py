# SPDX-License-Identifier: LGPL-3.0-or-later
"""Datagrams of aio.start_server, on this machine's loopback; the stand-in says where they were going. For check_python.py."""
import asyncio
import os
import socket
import threading

import windows_redirector
from windows_redirector import aio

PATIENCE = 30


def sent(port, host="127.0.0.1"):
    """A program's socket, which has sent something to the proxy."""
    program = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    program.settimeout(PATIENCE)
    program.bind((host, 0))
    program.connect(("::1" if ":" in host else "127.0.0.1", port))
    return program


def refusal(server):
    """The name of the error of a server without datagrams."""
    try:
        server.sendto(b"x", ("127.0.0.1", 9))
    except windows_redirector.Error as error:
        return error.name
    return None


async def datagrams_of_all_sorts(loop):
    """Each is answered by the handler as it is, with where it was going before it."""
    errors, result = [], {}
    loop.set_exception_handler(lambda _loop, context: errors.append(str(context["exception"])))

    def receive(data, peer, where):
        if data == b"fail":
            raise ValueError("on purpose")
        server.sendto(f"{where.host}:{where.port} ".encode() + data[:20], peer)

    async def answer(program, data):
        program.send(data)
        return await loop.run_in_executor(None, program.recv, 65536)
    async with await aio.start_server(None, [1000], datagrams=receive) as server:
        result["ports"] = server.port, server.udp_port > 0
        with sent(server.udp_port) as four, sent(server.udp_port, "::1") as six, sent(server.udp_port, "127.0.0.2") as stranger:
            stranger.send(b"stranger")
            result["four"], result["six"] = await answer(four, b"question"), await answer(six, b"question")
            result["empty"], result["large"] = await answer(four, b""), await answer(four, b"x" * 65507)
            four.send(b"fail")
            result["after"] = await answer(four, b"goes on")
            result["strangers"], result["errors"] = server.stranger_datagrams, errors
            for _ in range(2000):  # many more than wait for the loop, which is not asked meanwhile
                four.send(b"burst")
                six.send(b"burst")
        await asyncio.sleep(0)
        port = server.udp_port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))
    result["threads"] = [thread.name for thread in threading.enumerate() if "serve" in thread.name]
    async with await aio.start_server(None, [1000], datagrams=receive):
        pass  # one that nothing comes to, whose threads have to be woken
    async with await aio.start_server(lambda *_: None, [1000]) as server:
        result["refused"] = refusal(server), server.udp_port
    return result


def check_all(folder):
    """(name, whether it is right, what it is) of each check."""
    os.environ["MOCK_PORT"] = str(folder / "port")
    loop = asyncio.new_event_loop()
    result = loop.run_until_complete(asyncio.wait_for(datagrams_of_all_sorts(loop), PATIENCE))
    loop.close()
    del os.environ["MOCK_PORT"]
    wanted = dict(ports=(0, True), four=b"10.1.2.3:53 question", six=b"fd00::7:53 question", empty=b"10.1.2.3:53 ",
                  large=b"10.1.2.3:53 " + b"x" * 20, after=b"10.1.2.3:53 goes on", strangers=1, errors=["on purpose"], threads=[],
                  refused=("INVALID_ARGUMENT", 0))
    return [(name, result[name] == want, result[name]) for name, want in wanted.items()]
