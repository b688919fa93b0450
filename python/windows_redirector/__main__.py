# SPDX-License-Identifier: LGPL-3.0-or-later
"""python -m windows_redirector ...: runs redirector.exe with these arguments, and ends with its status."""
import signal
import subprocess
import sys

from ._library import BIN


def main() -> int:
    program = BIN / "redirector.exe"
    for name in ("SIGINT", "SIGBREAK"):  # Ctrl-C and Ctrl-Break are the program's: the console tells it, too
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)
    try:
        status = subprocess.call([str(program), *sys.argv[1:]])
    except OSError as error:
        print(f"windows_redirector: {program} cannot be run: {error}", file=sys.stderr)
        return 1
    return status - (1 << 32) if status > 0x7FFFFFFF else status  # sys.exit() takes a C long


if __name__ == "__main__":
    sys.exit(main())
