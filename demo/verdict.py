# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the demo has proved, from independent witnesses.

  plan       what was to be fetched: request id -> URL, and URL -> length and hash of its page
  programs   what each program saw at its own socket: a record per request (fetch/main.go, winsock_fetch.c)
  agent      what the proxy saw: an event per connection, and a summary (go/examples/agent)
  server     what the web server saw: a log row per request, with the client's address and port

A request is proved to be redirected by one chain: the server's row names the remote end; that end belongs to exactly one
connection of the agent's own; the agent's event for it names the program and the destination; and the program itself
believes that it talked to that destination directly. A request of the bystander is proved to be untouched by the
opposite: the remote end in the server's row is the bystander's own socket.

The lab is a witness against all of them: its strict rules must be on, and it must not have lost or refused a packet.

Everything here is counted; `problems` holds a line for each thing that is not as it must be.
"""
import re
from urllib.parse import urlsplit

from lab import LOSSES

MIN_OVERLAP = 4  # requests of the bystander that must lie between the first and the last redirected request


def url_endpoint(url):
    parts = urlsplit(url)
    host = "[%s]" % parts.hostname if ":" in parts.hostname else parts.hostname
    return "%s:%d" % (host, parts.port or 80)


def row_endpoint(address, port):
    return "%s:%d" % ("[%s]" % address if ":" in address else address, port)


class Verdict:
    """Compares the witnesses.

    plan:       {request id: (user agent, program file, URL)} of the tree
    bystander:  user agent of the bystander
    pages:      {path: (length, sha256)}
    records:    every program's records
    events:     the agent's JSON lines
    rows:       the server's JSON lines
    counters:   the lab's counters
    """

    def __init__(self, plan, bystander, pages, records, events, rows, counters):
        self.problems = []
        self.plan, self.pages = plan, pages
        self.chains = []  # (event, record, row) of each proved request
        self.events = [e for e in events if e["event"] == "connection"]
        self.found = sum(1 for e in self.events if e["found"])
        tree_records, bystander_records = self.split_records(records, bystander)
        tree_rows, bystander_rows = self.split_rows(rows, bystander)
        upstream = self.index_upstream()
        self.check_tree(tree_records, tree_rows, upstream)
        touched = len(self.problems)
        self.check_bystander(bystander_records, bystander_rows, upstream, tree_rows)
        self.untouched = len(self.problems) == touched
        self.check_agent(events)
        self.check_lab(counters)

    def problem(self, text, *values):
        self.problems.append(text % values)

    def unique(self, items, key, what):
        """Items by key; a key that is there twice is a problem."""
        result = {}
        for item in items:
            if item[key] in result:
                self.problem("%s: %s is there twice", what, item[key])
            result[item[key]] = item
        return result

    def split_records(self, records, bystander):
        tree, other = [], []
        for record in records:
            (other if record["id"].startswith(bystander + ".") else tree).append(record)
        return self.unique(tree, "id", "program's record"), self.unique(other, "id", "bystander's record")

    def split_rows(self, rows, bystander):
        tree, other = [], []
        for row in rows:
            (other if row["agent"] == bystander else tree).append(row)
        return self.unique(tree, "id", "server's row"), self.unique(other, "id", "server's row of the bystander")

    def index_upstream(self):
        return self.unique([e for e in self.events if e["upstream"]], "upstream", "agent's own connection")

    def check_record(self, record, url):
        """What a program saw: the whole page, and the original destination as its peer."""
        length, digest = self.pages[urlsplit(url).path]
        if record["error"] or record["status"] != 200:
            self.problem("%s: status %d, %s", record["id"], record["status"], record["error"] or "no error")
        elif record["bytes"] != length or record["sha256"] != digest:
            self.problem("%s: %d bytes with a wrong hash, %d wanted", record["id"], record["bytes"], length)
        elif record["remote"] != url_endpoint(url):
            self.problem("%s: the program sees %s as its peer, not %s", record["id"], record["remote"], url_endpoint(url))
        else:
            return True
        return False

    def check_row(self, row, agent, url):
        """What the server saw, apart from where it came from."""
        seen = (row["agent"], row["uri"], row["status"], row_endpoint(row["server_addr"], row["server_port"]))
        if seen != (agent, urlsplit(url).path, 200, url_endpoint(url)):
            self.problem("%s: the server saw %s", row["id"], seen)
            return False
        return True

    def check_tree(self, records, rows, upstream):
        for extra in (set(records) | set(rows)) - set(self.plan):
            self.problem("request %s was never planned", extra)
        used = set()
        for request, (agent, program, url) in self.plan.items():
            record, row = records.get(request), rows.get(request)
            if record is None or row is None:
                self.problem("%s: %s", request, "no record of it" if record is None else "the server never saw it")
                continue
            if not self.check_record(record, url) or not self.check_row(row, agent, url):
                continue
            end = row_endpoint(row["addr"], row["port"])
            event = upstream.get(end)
            if event is None:
                self.problem("%s: it reached the server from %s, which is no connection of the agent%s", request, end,
                             ", but the program's own" if end == record["local"] else "")
            elif end in used:
                self.problem("%s: a second request on the agent's connection %s", request, end)
            elif self.check_event(request, event, record, program):
                used.add(end)
                self.chains.append((event, record, row))

    def check_event(self, request, event, record, program):
        told = (event["pid"], event["program"], event["destination"])
        if told != (record["pid"], record["program"], record["remote"]):
            self.problem("%s: the agent was told %s, the program says %s", request, told,
                         (record["pid"], record["program"], record["remote"]))
        elif record["program"] != program:
            self.problem("%s: made by %s, planned for %s", request, record["program"], program)
        elif event.get("error") or event["bytes_down"] <= record["bytes"] or event["bytes_up"] == 0:
            self.problem("%s: the agent carried %d bytes up and %d down, %s", request, event["bytes_up"],
                         event["bytes_down"], event.get("error") or "no error")
        else:
            return True
        return False

    def check_bystander(self, records, rows, upstream, tree_rows):
        self.bystander_requests = len(records)
        for extra in set(rows) - set(records):
            self.problem("bystander: request %s is unknown to it", extra)
        for request, record in records.items():
            row = rows.get(request)
            if row is None:
                self.problem("%s: the server never saw it", request)
                continue
            self.check_record(record, record["url"])
            self.check_row(row, request.split(".")[0], record["url"])
            end = row_endpoint(row["addr"], row["port"])
            if end != record["local"]:
                self.problem("%s: it reached the server from %s, the bystander's socket is %s", request, end,
                             record["local"])
            if end in upstream:
                self.problem("%s: it reached the server from the agent's %s", request, end)
        pids = {record["pid"] for record in records.values()}
        for event in self.events:
            if event["pid"] in pids:
                self.problem("the agent got a connection of the bystander, from %s", event["peer"])
        self.check_overlap(rows, tree_rows)

    def check_overlap(self, rows, tree_rows):
        """The bystander must have been at it while connections were redirected: on connections opened meanwhile, and on
        one that was open before."""
        times = [row["time"] for row in tree_rows.values()]
        inside = [row for row in rows.values() if times and min(times) <= row["time"] <= max(times)]
        self.overlap = len(inside)
        old = sum(1 for row in inside if re.search(r"\.old$", row["id"]) and row["requests"] > 1)
        if self.overlap < MIN_OVERLAP or old == 0 or old == self.overlap:
            self.problem("bystander: only %d requests at the same time, %d of them on connections from before",
                         self.overlap, old)

    def check_agent(self, events):
        if len(self.chains) != len(self.plan):
            self.problem("%d of %d planned requests are proved to be redirected", len(self.chains), len(self.plan))
        proved = {id(chain[0]) for chain in self.chains}
        for event in self.events:
            if id(event) not in proved:
                self.problem("agent: a connection from %s to %s that nobody accounts for (%s)", event["peer"],
                             event["destination"] or "?", event.get("error") or "no error")
        summary = [e for e in events if e["event"] == "summary"]
        if len(summary) != 1 or sum(1 for e in events if e["event"] == "ready") != 1:
            self.problem("agent: not one 'ready' and one 'summary'")
            return
        summary, stats = summary[0], summary[0]["stats"]
        told = (summary["connections"], summary["found"], summary["failed"], stats["FlowsTotal"], stats["LookupsHit"],
                stats["LookupsMissed"], stats["SendErrors"], stats["FlowTableFull"])
        n = len(self.plan)
        if told != (n, n, 0, n, n, 0, 0, 0):
            self.problem("agent: connections, found, failed, flows, lookups hit and missed, send errors, refused are %s",
                         told)

    def check_lab(self, counters):
        if counters.get("strict") is not True:
            self.problem("lab: its strict rules are not on")
        for name in LOSSES:
            if counters.get(name) != 0:
                self.problem("lab: packets counted as %s: %s", name, counters.get(name))

    def table(self):
        head = ("pid", "program", "original destination", "led to", "seen by the server as", "up", "down", "request")
        lines = [head]
        for event, record, row in sorted(self.chains, key=lambda chain: chain[2]["time"]):
            lines.append((str(event["pid"]), event["program"], event["destination"], event["proxy"],
                          row_endpoint(row["addr"], row["port"]), str(event["bytes_up"]), str(event["bytes_down"]),
                          record["id"] + " " + row["uri"]))
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        right = {0, 5, 6}
        return "\n".join("  ".join(cell.rjust(w) if i in right else cell.ljust(w)
                                   for i, (cell, w) in enumerate(zip(line, widths))).rstrip() for line in lines)

    def line(self):
        return "demo: %d connections redirected, %d destinations found, bystander %s, %d failed" % (
            len(self.chains), self.found, "untouched" if self.untouched else "NOT PROVED UNTOUCHED", len(self.problems))
