/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* U1, U2, U4, U5, S6 in any order: sequences of udp_sequences.h by seed. SEED=n runs one. */
#include "udp_sequences.h"

#include <stdlib.h>

static void u1_u2_u4_u5_in_any_order(void **state)
{
    const char *only = getenv("SEED");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1, to = only ? from : SEQUENCES;
    (void)state;
    for (uint64_t seed = from; seed <= to; seed++) {
        udp_run_sequence(seed, rng_seeded(seed));
    }
}

static int report(void **state)
{
    (void)state;
    if (um.f) {
        print_error("seed %llu, step %u\n", (unsigned long long)um.seed, um.step);
        udp_fixture_free(um.f);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(u1_u2_u4_u5_in_any_order, report)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
