#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Writes the Go constants and names of the statuses to standard output, from REDIRECTOR_STATUS_LIST in the header.

    scripts/generate_status.py      called by go/generate.sh, which writes or checks go/redirector/zstatus.go
"""
import pathlib
import re

HEADER = pathlib.Path(__file__).resolve().parent.parent / "include" / "windows_redirector.h"
ENTRY = re.compile(r'\bX\(([A-Z_]+), +(\d+), ((?:"[^"]*"[\s\\]*)+)\)')
INITIALISMS = {"DLL", "BFE"}
STATUSES = 25  # at least; fewer means that the list was not understood


def go_name(name):
    return "Err" + "".join(word if word in INITIALISMS else word.capitalize() for word in name.split("_"))


def what_happened(strings):
    """The text up to the advice what to do, for a comment."""
    return re.split(r"[;(]", "".join(re.findall(r'"([^"]*)"', strings)))[0].strip()


def main():
    entries = [(name, int(number), what_happened(text))
               for name, number, text in ENTRY.findall(HEADER.read_text(encoding="utf-8"))]
    if len(entries) < STATUSES or [number for _, number, _ in entries] != list(range(len(entries))):
        raise SystemExit(f"{HEADER.name}: the list of statuses was not understood: {entries}")
    lines = ["// SPDX-License-Identifier: LGPL-3.0-or-later", "",
             "// Made from windows_redirector.h by generate.sh.", "", "package redirector", "",
             "// The statuses that a call can fail with.", "const ("]
    lines += [f"{go_name(name)} Status = {number} // {text}" for name, number, text in entries[1:]]
    lines += [")", "", "var statusNames = [...]string{", f'0: "{entries[0][0]}",']
    lines += [f'{go_name(name)}: "{name}",' for name, _, _ in entries[1:]]
    print("\n".join([*lines, "}"]))


if __name__ == "__main__":
    main()
