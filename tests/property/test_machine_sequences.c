/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Random sequences on a whole machine: see machine_sequences.h.
 *
 *   test_machine_sequences          the fixed seeds
 *   test_machine_sequences SEED     that one sequence again (a failure prints its seed)
 */
#include "machine_sequences.h"

static uint64_t only_seed;

static void random_machines_agree_with_the_model(void **state)
{
    (void)state;
    run_sequences(only_seed);
    print_message(
        "# %u incoming (%u of the tree itself), %u outgoing; %u without proxy, %u by a rule, %u outlived theirs; "
        "%u ports substituted, %u lost, %u of a process to itself\n",
        met.incoming, met.both, met.outgoing, met.no_proxy, met.ruled, met.outlived, met.substituted, met.lost,
        met.to_itself);
    const uint32_t least = only_seed ? 0 : SEQUENCES / 4;
    assert_true(met.incoming >= least && met.outgoing >= least && met.both >= least && met.no_proxy >= least);
    assert_true(met.ruled >= least && met.substituted >= least && met.lost >= least && met.outlived >= least);
    assert_true(met.to_itself >= least);
}

int main(int argc, char **argv)
{
    only_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(random_machines_agree_with_the_model, report_sequence),
    };
    print_message("# seeds 1..%d of %d steps\n", SEQUENCES, STEPS);
    return cmocka_run_group_tests_name("machine sequences", tests, NULL, NULL);
}
