#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""The main job of the package, end to end: real programs fetch a page, redirected, and every witness says the same.

    packaging/e2e.py serve PORT FILE                 a web server for both families that has this one page
    packaging/e2e.py run FOLDER PAGE VERSION URL...  the checks; a line each, and "N passed, N failed"

FOLDER has redirector.exe, agent.exe and agent_dll.exe (the Go module's example, with the library inside and with the DLL),
winsock_fetch.exe (demo/) and WinDivert; PAGE is the file that the server serves. The same checks run on Windows with
the real driver (windows_e2e.sh) and in the lab (try_zip.sh), where E2E_LAUNCHER names the command that runs a Windows
program in FOLDER.
"""
import hashlib
import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import urllib.parse

ROUNDS = 3
PATIENCE_S = 120
CLIENT = ".\\winsock_fetch.exe"  # Go starts nothing from the current folder by its mere name


class PageServer(http.server.ThreadingHTTPServer):
    """IPv6 sockets that take IPv4 as well."""
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(port, file):
    page = pathlib.Path(file).read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):  # the name is http.server's
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    with PageServer(("::", int(port)), Handler) as server:
        print("ready", flush=True)
        server.serve_forever()


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, condition, name, why=""):
        self.passed, self.failed = self.passed + bool(condition), self.failed + (not condition)
        print(f"ok {name}" if condition else f"FAIL {name}: {str(why)[-1500:]}", flush=True)


def json_lines(text):
    """The objects among the lines; a program's own output may stand between them."""
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


class Stage:
    """The folder, and how a program in it is run."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        launcher = os.environ.get("E2E_LAUNCHER")
        self.launcher = launcher.split() if launcher else []

    def run(self, name, program, *arguments):
        """Exit status, standard output, standard error. By files: Wine's services inherit a pipe and keep it open."""
        program = program if self.launcher else str(self.folder / program)
        files = [self.folder / f"{name}.{stream}" for stream in ("out", "err")]
        with open(files[0], "wb") as out, open(files[1], "wb") as err:
            try:
                status = subprocess.run([*self.launcher, program, *arguments], cwd=self.folder, stdout=out, stderr=err,
                                        stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False).returncode
            except subprocess.TimeoutExpired:
                status = f"none after {PATIENCE_S} s"
        return (status, *(file.read_text(encoding="utf-8", errors="replace") for file in files))


def endpoint(url):
    """(address, port) of a URL, the address as the programs write it."""
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port or 80


def seen_by_redirector(err):
    return [(line["destination"], line["port"]) for line in json_lines(err)
            if line.get("type") == "connection" and line["outcome"] == "closed"]


def seen_by_agent(out):
    return [endpoint("tcp://" + line["destination"]) for line in json_lines(out)
            if line["event"] == "connection" and line["found"] and not line.get("error")]


def check_doctor(checks, stage):
    status, out, err = stage.run("doctor", "redirector.exe", "doctor", "--json")
    proven = {line["what"] for line in json_lines(out + err) if line["state"] == "ok"}
    checks.check(status == 0 and {"IPv4 over loopback", "IPv6 over loopback"} <= proven,
                 "redirector doctor finds that this machine can redirect", f"{status}: {out} {err}")


def check_redirected(checks, stage, page, urls, way):
    """way: (name, arguments before the program's own, which output to read, who saw the connections)"""
    name, command, stream, witness = way
    word = name.replace(" ", "_")
    records = stage.folder / f"{word}.records"
    records.unlink(missing_ok=True)
    done = stage.run(word, *command, "--", CLIENT, word, records.name, str(ROUNDS), *urls)
    checks.check(done[0] == 0, f"{name}: the program's exit status", f"{done[0]}; {done[1]} {done[2]}")
    fetched = list(json_lines(records.read_text(encoding="utf-8"))) if records.exists() else []
    digest = hashlib.sha256(page).hexdigest()
    bad = [r for r in fetched if r["status"] != 200 or r["bytes"] != len(page) or r["sha256"] != digest]
    count = ROUNDS * len(urls)
    checks.check(len(fetched) == count and not bad, f"{name}: {count} pages, every byte right",
                 f"{len(fetched)} fetched; bad: {bad}")
    wrong = [r for r in fetched if endpoint("tcp://" + r["remote"]) != endpoint(r["url"])]
    checks.check(fetched and not wrong, f"{name}: the program sees its server as its peer", wrong)
    seen = sorted(witness(done[stream]))
    checks.check(seen == sorted(endpoint(url) for url in urls * ROUNDS),
                 f"{name}: every connection came by the proxy, with its destination", f"{seen}; {done[2]}")


def run(folder, page_file, version, *urls):
    checks, stage = Checks(), Stage(folder)
    page = pathlib.Path(page_file).read_bytes()
    done = stage.run("version", "redirector.exe", "--version")
    checks.check(done[:2] == (0, f"redirector {version}\n"), f"redirector.exe is version {version}", done)
    check_doctor(checks, stage)
    done = stage.run("direct", CLIENT, "direct", "direct.records", "1", *urls)
    checks.check(done[0] == 0, "the pages can be fetched without the redirector", done)
    for way in (("redirector", ["redirector.exe", "run", "--json"], 2, seen_by_redirector),
                ("agent", ["agent.exe"], 1, seen_by_agent),
                ("agent with DLL", ["agent_dll.exe"], 1, seen_by_agent)):
        check_redirected(checks, stage, page, urls, way)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 0 if checks.passed and not checks.failed else 1


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "serve":
        sys.exit(serve(*sys.argv[2:]))
    if len(sys.argv) >= 6 and sys.argv[1] == "run":
        sys.exit(run(*sys.argv[2:]))
    sys.exit(__doc__)
