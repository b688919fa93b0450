/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Sockets of UDP, their events, datagrams, fragments, errors and answers in any order, against the model of
 * tests/property/udp_sequences.h, which makes each of its decisions by the input's next byte.
 */
#include "fuzz.h"

#include "../tests/property/udp_sequences.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) {
        return -1;
    }
    assertions_abort();
    udp_run_sequence(1, (struct rng){.bytes = data, .left = size});
    return 0;
}
