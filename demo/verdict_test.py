#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Every way in which the demo's evidence can be wrong must be noticed: a good run is made up, spoilt in one place, and must
then fail. Ends "N passed, N failed"."""
import copy
import os
import sys

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))
from lab import LOSSES  # noqa: E402
from verdict import Verdict  # noqa: E402

PAGES = {"/a": (100, "hash of a")}
URLS = ("http://10.77.0.2/a", "http://[fd77::2]/a")
AGENT_END, OWN_END, OTHER_END = 40000, 50000, 60000


def good_run():
    """Two redirected requests, one a family, and a bystander at work meanwhile."""
    run = {"plan": {}, "records": [], "events": [{"event": "ready"}], "rows": [],
           "counters": {"strict": True, **dict.fromkeys(LOSSES, 0)}}

    def add_record(request, pid, program, url, port):
        v6 = "[" in url
        run["records"].append({
            "id": request, "pid": pid, "program": program, "url": url, "status": 200, "bytes": 100,
            "sha256": "hash of a", "error": "", "remote": "[fd77::2]:80" if v6 else "10.77.0.2:80",
            "local": ("[fd77::1]:%d" if v6 else "10.77.0.1:%d") % port})

    def add_row(request, url, port, time, requests=1):
        v6 = "[" in url
        run["rows"].append({
            "id": request, "agent": request.split(".")[0], "addr": "fd77::1" if v6 else "10.77.0.1", "port": port,
            "server_addr": "fd77::2" if v6 else "10.77.0.2", "server_port": 80, "uri": "/a", "status": 200, "time": time,
            "requests": requests})

    for i, url in enumerate(URLS):
        request = "tree.0.%d" % i
        run["plan"][request] = ("tree", "tree.exe", url)
        add_record(request, 32, "tree.exe", url, OWN_END + i)
        add_row(request, url, AGENT_END + i, 10 + 10 * i)
        record, row = run["records"][-1], run["rows"][-1]
        run["events"].append({
            "event": "connection", "found": True, "pid": 32, "program": "tree.exe", "peer": "127.0.0.1:%d" % (OWN_END + i),
            "proxy": "127.0.0.1:4", "destination": record["remote"], "bytes_up": 50, "bytes_down": 200,
            "upstream": record["local"].replace(str(OWN_END + i), str(row["port"]))})
    for i in range(3):
        for way, port in (("old", OTHER_END), ("fresh", OTHER_END + 1 + i)):
            request = "bystander.%d.0.%s" % (i, way)
            add_record(request, 99, "fetch.exe", URLS[0], port)
            add_row(request, URLS[0], port, 11 + i, i + 1 if way == "old" else 1)
    run["events"].append({
        "event": "summary", "connections": 2, "found": 2, "failed": 0,
        "stats": {"FlowsTotal": 2, "LookupsHit": 2, "LookupsMissed": 0, "SendErrors": 0, "FlowTableFull": 0}})
    return run


def judge(run):
    return Verdict(run["plan"], "bystander", PAGES, run["records"], run["events"], run["rows"],
                   run["counters"])


# Where each list begins: records and rows 0-1 are the tree's, 2-7 the bystander's; events 1-2 are the connections.
SPOILT = {
    "page damaged": lambda r: r["records"][0].update(sha256="other"),
    "page cut short": lambda r: r["records"][0].update(bytes=99),
    "request failed": lambda r: r["records"][0].update(error="reset"),
    "status not 200": lambda r: r["records"][0].update(status=502),
    "program sees the proxy as its peer": lambda r: r["records"][0].update(remote="127.0.0.1:4"),
    "program sees another peer": lambda r: r["records"][0].update(remote="10.77.0.2:81"),
    "program's record missing": lambda r: r["records"].pop(0),
    "program's record there twice": lambda r: r["records"].append(copy.deepcopy(r["records"][0])),
    "unplanned request": lambda r: r["plan"].pop("tree.0.0"),
    "server never saw it": lambda r: r["rows"].pop(0),
    "server saw it twice": lambda r: r["rows"].append(copy.deepcopy(r["rows"][0])),
    "server saw another page": lambda r: r["rows"][0].update(uri="/b"),
    "server saw another user agent": lambda r: r["rows"][0].update(agent="x"),
    "server's other address was reached": lambda r: r["rows"][0].update(server_addr="10.77.0.3"),
    "not redirected": lambda r: r["rows"][0].update(port=OWN_END),
    "not redirected, agent knows nothing": lambda r: (r["rows"][0].update(port=OWN_END), r["events"].pop(1)),
    "two requests on one connection": lambda r: r["rows"][0].update(addr="fd77::1", port=AGENT_END + 1),
    "agent was told another destination": lambda r: r["events"][1].update(destination="10.77.0.2:81"),
    "agent was told another pid": lambda r: r["events"][1].update(pid=33),
    "agent was told another program": lambda r: r["events"][1].update(program="other.exe"),
    "the wrong program made it": lambda r: (r["events"][1].update(program="b.exe"), r["records"][0].update(program="b.exe")),
    "agent carried too little": lambda r: r["events"][1].update(bytes_down=100),
    "agent had an error": lambda r: r["events"][1].update(error="x"),
    "destination not found": lambda r: r["events"][1].update(found=False, upstream=""),
    "stranger at the agent": lambda r: r["events"].append(dict(r["events"][1], found=False, upstream="", pid=0)),
    "agent ended without a summary": lambda r: r["events"].pop(),
    "agent said ready twice": lambda r: r["events"].append({"event": "ready"}),
    "summary counts another number": lambda r: r["events"][-1].update(connections=3),
    "summary counts a failure": lambda r: r["events"][-1].update(failed=1),
    "library counts another number": lambda r: r["events"][-1]["stats"].update(FlowsTotal=3),
    "library counts a missed lookup": lambda r: r["events"][-1]["stats"].update(LookupsMissed=1),
    "library counts a send error": lambda r: r["events"][-1]["stats"].update(SendErrors=1),
    "library counts a refused connection": lambda r: r["events"][-1]["stats"].update(FlowTableFull=1),
    "lab was not strict": lambda r: r["counters"].update(strict=False),
    "lab lost packets": lambda r: r["counters"].update(lost_in_queue=1),
    "lab dropped bad checksums": lambda r: r["counters"].update(bad_checksum=1),
    "lab's counters are missing": lambda r: r["counters"].clear(),
    "bystander's page damaged": lambda r: r["records"][2].update(sha256="other"),
    "bystander was redirected": lambda r: (r["rows"][2].update(port=AGENT_END),),
    "bystander's port was changed": lambda r: r["rows"][3].update(port=1),
    "bystander's address was changed": lambda r: r["rows"][3].update(addr="10.77.0.11"),
    "bystander's request got lost": lambda r: r["rows"].pop(3),
    "bystander knows nothing of a request": lambda r: r["records"].pop(3),
    "bystander's connection at the agent": lambda r: r["events"].append(dict(r["events"][1], pid=99, upstream="")),
    "bystander was early": lambda r: [row.update(time=1) for row in r["rows"][2:]],
    "bystander opened nothing meanwhile": lambda r: [r["rows"][i].update(time=1) for i in (3, 5, 7)],
    "bystander used no old connection": lambda r: [row.update(requests=1) for row in r["rows"][2:]],
}


def main():
    failed = 0

    def check(name, good):
        nonlocal failed
        failed += not good
        print("%s %s" % ("ok" if good else "FAIL", name))

    verdict = judge(good_run())
    check("a good run (%s)" % verdict.line(), verdict.line() ==
          "demo: 2 connections redirected, 2 destinations found, bystander untouched, 0 failed" and not verdict.problems)
    check("its table has a line per connection", len(verdict.table().splitlines()) == 3)
    for name, spoil in SPOILT.items():
        run = good_run()
        spoil(run)
        verdict = judge(run)
        touched = not name.startswith("bystander") or not verdict.untouched
        check("noticed: " + name, verdict.problems and touched and ", 0 failed" not in verdict.line())
    print("%d passed, %d failed" % (len(SPOILT) + 2 - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
