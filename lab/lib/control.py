# SPDX-License-Identifier: LGPL-3.0-or-later
"""One question to the daemon's control socket: sends the words as a line, prints the answer."""
import socket
import sys


def ask(path, words):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall((" ".join(words) + "\n").encode())
        answer = b""
        while not answer.endswith(b"\n"):
            part = s.recv(65536)
            if not part:
                break
            answer += part
        return answer.decode()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("ctl: which command?")
    try:
        print(ask(sys.argv[1], sys.argv[2:]), end="")
    except OSError as e:
        sys.exit(f"ctl: {sys.argv[1]}: {e}")
