# SPDX-License-Identifier: LGPL-3.0-or-later
"""Figures with their targets; the table that a person reads and the JSON that a program reads."""
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEGAN = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - BEGAN:4.0f} s] {text}", file=sys.stderr, flush=True)


@dataclass
class Figure:
    key: str
    value: float
    unit: str = ""
    relation: str = ""  # "<=", "<" or ">="; "": no target
    target: float = 0
    note: str = ""
    spread: list = field(default_factory=list)  # smallest and largest of what the median was taken of
    samples: list = field(default_factory=list)

    @property
    def met(self):
        if not self.relation or self.value is None:
            return None
        return {"<=": self.value <= self.target, "<": self.value < self.target,
                ">=": self.value >= self.target}[self.relation]


def median(key, samples, *rest, **more):
    """A figure that is the median of several; its spread says how far they lay apart."""
    return Figure(key, statistics.median(samples), *rest, spread=[min(samples), max(samples)], samples=list(samples),
                  **more)


def short(value):
    if value is None:
        return "-"
    if isinstance(value, int) or float(value).is_integer() and abs(value) >= 10:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def table(figures):
    """Markdown, which is a readable table as it stands."""
    rows = [("figure", "value", "unit", "spread", "target", "", "what")]
    for f in figures:
        spread = f"{short(f.spread[0])} .. {short(f.spread[1])}" if f.spread else ""
        target = f"{f.relation} {short(f.target)}" if f.relation else ""
        verdict = {None: "", True: "met", False: "MISSED"}[f.met]
        rows.append((f.key, short(f.value), f.unit, spread, target, verdict, f.note))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def command(*words):
    try:
        return subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                              check=False).stdout.strip()
    except OSError:
        return ""


def machine():
    """What the figures depend on."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "")
    with open("/proc/meminfo", encoding="utf-8") as info:
        memory_kb = int(next(line.split()[1] for line in info if line.startswith("MemTotal")))
    return {"cpu": model, "cores": os.cpu_count(), "memory_mb": memory_kb // 1024, "kernel": platform.release(),
            "system": command("sh", "-c", ". /etc/os-release; echo $PRETTY_NAME"),
            "wine": command("/usr/lib/wine/wine64", "--version"), "gcc": command("gcc", "-dumpfullversion"),
            "mingw": command("x86_64-w64-mingw32-gcc", "-dumpfullversion"),
            "valgrind": command("valgrind", "--version"), "load": os.getloadavg()[0],
            "commit": command("git", "describe", "--always", "--dirty")}


def write_json(path, results, facts, quick):
    out = {"quick": quick, "seconds": round(time.monotonic() - BEGAN), "machine": facts,
           "figures": {f.key: {"value": f.value, "unit": f.unit, "relation": f.relation or None,
                               "target": f.target if f.relation else None, "met": f.met, "spread": f.spread or None,
                               "samples": f.samples or None, "note": f.note} for f in results.figures},
           "not_measured": results.failed, "details": results.details}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(out, file, indent=1)
        file.write("\n")
