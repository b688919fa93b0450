# SPDX-License-Identifier: LGPL-3.0-or-later
"""Redirects the TCP connections, and UDP, of a process tree on Windows to a local proxy: this process.

    import windows_redirector
    with windows_redirector.Redirector(roots=[pid], proxy_port=8080) as redirector:
        ...
        where = redirector.destination(peer)    # of a connection that the proxy has accepted
        for connection in redirector:
            print(connection.pid, connection.destination, connection.bytes_down)

windows_redirector.aio has the same for asyncio, listening included. All of it needs a 64-bit Python 3.8 or later that
runs as administrator. "python -m windows_redirector" is the program redirector.exe.
"""
from ._convert import Address, Peer, Protocol
from ._library import Error, load
from ._process import program_of
from ._redirector import Connection, Decision, Destination, Flags, Redirector, Undecided
from ._rules import Action, Direction, Rule, RuleLike, Verdict, test_rules

__all__ = ["Action", "Address", "Connection", "Decision", "Destination", "Direction", "Error", "Flags", "Peer", "Protocol",
           "Redirector", "Rule", "RuleLike", "Undecided", "Verdict", "load", "program_of", "test_rules"]
