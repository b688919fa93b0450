/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * One sequence of steps against a model, and many by seed. To be included after the model, which has STEPS, SEQUENCES, m,
 * begin(), random_step() and end().
 */
#ifndef TESTS_SEQUENCE_RUN_H
#define TESTS_SEQUENCE_RUN_H

static inline void run_sequence(uint64_t seed, struct rng decisions)
{
    begin(seed, decisions);
    for (m.step = 0; m.step < STEPS && !rng_dry(&m.r); m.step++) {
        random_step();
    }
    end();
}

/** All seeds, or the one that is not 0. */
static inline void run_sequences(uint64_t only_seed)
{
    for (uint64_t seed = only_seed ? only_seed : 1; seed <= (only_seed ? only_seed : SEQUENCES); seed++) {
        run_sequence(seed, rng_seeded(seed));
    }
}

/** For cmocka's tear-down: where a sequence broke off. */
static inline int report_sequence(void **state)
{
    (void)state;
    if (m.f) {
        print_error("seed %llu, step %u\n", (unsigned long long)m.seed, m.step);
        fixture_free(m.f);
    }
    return 0;
}

#endif
