/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file fuzz.h
 * What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput(), which libFuzzer calls with input
 * after input; a property that does not hold ends the program, and libFuzzer keeps the input.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "../tests/unit/packets.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/** The bytes in memory of exactly their size: a read or write beyond them is AddressSanitizer's to find. */
static inline uint8_t *exact_copy(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    MUST(copy);
    if (size) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

/** The assertions of cmocka, which the models of tests/property use, are to end the program, too. */
static inline void assertions_abort(void)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1);
}

#endif
