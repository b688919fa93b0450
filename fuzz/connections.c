/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * SYNs, their events and everything that can come between, against the model of tests/property/sequences.h, which makes
 * each of its decisions by the input's next byte. tests/property draws those at random; here they are looked for.
 */
#include "fuzz.h"

#include "../tests/property/sequences.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) {
        return -1;
    }
    assertions_abort();
    run_sequence(1, (struct rng){.bytes = data, .left = size});
    return 0;
}
