# SPDX-License-Identifier: LGPL-3.0-or-later
"""The documentation says what is so: options, exit statuses, error texts, fields, and commands that work as shown."""
import json
import os
import re
import shlex

from lab import expect, expect_equal

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
DOCS = os.path.join(ROOT, "docs")
PAGES = ("getting-started", "concepts", "cli", "rules-file", "json", "troubleshooting", "comparison", "design-notes")  # and howto/


def read(*parts):
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


def pages():
    """Name and text of each page of the program's documentation."""
    paths = [f"docs/{name}.md" for name in PAGES]
    paths += [f"docs/howto/{name}" for name in sorted(os.listdir(os.path.join(DOCS, "howto")))]
    for path in paths:
        yield path, read(path)


def test_every_option_is_documented(t):
    """The table of docs/cli.md and --help name the same options; so do the exit statuses."""
    said = t.finish("--help").out()
    page = read("docs", "cli.md")
    options = set(re.findall(r"^ +(--[a-z-]+)", said, re.M))
    expect(len(options) > 20, f"only {sorted(options)} found in --help")
    described = set(re.findall(r"^\| `(--[a-z-]+)", page, re.M))
    expect_equal(described, options, "options described in docs/cli.md")
    statuses = set(re.findall(r"^ +(\d+) ", said, re.M))
    expect_equal(set(re.findall(r"^\| (\d+) ", page, re.M)), statuses, "exit statuses in docs/cli.md")
    commands = set(re.findall(r"redirector ([a-z]+)", said.split("\n\n")[0]))
    expect_equal(set(re.findall(r"^## `redirector ([a-z]+)", page, re.M)), commands | {"stats"}, "commands")


def test_every_status_has_its_entry(t):
    """Troubleshooting is by error text: each text of the header is a heading, up to its first stop."""
    statuses = re.findall(r'X\(([A-Z_]+), +\d+, ((?:"[^"]*"[\s\\]*)+)\)', read("include", "windows_redirector.h"))
    expect(len(statuses) > 20, "the header's statuses were not found")
    page = read("docs", "troubleshooting.md")
    headings = {line[4:].lower() for line in page.splitlines() if line.startswith("### ")}
    for name, parts in statuses:
        text = "".join(re.findall(r'"([^"]*)"', parts))
        if name == "OK":
            continue
        beginning = re.split(r"[;(]", text)[0].strip().lower()
        expect(beginning in headings, f"docs/troubleshooting.md has no entry '{beginning}' ({name})")


def test_every_field_is_documented(t):
    """docs/json.md names each kind of line and each of its fields."""
    page = read("docs", "json.md")
    for kind, rule in json.loads(read("docs", "events.schema.json"))["$defs"].items():
        part = re.search(rf"^## `{kind}`\n(.*?)(?=^## |\Z)", page, re.M | re.S)
        expect(part, f"docs/json.md has no '{kind}'")
        for field in rule["properties"]:
            known = f"`{field}`" in part[1] or kind == "connection" and f"`{field}`" in page
            expect(known, f"docs/json.md does not describe {field} of {kind}")


def test_every_field_of_the_report_is_documented(t):
    """docs/json.md names each section of doctor's report, and behind it each of its fields."""
    page = read("docs", "json.md").partition("# The report of `doctor`")[2]
    for section, rule in json.loads(read("docs", "report.schema.json"))["properties"].items():
        part = re.search(rf"^\*\*`{section}`\*\*(.*?)(?=^\*\*`|\Z)", page, re.M | re.S)
        expect(part or rule.get("type") != "array", f"docs/json.md does not describe '{section}'")
        for field in rule.get("items", {}).get("properties", ()):
            expect(f"`{field}`" in part[1], f"docs/json.md does not describe {field} of {section}")


def commands(text):
    """Lines of the blocks marked `console`: what is shown there works wherever redirector does."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        yield from (line[2:] if line.startswith("> ") else line for line in block.splitlines()
                    if line.startswith(("redirector ", "> ")))


def test_every_command_is_understood(t):
    """Each is run, the program that it starts replaced by one that we have. What it needs of the world may be missing
    (no such process, no such proxy); its command line may not be wrong."""
    with open(t.path("rules.txt"), "w", encoding="utf-8") as file:
        file.write("pass to *.example.org\n")
    seen = 0
    for page, text in pages():
        for line in commands(text):
            words = shlex.split(line)[1:]
            if "--" in words:
                words[words.index("--") + 1:] = [t.child(), "exit", "0"]
            words = [word.replace("proxy.example", "127.0.0.1") for word in words]
            run = t.finish(*words, FAKE_START_ERROR="10" if words[0] == "doctor" else "")
            expect(run.status in (0, 1, 3, 127), f"{page}: '{line}' ended with {run.status}: {run.err()}")
            seen += 1
    expect(seen > 20, f"only {seen} commands were found")


def test_other_blocks_are_marked(t):
    """A block of commands is `console` (run by the test above), `bat` (for Windows alone), or shows something else."""
    for page, text in pages():
        for kind, block in re.findall(r"^ *```([a-z]*)\n(.*?)^ *```$", text, re.M | re.S):
            expect(kind in ("console", "bat", "text", "go", "python", "json", "c", "rules", "mistakes"), f"{page}: a block of kind '{kind}'")
            expect(kind in ("console", "text") or not re.search(r"^redirector ", block, re.M),
                   f"{page}: a command of redirector in a block of kind '{kind}'")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
