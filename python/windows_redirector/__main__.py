# SPDX-License-Identifier: LGPL-3.0-or-later
"""python -m windows_redirector ...: runs redirector.exe with these arguments, and ends with its status."""
import subprocess
import sys

from ._library import BIN


def main() -> int:
    program = BIN / "redirector.exe"
    try:
        process = subprocess.Popen([str(program), *sys.argv[1:]])
    except OSError as error:
        print(f"windows_redirector: {program} cannot be run: {error}", file=sys.stderr)
        return 1
    while True:  # Ctrl-C is the program's: the console tells it, too
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main())
