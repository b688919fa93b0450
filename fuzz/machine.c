/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A machine with servers, proxies and rules that come and go, against the model of tests/property/machine_sequences.h,
 * which makes each of its decisions by the input's next byte.
 */
#include "fuzz.h"

#include "../tests/property/machine_sequences.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) {
        return -1;
    }
    assertions_abort();
    run_sequence(1, (struct rng){.bytes = data, .left = size});
    return 0;
}
