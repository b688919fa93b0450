# SPDX-License-Identifier: LGPL-3.0-or-later
"""The engine's cost: instructions per packet, counted by callgrind, so that every run gives the same number; and
nanoseconds and memory, which are this machine's.

engine/cases.c has the cases. Each is a dump of its own, of what was executed within engine_packet() and
engine_event().
"""
import glob
import os
import re
import subprocess

from figures import ROOT, Figure, say

FOLDER = os.path.join(ROOT, "build", "bench", "engine")
PROGRAM = os.path.join(FOLDER, "bench_engine")
# As in cases.c.
ROUNDS = {"pass": 500, "pass_other": 500, "forward": 500, "reply": 500, "syn_stranger": 200, "syn_tree": 200,
          "udp_forward": 500, "udp_reply": 500, "rules_256": 500}
# Cases whose instructions are told function by function.
SHOWN = ("pass.ip4.65000.1460.valid", "forward.ip4.65000.1460.valid", "reply.ip4.65000.1460.valid",
         "syn_tree.ip4.1000.", "syn_stranger.ip4.1000.")
MEASURED = ("engine_packet", "engine_event", "engine_datagram", "judge_by_rules")


def build():
    def run(*words):
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {(done.stdout + done.stderr)[-2000:]}")
    run("cmake", "-S", os.path.join(ROOT, "bench", "engine"), "-B", FOLDER, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", FOLDER)


def program(*words):
    return subprocess.run(words, cwd=FOLDER, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=True).stdout


def read_dump(path):
    """(case, instructions, {function: its own instructions}) of a callgrind dump; case None: the rest at the end."""
    case, total, own, function, call = None, 0, {}, None, False
    with open(path, encoding="utf-8") as dump:
        for line in dump:
            if line.startswith("desc: Trigger: Client Request: "):
                case = line.split(": ")[3].strip()
            elif line.startswith("summary: "):
                total = int(line.split()[1])
            elif line.startswith("fn="):
                function = line[3:].strip()
            elif line.startswith("calls="):
                call = True
            elif re.match(r"[+\-*\d]", line):
                if not call:
                    own[function] = own.get(function, 0) + int(line.split()[-1])
                call = False
    return case, total, {f: n for f, n in own.items() if n}


def count(both):
    """{case: (instructions per packet, {function: instructions per packet})}"""
    for old in glob.glob(os.path.join(FOLDER, "count.out*")):
        os.remove(old)
    program("valgrind", "--tool=callgrind", "--collect-atstart=no", *(f"--toggle-collect={f}" for f in MEASURED),
            "--compress-strings=no", "--callgrind-out-file=count.out", PROGRAM, "count", *(["both"] if both else []))
    cases = {}
    for path in glob.glob(os.path.join(FOLDER, "count.out.*")):
        case, total, own = read_dump(path)
        if case:
            rounds = ROUNDS[case.split(".")[0]]
            if not total:
                raise RuntimeError(f"callgrind has counted nothing in {case}: have {MEASURED} got other names?")
            cases[case] = (total / rounds, {f: n / rounds for f, n in own.items()})
    return cases


def growth(cases, what):
    """How much more a packet costs with 65 000 flows than with one, the worst payload."""
    ratios = [value[0] / cases[name.replace(".65000.", ".1.")][0] for name, value in cases.items()
              if name.startswith(what) and ".65000." in name]
    return max(ratios)


def worst(cases, *prefixes, holds=""):
    return max(value[0] for name, value in cases.items() if name.startswith(prefixes) and holds in name)


def measure(quick):
    say("engine: instructions per packet (callgrind)")
    build()
    cases = count(not quick)
    table = {name: round(value[0], 1) for name, value in sorted(cases.items())}
    where = {name: {f: round(n, 1) for f, n in sorted(cases[name][1].items(), key=lambda item: -item[1])}
             for name in cases if name.startswith(SHOWN)}
    ns = {line.split()[0]: float(line.split()[1]) for line in program(PROGRAM, "time").splitlines()}
    memory = {line.split()[0]: float(line.split()[1]) for line in program(PROGRAM, "memory").splitlines()}
    figures = [
        Figure("engine.pass", worst(cases, "pass.ip4.1."), "instructions", "<=", 90,
               "a bystander's packet, 1 flow live, its source port the flow's"),
        Figure("engine.pass_other_port", worst(cases, "pass_other.ip4.1."), "instructions",
               note="the same, of a port that no flow has"),
        Figure("engine.redirect", worst(cases, "forward.ip4.1.", "reply.ip4.1.", holds=".valid"), "instructions", "<=",
               260, "forward or reply, any payload, sums valid"),
        Figure("engine.redirect_60k", worst(cases, "forward.ip4.1.60000.", "reply.ip4.1.60000.", holds=".valid"),
               "instructions", "<=", 260, "the same, 60 000 bytes"),
        Figure("engine.redirect_offloaded", worst(cases, "forward.ip4.1.", "reply.ip4.1.", holds=".offloaded"),
               "instructions", note="the same, sums left to the driver"),
        Figure("engine.redirect_udp", worst(cases, "udp_forward.ip4.", "udp_reply.ip4."), "instructions", "<=", 350,
               "a datagram of a flow, there or back, any payload, sums valid or left to the driver"),
        Figure("engine.growth_65k", max(growth(cases, what) for what in ("pass.", "forward.", "reply.")), "times", "<=",
               1.3, "65 000 flows against 1, worst case"),
        Figure("engine.syn_tree", worst(cases, "syn_tree.ip4.1."), "instructions", "<=", 1500,
               "CONNECT and SYN, a flow begins"),
        Figure("engine.syn_stranger", worst(cases, "syn_stranger.ip4.1."), "instructions",
               note="CONNECT and SYN of a bystander"),
        Figure("engine.rules_256", worst(cases, "rules_256"), "instructions", note="what 256 rules add to a new connection"),
        Figure("engine.rules_256_ns", ns["rules_256"], "ns", "<=", 2000,
               "what 256 rules, of which the first alone matches, add to a new connection, this machine"),
        Figure("engine.pass_ns", ns["pass.ip4.1000.1460.valid"], "ns",
               note="a bystander's packet, 1000 flows, this machine"),
        Figure("engine.redirect_ns", ns["forward.ip4.1000.1460.valid"], "ns", note="forward, the same"),
        Figure("memory.flow_bytes", memory["flow_bytes"], "bytes", "<=", 256, "resident, from 10 000 to 65 000 flows"),
        Figure("memory.engine_growth", memory["growth_bytes"], "bytes", "<=", 0,
               "resident, over 100 000 connections in turn, engine alone"),
    ]
    return figures, {"instructions": table, "where": where, "nanoseconds": ns}
