#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""lab_dns.py ADDRESS...   a DNS server for lab_test.sh, on UDP port 53 of these addresses

Every name has the addresses 192.0.2.53 and 2001:db8::53, but those that begin with "no" do not exist. Prints "ready", then
a line for each query: who asked, at which address, the name.
"""
import ipaddress
import selectors
import socket
import struct
import sys

ADDRESSES = {1: ipaddress.ip_address("192.0.2.53").packed, 28: ipaddress.ip_address("2001:db8::53").packed}
NO_SUCH_NAME = 3


def question(query):
    """The labels, the type, and where the question ends."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii"))
        at += 1 + query[at]
    return labels, struct.unpack_from(">H", query, at + 1)[0], at + 5


def answer(query):
    labels, kind, end = question(query)
    exists = not labels[0].startswith("no")
    data = ADDRESSES.get(kind) if exists else None
    head = query[:2] + struct.pack(">HHHHH", 0x8180 | (0 if exists else NO_SUCH_NAME), 1, 1 if data else 0, 0, 0)
    record = struct.pack(">HHHIH", 0xC00C, kind, 1, 60, len(data)) + data if data else b""
    return ".".join(labels), head + query[12:end] + record


def main():
    sockets = selectors.DefaultSelector()
    for address in sys.argv[1:]:
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((address, 53))
        sockets.register(one, selectors.EVENT_READ, address)
    print("ready", flush=True)
    while True:
        for key, _ in sockets.select():
            query, peer = key.fileobj.recvfrom(65535)
            try:
                name, reply = answer(query)
            except (IndexError, struct.error, UnicodeDecodeError) as error:
                print(f"no query: {error}", flush=True)
                continue
            print(f"{peer[0]} asked {key.data} for {name}", flush=True)
            key.fileobj.sendto(reply, peer)


if __name__ == "__main__":
    main()
