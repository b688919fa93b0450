# SPDX-License-Identifier: LGPL-3.0-or-later
"""mitmproxy as the proxy of running programs, each flow with the program and the original destination:

    mitmdump --mode transparent --set redirect_pids=4711 -s mitmproxy_addon.py

As administrator. A flow's metadata has "pid", "program" and "destination"; the log has a line for each request. mitmproxy
asks its platform for original destinations in this mode: here it asks the redirector. Programs have to trust mitmproxy's
certificate for what it decrypts.
"""
import logging
import sys
from collections.abc import Sequence

import mitmproxy.platform
from mitmproxy import ctx

import windows_redirector


def listening_port():
    """mitmproxy 8 has the option alone; later ones know where they listen."""
    server = ctx.master.addons.get("proxyserver")
    return server.listen_addrs()[0][1] if hasattr(server, "listen_addrs") else ctx.options.listen_port


class Redirected:
    def __init__(self):
        self.redirector = None
        self.opened = {}  # connection's id -> windows_redirector.Destination
        mitmproxy.platform.init_transparent_mode = lambda: None
        mitmproxy.platform.original_addr = self.original_address

    def load(self, loader):
        loader.add_option("redirect_pids", Sequence[str], [], "Processes whose connections are redirected.")

    def running(self):
        try:
            pids = [int(pid) for pid in ctx.options.redirect_pids]
            self.redirector = windows_redirector.Redirector(pids, proxy_port=listening_port())
        except (ValueError, IndexError, windows_redirector.Error) as error:
            print(f"nothing is redirected: {error}", file=sys.stderr, flush=True)
            ctx.master.shutdown()

    def done(self):
        if self.redirector:
            self.redirector.close()

    def original_address(self, connection):
        """For mitmproxy: where it is to connect to."""
        where = self.redirector and self.redirector.destination(connection.getpeername())
        if not where:
            raise RuntimeError("this connection was not redirected")
        return where.host, where.port

    def client_connected(self, client):
        where = self.redirector and self.redirector.destination(client.peername)
        if where:
            self.opened[client.id] = where

    def client_disconnected(self, client):
        self.opened.pop(client.id, None)

    def note(self, flow):
        where = self.opened.get(flow.client_conn.id)
        if where:
            program = windows_redirector.program_of(where.pid) or "?"
            flow.metadata.update(pid=where.pid, program=program, destination=(where.host, where.port))
            logging.info("pid %d (%s) -> %s port %d", where.pid, program, where.host, where.port)

    def requestheaders(self, flow):
        self.note(flow)

    def tcp_start(self, flow):
        self.note(flow)


addons = [Redirected()]
