# SPDX-License-Identifier: LGPL-3.0-or-later
"""The Python package at work, in a Python for Windows, in the lab: what a child connects to comes here, and goes on.

    lab_python.py STAGE     the folder with api_test.exe; called by lab_test.sh; ends "N passed, N failed"
"""
import asyncio
import os
import subprocess
import sys

import windows_redirector
from windows_redirector import aio

SERVER = ("10.77.0.2", 7001)
passed = failed = 0


def check(condition, name, why=""):
    global passed, failed
    passed, failed = passed + bool(condition), failed + (not condition)
    print(f"ok Python: {name}" if condition else f"FAIL Python: {name}: {why}", flush=True)


PROGRAM = """import socket
program = socket.socket(type=socket.SOCK_DGRAM)
program.settimeout(30)
program.sendto(b"question", ("10.77.0.2", 9))
print(*program.recvfrom(99))
"""


async def datagrams():
    """What a child sends, and is answered."""
    seen, loop = [], asyncio.get_running_loop()

    def receive(data, peer, where):
        seen.append((data, where))
        server.sendto(b"answer to " + data, peer)

    async with await aio.start_server(None, roots=[os.getpid()], datagrams=receive) as server:
        child = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        said, _ = await loop.run_in_executor(None, child.communicate)
        check(said.strip() == "b'answer to question' ('10.77.0.2', 9)", "a datagram is answered as from where it was sent", said)
        check(len(seen) == 1 and seen[0][0] == b"question" and seen[0][1][:4] == ("10.77.0.2", 9, child.pid, False),
              "where it was going, and who", seen)
        stats = server.redirector.stats()
        check((stats["udp_flows_total"], stats["flows_total"], server.stranger_datagrams) == (1, 0, 0), "one flow, of UDP", stats)


async def ruled(program):
    """Rules by destination: what is blocked is refused, what passes does not come here, and changed ones count at once."""
    seen, loop = [], asyncio.get_running_loop()

    async def handle(_reader, writer, where):
        seen.append(where[:2])
        writer.write(b"P")
        await writer.drain()

    async def visit():
        child = subprocess.Popen([program, "visit", SERVER[0], str(SERVER[1])], stdin=subprocess.DEVNULL)
        return await loop.run_in_executor(None, child.wait)

    Rule, Action = windows_redirector.Rule, windows_redirector.Action
    blocking = [Rule(Action.BLOCK, network="10.77.0.0/24", ports=(7000, 7001))]
    async with await aio.start_server(handle, roots=[os.getpid()], rules=blocking) as server:
        check(await visit() != 7 and not seen, "what a rule blocks is refused", seen)
        check(server.redirector.stats()["connections_blocked"] >= 1, "and counted", server.redirector.stats())
        server.redirector.set_rules([Rule(host="*.lab.test", protocol=windows_redirector.Protocol.TCP)])
        server.redirector.tell_name(SERVER[0], "direct.lab.test")
        check((await visit(), seen) == (7, []), "what passes by its name goes to its destination", seen)
        server.redirector.set_rules([])
        await visit()
        check(seen == [SERVER], "without rules it comes here", seen)


async def main(stage):
    seen, loop = [], asyncio.get_running_loop()

    async def handle(_reader, writer, where):
        seen.append((where, windows_redirector.program_of(where.pid), list(server.redirector)))
        far_reader, far_writer = await asyncio.open_connection(where.host, where.port)
        writer.write(await far_reader.read())
        await writer.drain()
        far_writer.close()

    program = os.path.join(stage, "api_test.exe")
    async with await aio.start_server(handle, roots=[os.getpid()]) as server:
        child = subprocess.Popen([program, "visit", SERVER[0], str(SERVER[1])], stdin=subprocess.DEVNULL)
        status = await loop.run_in_executor(None, child.wait)
        where, path, connections = seen[0] if seen else (None, None, [])
        check(status == 7, "the child has got its answer", status)
        check(where and where[:4] == (*SERVER, child.pid, False), "where it was going, and who", where)
        check(path and path.lower().endswith("\\api_test.exe"), "its program", path)
        check([(one.pid, one.destination) for one in connections] == [(child.pid, SERVER)], "the connection in the list", connections)
        stats = server.redirector.stats()
        check((len(seen), stats["flows_total"], server.strangers) == (1, 1, 0), "one, and nobody else's", stats)
    check(not server.redirector._close.alive, "the end stops it")
    await datagrams()
    await ruled(program)
    try:
        windows_redirector.Redirector([0xFFFFFFF0], proxy_port=8080)
        check(False, "an error is raised")
    except windows_redirector.Error as error:
        check(error.name == "NO_SUCH_PROCESS", "an error is raised", error.name)
    done = subprocess.run([sys.executable, "-m", "windows_redirector", "--version"], stdin=subprocess.PIPE, capture_output=True,
                          text=True, check=False)
    check((done.returncode, done.stdout[:11]) == (0, "redirector "), "python -m windows_redirector", done)
    print(f"{passed} passed, {failed} failed", flush=True)


asyncio.run(main(sys.argv[1]))
