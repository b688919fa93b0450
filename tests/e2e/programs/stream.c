/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A table of pseudo-random bytes, long enough that a byte out of its place is seen; a seed is a place to begin. */
#include "stream.h"

#include <string.h>

enum { SEED_STRIDE = 7919 };

static unsigned char table[STREAM_PERIOD];

void stream_init(void)
{
    uint32_t x = 0x9e3779b9;
    for (size_t i = 0; i < STREAM_PERIOD; i++) {
        x ^= x << 13; /* Marsaglia's xorshift32 */
        x ^= x >> 17;
        x ^= x << 5;
        table[i] = (unsigned char)(x >> 24);
    }
}

/* The part of the table where `position` is, and how much of it is there. */
static const unsigned char *at(uint32_t seed, uint64_t position, size_t *length)
{
    size_t index = (size_t)((position + (uint64_t)seed * SEED_STRIDE) % STREAM_PERIOD);
    if (*length > STREAM_PERIOD - index) {
        *length = STREAM_PERIOD - index;
    }
    return table + index;
}

void stream_fill(uint32_t seed, uint64_t position, char *out, size_t length)
{
    while (length) {
        size_t part = length;
        memcpy(out, at(seed, position, &part), part);
        out += part;
        position += part;
        length -= part;
    }
}

size_t stream_check(uint32_t seed, uint64_t position, const char *data, size_t length)
{
    size_t right = 0;
    while (right < length) {
        size_t part = length - right;
        const unsigned char *expected = at(seed, position + right, &part);
        if (memcmp(expected, data + right, part) != 0) {
            while (expected[0] == (unsigned char)data[right]) {
                expected++;
                right++;
            }
            return right;
        }
        right += part;
    }
    return right;
}
