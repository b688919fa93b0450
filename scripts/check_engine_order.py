#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Whether src/engine is the staircase that src/engine/state.h describes: each file includes and calls only what stands
below it, each function that a header declares is named after it, and the other rooms include only what is meant for them.

    scripts/check_engine_order.py [ROOT]     a line "ok" or "FAIL" for each file; exit status 1 if one fails
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
ENGINE = ROOT / "src" / "engine"
ROOMS = ("src", "src/windows", "cli", "keploy")
C_LIBRARY = {"assert.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h"}
# Prefixes of a header's functions besides its own name.
PREFIXES = {"types": ("be16_", "ip_addr_", "tuple_"), "packet": ("load_", "store_")}


def plain(text):
    """Without comments, strings and macros."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"^[ \t]*#[ \t]*define(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)


def declared(text):
    """The functions that a header declares."""
    text = re.sub(r"^[ \t]*#[^\n]*", "", plain(text), flags=re.M)
    while re.search(r"\{[^{}]*\}", text):
        text = re.sub(r"\{[^{}]*\}", ";", text)
    text = re.sub(r"static_assert\([^;]*;", "", text)
    return set(re.findall(r"\b(\w+)\s*\([^;]*\)\s*;", text))


def read_state():
    """(the files from the top to the bottom, those that other rooms may include)"""
    comment = re.search(r"/\*\*.*?\*/", (ENGINE / "state.h").read_text(), flags=re.S).group()
    order = re.findall(r"^ \*   (\w+) {2,}\S", comment, flags=re.M)
    public = re.search(r"Other rooms include (\w+)\.h and.*?: ([\w,\s*]+)\.", comment, flags=re.S)
    return order, {public.group(1), *re.findall(r"\w+", public.group(2))}


def faults_of(path, order, functions):
    text = path.read_text()
    name, code = path.stem, plain(text)
    if name not in order:
        return ["it has no place in state.h"]
    above = order[:order.index(name)]
    faults = [f"includes {other}.h, which stands above" for other in re.findall(r'#include "(\w+)\.h"', text)
              if other in above]
    faults += [f"includes {other}, which is none of the engine's" for other in re.findall(r'#include "([^"]+)"', text)
               if other.removesuffix(".h") not in order]
    faults += [f"includes <{other}>" for other in re.findall(r"#include <([^>]+)>", text) if other not in C_LIBRARY]
    called = set(re.findall(r"\b(\w+)\s*\(", code))
    faults += [f"calls {call}() of {other}.h, which stands above" for other in above
               for call in sorted(called & functions[other])]
    if path.suffix == ".h":
        prefixes = (f"{name}_", *PREFIXES.get(name, ()))
        faults += [f"declares {function}()" for function in sorted(functions[name])
                   if not function.startswith(prefixes)]
    return faults


def faults_of_room(path, public):
    return [f"includes engine/{other}.h, which is the engine's own"
            for other in re.findall(r'#include "engine/(\w+)\.h"', path.read_text()) if other not in public]


def main():
    order, public = read_state()
    files = sorted(ENGINE.glob("*.[ch]"))
    functions = {name: declared((ENGINE / f"{name}.h").read_text()) if (ENGINE / f"{name}.h").exists() else set()
                 for name in order}
    results = [(path, faults_of(path, order, functions)) for path in files]
    gone = [name for name in order if not any(path.stem == name for path in files)]
    results.append((ENGINE / "state.h (its list)", [f"{name}: there is no such file" for name in gone]))
    results += [(path, faults) for room in ROOMS for path in sorted((ROOT / room).glob("*.[ch]"))
                if (faults := faults_of_room(path, public))]
    for path, faults in results:
        where = path.relative_to(ROOT)
        print(f"FAIL order of {where}: {'; '.join(faults)}" if faults else f"ok order of {where}")
    return 1 if any(faults for _, faults in results) else 0


if __name__ == "__main__":
    sys.exit(main())
