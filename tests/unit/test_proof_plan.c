/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* S8: when redirection is proven again, and what follows. */
#include "packets.h"

#include "engine/proof_plan.h"

enum { START = 1000000, ROUND_MS = 250 };

struct asker {
    struct proof_plan plan;
    uint64_t now, flows;
};

static struct asker begin(void)
{
    struct asker a = {.now = START};
    proof_plan_init(&a.plan, a.now);
    return a;
}

/* Asks every round, as the engine's thread does, until a proof is due; after how many milliseconds. */
static uint64_t until_due(struct asker *a)
{
    uint64_t began = a->now;
    while (!proof_plan_is_due(&a->plan, a->flows, a->now)) {
        a->now += ROUND_MS;
        assert_true(a->now - began < 10 * PROOF_PERIOD_MS);
    }
    return a->now - began;
}

static void s8_it_is_proven_every_minute_without_connections(void **state)
{
    struct asker a = begin();
    (void)state;
    assert_int_equal(until_due(&a), PROOF_PERIOD_MS);
    assert_int_equal(proof_plan_ended(&a.plan, PROOF_MADE, a.now), PROOF_GO_ON);
    assert_int_equal(until_due(&a), PROOF_PERIOD_MS);
    assert_int_equal(proof_plan_ended(&a.plan, PROOF_UNTRIED, a.now), PROOF_GO_ON);
    a.now += PROOF_AWAY_MS - 1;
    a.flows++; /* a connection was redirected: that is proof enough */
    assert_int_equal(until_due(&a), PROOF_PERIOD_MS);
}

static void s8_it_is_proven_soon_where_there_is_a_doubt(void **state)
{
    struct asker a = begin();
    (void)state;
    assert_false(proof_plan_is_due(&a.plan, 0, a.now));
    proof_plan_doubt(&a.plan, PROOF_SETTLE_MS, a.now);
    a.flows = 7; /* these do not dispel it */
    assert_int_equal(until_due(&a), PROOF_SETTLE_MS);
    assert_int_equal(proof_plan_ended(&a.plan, PROOF_MADE, a.now), PROOF_GO_ON);
    assert_int_equal(until_due(&a), PROOF_PERIOD_MS);
}

static void s8_a_thread_that_was_away_does_not_know(void **state)
{
    struct asker a = begin();
    (void)state;
    assert_false(proof_plan_is_due(&a.plan, 0, a.now));
    a.now += PROOF_AWAY_MS - 1;
    assert_false(proof_plan_is_due(&a.plan, 0, a.now));
    a.now += PROOF_AWAY_MS;
    assert_true(proof_plan_is_due(&a.plan, 0, a.now));
    assert_true(proof_plan_is_due(&a.plan, 1, a.now)); /* until it was made */
    proof_plan_ended(&a.plan, PROOF_MADE, a.now);
    assert_false(proof_plan_is_due(&a.plan, 1, a.now));
}

static void s8_what_a_failure_leads_to(void **state)
{
    struct asker a = begin();
    (void)state;
    assert_int_equal(proof_plan_ended(&a.plan, PROOF_FAILED, a.now), PROOF_OPEN_ANEW);
    assert_int_equal(until_due(&a), 0);
    assert_int_equal(proof_plan_ended(&a.plan, PROOF_MADE, a.now), PROOF_MENDED);
    assert_int_equal(until_due(&a), PROOF_PERIOD_MS);
    assert_int_equal(proof_plan_ended(&a.plan, PROOF_FAILED, a.now), PROOF_OPEN_ANEW); /* long after: from the start */
    assert_int_equal(proof_plan_ended(&a.plan, PROOF_UNTRIED, a.now), PROOF_GO_ON);
    assert_int_equal(proof_plan_ended(&a.plan, PROOF_FAILED, a.now), PROOF_OPEN_ANEW);
    assert_int_equal(proof_plan_ended(&a.plan, PROOF_FAILED, a.now), PROOF_GIVE_UP);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(s8_it_is_proven_every_minute_without_connections),
        cmocka_unit_test(s8_it_is_proven_soon_where_there_is_a_doubt),
        cmocka_unit_test(s8_a_thread_that_was_away_does_not_know),
        cmocka_unit_test(s8_what_a_failure_leads_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
