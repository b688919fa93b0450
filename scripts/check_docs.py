#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Checks what the documents say against the files that they speak of.

    scripts/check_docs.py           a line for each thing that is wrong; exit status 1 if there is any
    scripts/check_docs.py --write   writes the table of status codes in docs/api.md anew, and corrects the names of files
                                    in docs/limits.md

links     each relative link in a *.md file leads to a file that exists, and its anchor to a heading there
files     each source file that ARCHITECTURE.md names exists
limits    each value in docs/limits.md is that of the constant beside it; each constant of src/ and cli/ in milliseconds
          is there
statuses  the table in docs/api.md is that of REDIRECTOR_STATUS_LIST in the public header
README    is short, and begins with what it looks like
"""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
API = ROOT / "docs" / "api.md"
LIMITS = ROOT / "docs" / "limits.md"
README_LINES, README_CODE = 130, 25
BEGIN, END = "<!-- statuses: written by scripts/check_docs.py --write -->\n", "<!-- end -->\n"
UNITS = {"": 1, "ms": 1, "s": 1000, "min": 60000, "bytes": 1, "KiB": 1024, "MiB": 1024 * 1024}
QUANTITY = re.compile(r"(\d[\d ]*)\b *(ms|s|min|bytes|KiB|MiB)?\b")
CONSTANT = re.compile(r"\b([A-Z][A-Z0-9_]+) = ([^,;}\n]+?)(?= *[,;}]|$| */\*)", re.M)
# Milliseconds of the build `mingw-restless`, which is for tests.
OTHER_MILLISECONDS = {"RESTLESS_MS"}


def documents():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in ("build", "node_modules"))
        yield from (pathlib.Path(folder) / name for name in sorted(names) if name.endswith(".md"))


def without_blocks(text):
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)


def anchors(text):
    """What the headings of a page are reached by; a heading that comes twice gets a number."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", without_blocks(text), re.M):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.append(name if name not in found else f"{name}-{found.count(name)}")
    return found


def check_links():
    count = 0
    for document in documents():
        text = without_blocks(document.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            count += 1
            path, _, anchor = target.partition("#")
            file = document.parent / path if path else document
            if not file.exists():
                yield f"{document.relative_to(ROOT)}: {target} is not there"
            elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
                yield f"{document.relative_to(ROOT)}: {target} has no such heading"
    if count < 50:
        yield f"only {count} links were found"


def check_files():
    """A name without its folder will do."""
    there = {file.relative_to(ROOT).as_posix() for folder in ("src", "include", "tests", "cli") for file in
             (ROOT / folder).rglob("*.[ch]")}
    names = set(re.findall(r"[\w/]+\.[ch]\b", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))
    for name in sorted(names):
        if not any(f"/{path}".endswith(f"/{name}") for path in there):
            yield f"ARCHITECTURE.md: {name} is not there"
    if len(names) < 20:
        yield f"ARCHITECTURE.md: only {len(names)} files were found in it"


def constants():
    """{file name: {name: value}} of all that src/ and cli/ calculate from numbers alone."""
    result = {}
    for file in sorted(file for folder in ("src", "cli") for file in (ROOT / folder).rglob("*.[ch]")):
        for name, expression in CONSTANT.findall(file.read_text(encoding="utf-8")):
            if re.fullmatch(r"(?:[\d+* ]|<<)+", expression):
                result.setdefault(file.name, {})[name] = eval(expression, {"__builtins__": {}})
    return result


def follow_moves(text, known):
    """docs/limits.md with the file that each constant is in now, where exactly one has a constant of that name."""
    def moved(match):
        having = [file for file, names in known.items() if match[2] in names]
        here = match[1] in having or len(having) != 1
        return match[0] if here else f"`{having[0]}` `{match[2]}`"
    return re.sub(r"`([a-z_0-9]+\.[ch])` `([A-Z0-9_]+)`", moved, text)


def check_limits():
    known, mentioned = constants(), set()
    page = LIMITS.read_text(encoding="utf-8")
    if "--write" in sys.argv:
        page = follow_moves(page, known)
        LIMITS.write_text(page, encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]*`[^|]+) \| [^|]* \|$", page, re.M)
    if len(rows) < 25:
        yield f"docs/limits.md: only {len(rows)} rows were understood"
    for what, value, where in rows:
        file, values, unknown = "", [], False
        for word in re.findall(r"`([^`]+)`", where):
            if "." in word:
                file = word
            elif word in known.get(file, {}):
                values.append(known[file][word])
                mentioned.add((file, word))
            else:
                unknown = True
                yield f"docs/limits.md: {what}: {file} has no constant {word}"
        told = [int(number.replace(" ", "")) * UNITS[unit] for number, unit in QUANTITY.findall(value)]
        if told != values and not unknown:
            yield f"docs/limits.md: {what}: it says {value}, but the constants are {values}"
    for file, names in known.items():
        for name in names:
            if name.endswith("_MS") and name not in OTHER_MILLISECONDS and (file, name) not in mentioned:
                yield f"docs/limits.md: the table does not have {name} of {file}"


def status_table():
    header = (ROOT / "include" / "windows_redirector.h").read_text(encoding="utf-8")
    lines = ["| code | | text |\n", "|---|---|---|\n"]
    for name, number, parts in re.findall(r'X\(([A-Z_]+), +(\d+), ((?:"[^"]*"[\s\\]*)+)\)', header):
        text = "".join(re.findall(r'"([^"]*)"', parts))
        beginning = re.split(r"[;(]", text)[0].strip()
        anchor = re.sub(r"[^\w\- ]", "", beginning.lower()).replace(" ", "-")
        link = f"[{beginning}](troubleshooting.md#{anchor})" if int(number) else beginning
        lines.append(f"| {number} | `{name}` | {link} |\n")
    return "".join(lines)


def check_statuses():
    page = API.read_text(encoding="utf-8")
    head, begin, rest = page.partition(BEGIN)
    listed, end, tail = rest.partition(END)
    right = status_table()
    if right.count("\n") < 22:
        yield "the statuses of the header were not understood"
    if "--write" in sys.argv and begin and end:
        API.write_text(head + begin + right + end + tail, encoding="utf-8")
        listed = right
    if listed != right:
        yield "docs/api.md: the table of status codes is out of date: scripts/check_docs.py --write"


def check_readme():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    if len(lines) > README_LINES:
        yield f"README.md has {len(lines)} lines, more than {README_LINES}"
    if not any(line.startswith("```") for line in lines[:README_CODE]):
        yield f"README.md shows nothing in its first {README_CODE} lines"


def main():
    wrong = [line for check in (check_statuses, check_links, check_files, check_limits, check_readme) for line in check()]
    print("\n".join(wrong) or "the documents agree with the files")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
