#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Checks the rule codes, such as O2, that sources, tests and documents cite, against docs/rules.md.

    scripts/check_rules.py           a line for each thing that is wrong; exit status 1 if there is any
    scripts/check_rules.py --write   writes the table of tests in docs/rules.md anew
    scripts/check_rules.py O2        names every test that shows the rule

Wrong is: a code that is cited and not defined; a rule that no test cites, unless it stands under "Planned"; a table of
tests that differs from the tests. A test cites a rule by its @scenario (tests/e2e), by its name (o2_held_...), or in a
comment of its file.
"""
import ast
import collections
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "rules.md"
SUFFIXES = {".c", ".h", ".py", ".go", ".md", ".sh"}
# A capital letter and a number by themselves, also the second of "I1-I4"; not "-O2", which is an option of compilers.
CODE = re.compile(r"(?:(?<![\w-])|(?<=[IONLSUR]\d-))[IONLSUR][1-9]\d?(?!\w)")
TEST_NAME = re.compile(r"^static void ((?:[ionlsur][1-9]\d?_)+[a-z]\w*)\(void \*\*", re.M)
DEFINITION = re.compile(r"^\* \*\*([A-Z]\d+)\*\* ", re.M)
# (file, code): why it is no rule there.
OTHER_MEANINGS = {}
SUITES = {"tests/unit": "unit", "tests/property": "property", "tests/windows": "windows", "tests/api": "api",
          "tests/abi": "abi", "tests/cli": "cli", "tests/e2e/scenarios": "e2e", "tests/faults/cases": "faults",
          "go/redirector": "go", "fuzz": "fuzz"}
BEGIN, END = "<!-- tests: written by scripts/check_rules.py --write -->\n", "<!-- end -->\n"


def sources():
    """(path, text) of each file of the project in which codes are looked for."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in ("build", "__pycache__"))
        for name in sorted(names):
            file = pathlib.Path(folder) / name
            if file.suffix in SUFFIXES or not file.suffix and file.read_bytes()[:2] == b"#!":
                yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8", errors="replace")


def order(code):
    return "IONLSUR".index(code[0]), int(code[1:])


def codes_of_name(name):
    """i4_n1_listeners_follow_the_rules: I4 and N1."""
    return [part.upper() for part in re.match(r"(?:[a-z]\d+_)*", name)[0].split("_")[:-1]]


def scenarios(text):
    """(name, codes) of each scenario in a file."""
    for node in ast.parse(text).body:
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "scenario":
                yield node.name, [argument.value for argument in decorator.args]


def suite_of(path):
    if path.startswith("go/") and not path.endswith("_test.go") or path.endswith((".h", ".md", ".sh")):
        return None
    return SUITES.get(os.path.dirname(path))


def citations():
    """({code: places}, {code: {suite: {file: names of tests}}})"""
    places, tests = collections.defaultdict(list), {}
    for path, text in sources():
        found = []  # (code, position, name of the test)
        if path != PAGE.relative_to(ROOT).as_posix():
            found = [(match[0], match.start(), None) for match in CODE.finditer(text)]
        suite = suite_of(path)
        if suite == "e2e":
            found += [(code, text.index(f"def {name}("), name) for name, codes in scenarios(text) for code in codes]
        elif path.startswith(("tests/", "fuzz/")):
            found += [(code, match.start(), match[1]) for match in TEST_NAME.finditer(text)
                      for code in codes_of_name(match[1])]
        for code, position, name in found:
            if (path, code) in OTHER_MEANINGS:
                continue
            if suite != "e2e" or not name:  # there its decorator has been found already
                places[code].append(f"{path}:{text.count(chr(10), 0, position) + 1}")
            if suite:
                of_file = tests.setdefault(code, {}).setdefault(suite, {}).setdefault(pathlib.Path(path).stem, [])
                of_file.extend([name] if name else [])
    return places, tests


def table(codes, tests):
    """The files with tests for each rule, by suite. No counts: a further test in a file changes nothing here."""
    lines = ["| rule | tests |\n", "|---|---|\n"]
    for code in codes:
        suites = tests.get(code, {})
        cell = "; ".join(f"{suite}: " + ", ".join(f"`{file}`" for file in sorted(suites[suite])) for suite in sorted(suites))
        if cell:
            lines.append(f"| {code} | {cell} |\n")
    return "".join(lines)


def main():
    page = PAGE.read_text(encoding="utf-8")
    kept, _, planned = page.partition("\n## Planned")
    defined = DEFINITION.findall(page)
    later = set(DEFINITION.findall(planned))
    places, tests = citations()
    wanted = sys.argv[1] if len(sys.argv) > 1 else None
    if wanted and wanted != "--write":
        for suite, files in sorted(tests.get(wanted, {}).items()):
            for file, names in sorted(files.items()):
                print(f"{suite}: {file}" + "".join(f"\n    {name}" for name in names))
        return 0 if wanted in tests else 1
    head, begin, rest = page.partition(BEGIN)
    listed, end, tail = rest.partition(END)
    right = table(sorted(defined, key=order), tests)
    if wanted and begin and end:
        PAGE.write_text(head + begin + right + end + tail, encoding="utf-8")
        listed = right
    wrong = [f"{place}: {code} is not defined in docs/rules.md" for code in sorted(set(places) - set(defined))
             for place in places[code]]
    wrong += [f"docs/rules.md: {code} is defined twice" for code in defined if defined.count(code) > 1]
    wrong += [f"docs/rules.md: no test cites {code}" for code in defined if code not in tests and code not in later]
    if listed != right:
        wrong.append("docs/rules.md: the table of tests is out of date: scripts/check_rules.py --write")
    if len(defined) < 30 or len(places) < 20 or not DEFINITION.findall(kept):
        wrong.append(f"only {len(defined)} rules and {len(places)} cited codes were found")
    print("\n".join(wrong) or f"{len(defined)} rules, cited in {sum(map(len, places.values()))} places")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
