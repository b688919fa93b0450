#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Whether each test that SECURITY.md names is there. Prints those that are not; exit status 1 if there are any."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What a suite of tests/run is made of.
SOURCES = {
    "unit": ("tests/unit", "tests/property"),
    "threads": ("tests/unit",),
    "windows": ("tests/windows",),
    "driver": ("tests/windows",),
    "cli": ("tests/cli",),
    "e2e": ("tests/e2e/scenarios",),
    "abi": ("tests/abi",),
}


def text_of(folders):
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*")) if file.is_file()]
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def is_there(suite, name):
    if suite == "fuzz":
        return (ROOT / "fuzz" / f"{name}.c").is_file()
    return suite in SOURCES and re.search(rf"\b{re.escape(name)}\b", text_of(SOURCES[suite])) is not None


def main():
    absent = count = 0
    document = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    # "suite: `name`, `name`" and, for what a suite prints in words, "suite: "name", "name"".
    suites = "|".join([*SOURCES, "fuzz"])
    for suite, names in re.findall(rf'\b({suites}): ((?:[`"][^`"\n]+[`"](?:,\s)?)+)', document):
        for name in re.findall(r'[`"]([^`"]+)[`"]', names):
            count += 1
            if not is_there(suite, name):
                absent += 1
                print(f"SECURITY.md names the test {suite}: {name}, which is not there")
    if not count:
        print("SECURITY.md names no tests, or not as they can be read here")
    return 1 if absent or not count else 0


if __name__ == "__main__":
    sys.exit(main())
