/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The table of connections that wait for a decision (O8): takers and deciders beside a writer who never waits. */
#include "packets.h"

#include "engine/decisions.h"

#include <pthread.h>
#include <stdatomic.h>

static struct decisions *d;

static int set_up(void **state)
{
    (void)state;
    d = decisions_new();
    return d ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    decisions_free(d);
    return 0;
}

/* A connection in which every field follows from `n`, so that a torn copy gives itself away. */
static struct tuple nth(uint32_t n)
{
    struct tuple t = {.src_port = be16_from_host((uint16_t)n), .dst_port = be16_from_host((uint16_t)~n)};
    t.family = n % 2 ? FAMILY_IP6 : FAMILY_IP4;
    for (int i = 0; i < 2; i++) {
        t.src.words[i] = n * 0x9e3779b97f4a7c15u + (uint64_t)i;
        t.dst.words[i] = n * 0xbf58476d1ce4e5b9u - (uint64_t)i;
    }
    return t;
}

static bool is_nth(const struct undecided *u, uint32_t n)
{
    struct tuple want = nth(n);
    return u->pid == n && u->upstream == n + 1 && tuple_equal(&u->tuple, &want);
}

static uint64_t ask(uint32_t n, uint32_t entry)
{
    struct tuple t = nth(n);
    const struct undecided connection = {.tuple = t, .pid = n, .upstream = n + 1};
    return decisions_ask(d, &connection, entry);
}

static void the_oldest_is_taken_first_and_once(void **state)
{
    (void)state;
    struct undecided u;
    assert_false(decisions_take(d, &u));
    uint64_t ids[] = {ask(1, 0), ask(2, 0), ask(3, 0)};
    decisions_withdraw(d, ids[0]);
    ids[0] = ask(4, 0); /* in the same place */
    const uint32_t order[] = {2, 3, 4};
    for (int i = 0; i < 3; i++) {
        assert_true(decisions_take(d, &u));
        assert_true(is_nth(&u, order[i]));
        assert_true(u.id == ids[(i + 1) % 3]);
    }
    assert_false(decisions_take(d, &u));
}

static void a_decision_reaches_the_writer_once(void **state)
{
    (void)state;
    struct undecided u;
    uint32_t entry = 0;
    assert_int_equal(decisions_next(d, &entry), DECISION_NONE);
    for (int decision = DECISION_ACCEPT; decision <= DECISION_DROP; decision++) {
        uint64_t id = ask(7, 70u + (uint32_t)decision);
        assert_false(decisions_decide(d, id, DECISION_ACCEPT)); /* nobody has taken it */
        assert_true(decisions_take(d, &u));
        assert_true(decisions_decide(d, u.id, (enum decision)decision));
        assert_false(decisions_decide(d, u.id, DECISION_ACCEPT)); /* a decision stands */
        assert_int_equal(decisions_next(d, &entry), decision);
        assert_int_equal(entry, 70 + decision);
        assert_int_equal(decisions_next(d, &entry), DECISION_NONE);
        assert_false(decisions_decide(d, u.id, DECISION_ACCEPT)); /* it waits no more */
    }
}

static void no_id_but_the_right_one_decides(void **state)
{
    (void)state;
    struct undecided u;
    uint64_t old = ask(1, 0);
    assert_true(decisions_take(d, &u));
    assert_int_equal(decisions_withdraw(d, old), DECISION_NONE);
    uint64_t id = ask(2, 0);
    assert_true(decisions_take(d, &u) && u.id == id);
    const uint64_t wrong[] = {0, 1, old, id + 1, id + DECISIONS_MAX, id | (uint64_t)1 << 61, UINT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(decisions_decide(d, wrong[i], DECISION_REFUSE));
    }
    assert_true(decisions_decide(d, id, DECISION_PASS));
    assert_int_equal(decisions_withdraw(d, id), DECISION_PASS); /* who was told that it counts was told the truth */
    uint32_t entry;
    assert_int_equal(decisions_next(d, &entry), DECISION_NONE);
}

static void the_number_is_bounded(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (uint32_t i = 0; i < DECISIONS_MAX; i++) {
        assert_true(decisions_have_room(d));
        last = ask(i, i);
    }
    assert_false(decisions_have_room(d));
    decisions_withdraw(d, last);
    assert_true(decisions_have_room(d));
}

/* ---- threads */

enum { THREADS = 4, ROUNDS = 40000, BUSY = 48 };

static struct {
    atomic_bool stop;
    atomic_uint taken, torn, counted[DECISION_DROP + 1];
} hammer;

static void *take_and_decide(void *argument)
{
    struct rng r = rng_seeded((uintptr_t)argument);
    while (!atomic_load(&hammer.stop)) {
        struct undecided u;
        if (!decisions_take(d, &u)) {
            continue;
        }
        atomic_fetch_add(&hammer.taken, 1);
        atomic_fetch_add(&hammer.torn, !is_nth(&u, u.pid));
        enum decision decision = (enum decision)(1 + rng_below(&r, DECISION_DROP));
        if (rng_below(&r, 8) && decisions_decide(d, u.id, (enum decision)decision)) {
            atomic_fetch_add(&hammer.counted[decision], 1);
        }
    }
    return NULL;
}

/* The writer asks, takes answers, and withdraws what waits too long: each answer that was told to count does. */
static void takers_and_deciders_are_safe_from_any_thread(void **state)
{
    (void)state;
    uint64_t waiting[BUSY] = {0};
    uint32_t seen[DECISION_DROP + 1] = {0};
    pthread_t threads[THREADS];
    memset(&hammer, 0, sizeof hammer);
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_decide, (void *)(i + 1)), 0);
    }
    uint32_t answered = 0, asked = 0;
    for (uint32_t n = 1; asked < ROUNDS || answered < ROUNDS / 8; n++) {
        uint32_t entry = n % BUSY;
        if (waiting[entry]) {
            enum decision late = decisions_withdraw(d, waiting[entry]);
            seen[late] += late != DECISION_NONE;
        }
        waiting[entry] = ask(n, entry);
        asked++;
        for (enum decision decision; (decision = decisions_next(d, &entry)) != DECISION_NONE; answered++) {
            seen[decision]++;
            assert_true(waiting[entry] != 0);
            waiting[entry] = 0;
        }
    }
    atomic_store(&hammer.stop, true);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    uint32_t entry;
    for (enum decision decision; (decision = decisions_next(d, &entry)) != DECISION_NONE;) {
        seen[decision]++;
    }
    assert_int_equal(hammer.torn, 0);
    for (int decision = DECISION_ACCEPT; decision <= DECISION_DROP; decision++) {
        assert_int_equal(seen[decision], hammer.counted[decision]);
    }
}

int main(void)
{
#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_TABLE(the_oldest_is_taken_first_and_once),
        WITH_TABLE(a_decision_reaches_the_writer_once),
        WITH_TABLE(no_id_but_the_right_one_decides),
        WITH_TABLE(the_number_is_bounded),
        WITH_TABLE(takers_and_deciders_are_safe_from_any_thread),
    };
    return cmocka_run_group_tests_name("decisions", tests, NULL, NULL);
}
