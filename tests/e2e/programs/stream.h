/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file stream.h
 * A stream of bytes that both ends know: the byte at a position depends on seed and position alone, so each end can
 * tell the first byte that is wrong, missing or doubled. It repeats after a prime number of bytes, so that no shift by a
 * segment or a buffer goes unnoticed. The native programs compute the same (stream.py).
 */
#ifndef STREAM_H
#define STREAM_H

#include <stddef.h>
#include <stdint.h>

enum { STREAM_PERIOD = 1048573 };

/** Must be called once before the others. */
void stream_init(void);

void stream_fill(uint32_t seed, uint64_t position, char *out, size_t length);

/** How many bytes from the start of `data` are right. */
size_t stream_check(uint32_t seed, uint64_t position, const char *data, size_t length);

#endif
