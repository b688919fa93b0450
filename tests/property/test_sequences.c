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
    print_message("# decided: %u to accept, %u to refuse, %u to pass, %u to drop; %u by the limit, %u given up\n",
                  met.decided[DECISION_ACCEPT], met.decided[DECISION_REFUSE], met.decided[DECISION_PASS],
                  met.decided[DECISION_DROP], met.undecided, met.given_up);
    const uint32_t least = only_seed ? 0 : SEQUENCES;
    for (int decision = DECISION_ACCEPT; decision <= DECISION_DROP; decision++) {
        assert_true(met.decided[decision] >= least / 10);
    }
    assert_true(met.undecided >= least / 10 && met.given_up >= least / 10);
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
