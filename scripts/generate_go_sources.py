#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Writes the C files by which the Go package compiles the library: go/internal/library/zlibrary_*.c and znames.h.

    scripts/generate_go_sources.py ARCHIVE FOLDER            called by go/generate.sh
    scripts/generate_go_sources.py --check ARCHIVE FOLDER    says what is not right any more, and fails then

The files to compile are those of cmake/sources.cmake. Several are compiled together, as many as have no names of their
own in common (a static function, an enumerator): the compiler says which have. A division that still compiles stays.

znames.h does for Go what cmake/seal.cmake does for the archive: what is not part of the interface gets a prefix, so that
a program may have a log_open() of its own. The names are those that ARCHIVE, the library already built, has with it.
"""
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMPILER = ("x86_64-w64-mingw32-gcc", "-std=c11", "-fsyntax-only", "-Werror", "-D_WIN32_WINNT=0x0A00", "-DWINVER=0x0A00",
            "-DUNICODE", "-D_UNICODE", "-DNDEBUG", f"-I{ROOT}/include", f"-I{ROOT}/src", "-include", "winsock2.h",
            "-x", "c", "-")
PREFIX = "wredir_"
UP = "../../../"  # from go/internal/library to the root
LICENSE = "/* SPDX-License-Identifier: LGPL-3.0-or-later */"


def listed(name, text):
    """The sources of one list of cmake/sources.cmake."""
    return re.findall(r"^ +(src/\S+\.c)$", re.search(rf"^set\({name}\b.*?^\)", text, re.M | re.S)[0], re.M)


def read_sources():
    """Three kinds that stay apart: the packet's way through the engine, which is one for speed (engine_as_one), and with
    more in it takes the compiler ten times as long; the rest of the engine, which knows nothing of Windows; the others."""
    text = (ROOT / "cmake" / "sources.cmake").read_text(encoding="utf-8")
    as_one = re.compile(re.search(r'INCLUDE REGEX "(.+)"\)', text)[1])
    engine = listed("ENGINE_SOURCES", text)
    one = [source for source in engine if as_one.search(source)]
    return one, [source for source in engine if source not in one], listed("WINDOWS_SOURCES", text)


def includes(sources):
    return "".join(f'#include "{UP}{source}"\n' for source in sources)


def clashing(sources):
    """The first that cannot be compiled after the ones before it, or None."""
    text = includes(sources).replace(UP, f"{ROOT}/")
    done = subprocess.run(COMPILER, input=text, capture_output=True, text=True, check=False)
    found, including = set(), None
    for line in done.stderr.splitlines():  # before what it says about a header, it says who included that
        if included := re.search(r" from <stdin>:(\d+)[:,]$", line):
            including = sources[int(included[1]) - 1]
        elif error := re.match(rf"{re.escape(str(ROOT))}/(\S+?):\d+:\d+: (fatal )?error: ", line):
            found.add(error[1] if error[1] in sources else including)
    if done.returncode and (not found or sources[0] in found):
        raise SystemExit(f"not because of names in common:\n{done.stderr}")
    return next((source for source in sources if source in found), None)


def divide(sources, before):
    """Groups that compile. Each begins with what it was before; what finds no place moves on to the next one."""
    groups, homeless = [], [source for source in sources if not any(source in group for group in before)]
    for old in [*before, *([] for _ in sources)]:
        group = [source for source in sources if source in old or source in homeless]
        if not group:
            continue
        homeless = []
        while found := clashing(group):
            homeless.append(found)
            group.remove(found)
        groups.append(group)
    return groups


def read_groups(folder):
    return [re.findall(rf'^#include "{re.escape(UP)}(src/\S+\.c)"$', path.read_text(encoding="utf-8"), re.M)
            for path in sorted(folder.glob("zlibrary_*.c"))]


def names_header(archive):
    done = subprocess.run(["x86_64-w64-mingw32-nm", "--extern-only", "--defined-only", "--format=posix", archive],
                          capture_output=True, text=True, check=True)
    names = sorted(set(re.findall(rf"^{PREFIX}(\w+) [A-Z] ", done.stdout, re.M)))
    return "\n".join([LICENSE, "/* Made by go/generate.sh: see scripts/generate_go_sources.py. */",
                      *(f"#define {name} {PREFIX}{name}" for name in names), ""])


def write(folder, groups, header):
    for path in folder.glob("z*"):
        path.unlink()
    (folder / "znames.h").write_text(header, encoding="utf-8")
    for number, group in enumerate(groups, 1):
        text = [LICENSE, "/* Made by go/generate.sh: sources that have no names of their own in common. */",
                '#include "znames.h"', f'#include "{UP}src/windows/stack_guard.h"',
                *(["#include <winsock2.h>"] if "src/engine/" not in group[0] else []), includes(group)]
        (folder / f"zlibrary_{number:02}_windows_amd64.c").write_text("\n".join(text), encoding="utf-8")


def complaints(kinds, groups, header, folder):
    has, wanted = collections.Counter(sum(groups, [])), collections.Counter(sum(kinds, []))
    if has != wanted:
        yield f"go/internal/library lacks {list(wanted - has)} of cmake/sources.cmake, and has too much {list(has - wanted)}"
    if sorted(kinds[0]) not in map(sorted, groups):
        yield f"go/internal/library does not compile as one what engine_as_one does: {kinds[0]}"
    if (folder / "znames.h").read_text(encoding="utf-8") != header:
        yield "go/internal/library/znames.h has not the names of the library"


def main():
    check = sys.argv[1] == "--check"
    archive, folder = sys.argv[-2], pathlib.Path(sys.argv[-1])
    kinds = read_sources()
    groups, header = read_groups(folder), names_header(archive)
    if min(map(len, kinds)) < 5 or header.count("#define") < 100:
        raise SystemExit("cmake/sources.cmake, or the archive, was not understood")
    if check:
        raise SystemExit("\n".join(complaints(kinds, groups, header, folder)) or 0)
    new = divide(kinds[0], [])  # one, whatever was before
    for kind in kinds[1:]:
        new += divide(kind, [[source for source in group if source in kind] for group in groups])
    write(folder, new, header)


if __name__ == "__main__":
    main()
