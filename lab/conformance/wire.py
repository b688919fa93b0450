# SPDX-License-Identifier: LGPL-3.0-or-later
"""Sends data to the echo service and back over a wire with conditions. usage: wire.py KILOBYTES

Prints "SAME SECONDS-TO-CONNECT" if all came back unchanged. Run on the client.
"""
import hashlib
import random
import socket
import sys
import threading
import time

PATIENCE = 40

size = int(sys.argv[1]) * 1024
data = random.Random(1).randbytes(size)
for address in ("10.77.0.2", "fd77::2"):
    began = time.monotonic()
    with socket.create_connection((address, 8000), timeout=PATIENCE) as s:
        took = time.monotonic() - began

        def write():
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)

        threading.Thread(target=write, daemon=True).start()
        digest = hashlib.sha256()
        while part := s.recv(65536):
            digest.update(part)
    same = digest.digest() == hashlib.sha256(data).digest()
    print("same" if same else "different", f"{took:.3f}", flush=True)
    if not same:
        sys.exit(1)
