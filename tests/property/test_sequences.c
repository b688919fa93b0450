/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Random sequences of connections, packets, events and ticks: see sequences.h.
 *
 *   test_sequences          the fixed seeds
 *   test_sequences SEED     that one sequence again (a failure prints its seed)
 */
#include "sequences.h"

static uint64_t only_seed;

static void random_sequences_agree_with_the_model(void **state)
{
    (void)state;
    run_sequences(only_seed);
    print_message(
        "# late: %u redirected, %u passed; %u ports substituted, %u flows refused, %u SYNs again, %u expired, "
        "%u tuples reused\n",
        met.redirected_late, met.passed_late, met.substituted, met.refused, met.retransmitted, met.expired, met.reused);
    const uint32_t least = only_seed ? 0 : SEQUENCES;
    assert_true(met.redirected_late >= least && met.passed_late >= least && met.substituted >= least);
    assert_true(met.refused >= least / 10 && met.retransmitted >= least && met.expired >= least && met.reused >= least);
}

int main(int argc, char **argv)
{
    only_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(random_sequences_agree_with_the_model, report_sequence),
    };
    print_message("# seeds 1..%d of %d steps\n", SEQUENCES, STEPS);
    return cmocka_run_group_tests_name("sequences", tests, NULL, NULL);
}
