# SPDX-License-Identifier: LGPL-3.0-or-later
"""The seeded stream of programs/stream.h, for the native programs."""

PERIOD = 1048573
SEED_STRIDE = 7919


def _make_table():
    table = bytearray(PERIOD)
    x = 0x9E3779B9
    for i in range(PERIOD):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        table[i] = x >> 24
    return bytes(table)


class Stream:
    """Bytes by seed and position; pieces of up to PERIOD bytes."""

    def __init__(self):
        table = _make_table()
        self.twice = memoryview(table + table)

    def piece(self, seed, position, length):
        begin = (position + seed * SEED_STRIDE) % PERIOD
        return self.twice[begin:begin + length]

    def first_wrong(self, seed, position, data):
        """Index of the first byte of `data` that is not the stream's; its length if all are."""
        expected = self.piece(seed, position, len(data))
        if expected == data:
            return len(data)
        return next(i for i, (a, b) in enumerate(zip(expected, data)) if a != b)
