#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Writes the statuses as another language has them to standard output, from REDIRECTOR_STATUS_LIST in the header.

    scripts/generate_status.py           constants and names in Go; called by go/generate.sh
    scripts/generate_status.py rust      an enum in Rust; called by rust/generate.sh
"""
import pathlib
import re
import sys

HEADER = pathlib.Path(__file__).resolve().parent.parent / "include" / "windows_redirector.h"
ENTRY = re.compile(r'\bX\(([A-Z_]+), +(\d+), ((?:"[^"]*"[\s\\]*)+)\)')
INITIALISMS = {"DLL", "BFE"}
STATUSES = 25  # at least; fewer means that the list was not understood


def go_name(name):
    return "Err" + "".join(word if word in INITIALISMS else word.capitalize() for word in name.split("_"))


def what_happened(strings):
    """The text up to the advice what to do, for a comment."""
    return re.split(r"[;(]", "".join(re.findall(r'"([^"]*)"', strings)))[0].strip()


def in_go(entries):
    return ["// SPDX-License-Identifier: LGPL-3.0-or-later", "",
            "// Made from windows_redirector.h by generate.sh.", "", "package redirector", "",
            "// The statuses that a call can fail with.", "const (",
            *(f"{go_name(name)} Status = {number} // {text}" for name, number, text in entries[1:]),
            ")", "", "var statusNames = [...]string{", f'0: "{entries[0][0]}",',
            *(f'{go_name(name)}: "{name}",' for name, _, _ in entries[1:]), "}"]


def in_rust(entries):
    """Numbers that this header does not know are those of a newer DLL."""
    named = [(name.title().replace("_", ""), name, number, text) for name, number, text in entries[1:]]
    return ["// SPDX-License-Identifier: LGPL-3.0-or-later", "", "// Made from windows_redirector.h by rust/generate.sh.", "",
            "/// Why a call failed.", "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]", "#[non_exhaustive]",
            "pub enum Status {", *(f"/// {text}\n{variant}," for variant, _, _, text in named),
            "/// a number that this version of the crate does not know", "Unknown(u32),", "}", "", "impl Status {",
            "pub(crate) fn from_number(number: u32) -> Status {", "match number {",
            *(f"{number} => Status::{variant}," for variant, _, number, _ in named),
            "_ => Status::Unknown(number),", "}", "}", "",
            "/// The name that the C library has for it, for instance `NO_SUCH_PROCESS`.",
            "pub fn name(self) -> &'static str {", "match self {",
            *(f'Status::{variant} => "{name}",' for variant, name, _, _ in named), 'Status::Unknown(_) => "UNKNOWN",',
            "}", "}", "}"]


def main():
    entries = [(name, int(number), what_happened(text))
               for name, number, text in ENTRY.findall(HEADER.read_text(encoding="utf-8"))]
    if len(entries) < STATUSES or [number for _, number, _ in entries] != list(range(len(entries))):
        raise SystemExit(f"{HEADER.name}: the list of statuses was not understood: {entries}")
    print("\n".join(in_rust(entries) if sys.argv[1:] == ["rust"] else in_go(entries)))


if __name__ == "__main__":
    main()
