# SPDX-License-Identifier: LGPL-3.0-or-later
"""O1, O6: real clients and real servers: nginx, PostgreSQL, Redis, HTTP/2, WebSocket, TLS from end to end.

The clients are Windows programs in Go (clients/), started by the root of the tree; every byte they get is checked there. Each
of their connections must have gone through the relay, with the destination that they meant.
"""
import json
import os
import shutil

from harness import scenario
from lab import expect, expect_equal, wait_until, windows_path
from servers import servers


def run_client(t, exchange, port, folder=None):
    """Runs a client of the tree to its end: (what it says, the proxy's records of its connections)."""
    folder = folder or servers(t).folder
    destination = f"{t.server_host}/{port}"
    out = os.path.join(folder, t.world.name(exchange) + ".json")
    exe = os.path.join(t.lab.stage, "clients.exe")
    expect(os.path.exists(exe), "clients.exe is not there: see build/e2e/clients.log")
    t.session.forget_proxied()
    pid = t.root.call("spawn", exe=windows_path(exe), commands=f"{exchange}@{destination}", answers=windows_path(out),
                      std=windows_path(out + ".std"))["pid"]
    code = t.root.call("wait_exit", pid=pid, limit=60)["exit_code"]
    with open(out, encoding="utf-8") as text:
        said = json.load(text)
    expect_equal(code != 0, "error" in said, f"exit code {code} and {said}")
    records = t.session.proxied()
    expect(records, f"no connection to the proxy ({said})")
    for record in records:
        expect_equal((record.get("destination"), record.get("pid")), (destination, pid), "what the proxy was told")
    return said, records


def expect_exchange(t, exchange, server):
    said, records = run_client(t, exchange, servers(t).port(server))
    expect("error" not in said, f"the client of {exchange} says", said.get("error"))
    wait_until(lambda: all(r["end"] for r in t.session.proxied()), "the client's connections over at the proxy")
    carried = sum(r["up"] + r["down"] for r in t.session.proxied())
    expect(carried >= said.get("bytes", 1), f"the proxy carried {carried} bytes only", said)
    return said, records


@scenario("O1", "O6")
def web_pages_from_nginx(t, family):
    _, records = expect_exchange(t, "http", "http")
    expect_equal(len(records), 1, "connections of a client that keeps its connection")


@scenario("O1", "O6")
def http2_over_tls_from_nginx(t, family):
    said, records = expect_exchange(t, "http2", "https")
    expect_equal(said["protocol"], "HTTP/2.0", "protocol")
    expect_equal(len(records), 1, "connections of all streams")


@scenario("O1", "O6")
def http2_upload_to_a_server_in_go(t, family):
    expect_exchange(t, "upload", "go")


@scenario("O1", "O6")
def websocket_over_tls(t, family):
    expect_exchange(t, "websocket", "go")


@scenario("O1", "O6")
def postgresql(t, family):
    _, records = expect_exchange(t, "postgres", "postgres")
    expect(len(records) >= 2, f"{len(records)} connections: the client's and its listener's")


@scenario("O1", "O6")
def postgresql_that_turns_to_tls(t, family):
    said, _ = expect_exchange(t, "postgres-tls", "postgres")
    expect(said["encrypted"], "the connection was not encrypted")


@scenario("O1", "O6")
def redis(t, family):
    expect_exchange(t, "redis", "redis")


@scenario("O1", "O6")
def redis_publish_and_subscribe(t, family):
    _, records = expect_exchange(t, "redis-pubsub", "redis")
    expect_equal(len(records), 4, "connections of publisher and subscribers")


@scenario("O6", families=None)
def tls_is_the_servers_own(t):
    """A client that trusts somebody else refuses what comes through the relay: so the other exchanges prove that it is the
    server's certificate that comes."""
    port = servers(t).port("https")
    folder = os.path.join(servers(t).folder, "stranger")
    os.mkdir(folder)
    servers(t).run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a stranger",
                   "-keyout", os.path.join(folder, "key.pem"), "-out", os.path.join(folder, "ca.pem"))
    said, _ = run_client(t, "http2", port, folder)
    expect("x509" in said.get("error", ""), "the client has trusted a stranger", said)
    shutil.rmtree(folder)
