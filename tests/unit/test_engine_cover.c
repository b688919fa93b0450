/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which ports the driver's filter is asked to divert, and the SYNs that wait for it (cover.h). */
#include "machine.h"

enum { STRANGER_PORT = 60001, LISTENING = 7000 };

static int set_up(void **state)
{
    struct engine_config config = machine_config();
    config.whole_cover = false;
    config.max_flows = 4096;
    *state = machine_new(&config);
    return 0;
}

#define WITH_COVER(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_tear_down)

/* Asks for a new cover, and has it in place at once. */
static const struct cover *replaced(struct fixture *f)
{
    const struct cover *cover = engine_cover_wanted(f->engine, f->now);
    if (cover) {
        engine_cover_replaced(f->engine, true, f->now);
    }
    return cover;
}

static uint32_t ports_in(const struct port_set *s)
{
    uint32_t n = 0;
    for (uint32_t port = 0; port < 65536; port++) {
        n += port_set_has(s, (uint16_t)port);
    }
    return n;
}

static bool covers(const struct cover *cover, const struct tuple *t)
{
    return cover && port_set_has(&cover->outbound, source_port(t));
}

static struct tuple from_port(const struct tuple *t, uint16_t port)
{
    struct tuple from = *t;
    from.src_port = be16_from_host(port);
    return from;
}

static void strangers_send(struct fixture *f, uint16_t port, uint32_t packets)
{
    struct tuple t = tuple4();
    t.src_port = be16_from_host(port);
    for (uint32_t i = 0; i < packets; i++) {
        assert_int_equal(send_segment(f, ack_of(&t, 1, 1)), VERDICT_PASS);
    }
}

static void tree_is_quiet_and_strangers_are_not(struct fixture *f)
{
    pass_time(f, 60000);
    for (uint16_t port = 40000; port < 40100; port++) {
        strangers_send(f, port, 1);
    }
}

/* A connection of the tree, with the filter replaced if need be. */
static struct tuple opened(struct fixture *f, const struct tuple *t)
{
    connects(f, ROOT, t);
    if (send_syn(f, t, 100) == VERDICT_REWRITE) {
        return tuple_in(&f->last);
    }
    uint32_t before = f->injected_count;
    assert_true(covers(replaced(f), t));
    assert_int_equal(f->injected_count, before + 1);
    return tuple_in(f->injected[before]);
}

static void nothing_is_covered_at_first(void **state)
{
    struct fixture *f = *state;
    const struct cover *cover = engine_cover_wanted(f->engine, f->now);
    assert_non_null(cover);
    assert_int_equal(ports_in(&cover->outbound), 0);
    assert_int_equal(ports_in(&cover->inbound), 0);
    assert_null(engine_cover_wanted(f->engine, f->now)); /* the answer is awaited */
    engine_cover_replaced(f->engine, true, f->now);
    assert_null(engine_cover_wanted(f->engine, f->now));
}

static void a_syn_waits_for_its_cover_and_leaves_redirected(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP); /* sent again meanwhile: no second flow */
    const struct cover *cover = engine_cover_wanted(f->engine, f->now);
    assert_true(covers(cover, &t));
    pass_time(f, 2 * HOLD_MS); /* its owner is known: that time-out is not its own */
    assert_int_equal(f->injected_count, 0);
    engine_cover_replaced(f->engine, true, f->now);
    assert_int_equal(f->injected_count, 1);
    struct tuple steered = tuple_in(f->injected[0]);
    assert_int_equal(be16_to_host(steered.dst_port), PROXY_PORT);
    assert_true(f->mapped_when_injected[0]);
    hand_shake(f, &t, &steered);
    assert_int_equal(COUNTER(f, cover_waits), 1);
    assert_int_equal(COUNTER(f, flows_total), 1);
    assert_int_equal(COUNTER(f, hold_timeouts), 0);
    check_balance(f);
}

static void a_syn_before_its_event_waits_for_both(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple6();
    replaced(f);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_null(engine_cover_wanted(f->engine, f->now)); /* whose it is is not known: no reason to replace anything */
    connects_late(f, ROOT, &t);
    assert_int_equal(f->injected_count, 0);
    assert_true(covers(replaced(f), &t));
    assert_int_equal(f->injected_count, 1);
    assert_true(maps(f, source_port(&t), &t, ROOT));
    check_balance(f);
}

static void while_the_tree_is_busy_nobody_waits(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    opened(f, &t);
    for (uint16_t port = 50000; port < 50100; port++) {
        struct tuple next = from_port(&t, port);
        assert_int_equal(be16_to_host(redirected(f, ROOT, &next, 100).dst_port), PROXY_PORT);
    }
    assert_null(engine_cover_wanted(f->engine, f->now));
    assert_int_equal(COUNTER(f, cover_waits), 1);
}

static void without_strangers_nothing_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    opened(f, &t);
    for (int i = 0; i < 100; i++) {
        pass_time(f, 1000);
        assert_null(engine_cover_wanted(f->engine, f->now));
    }
}

static void a_quiet_tree_leaves_strangers_to_the_kernel(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    struct tuple steered = opened(f, &t);
    hand_shake(f, &t, &steered);
    tree_is_quiet_and_strangers_are_not(f);
    const struct cover *cover = replaced(f);
    assert_true(covers(cover, &t)); /* O6: the flow that lives */
    assert_int_equal(ports_in(&cover->outbound), 1);
    assert_int_equal(send_segment(f, ack_of(&t, 101, 501)), VERDICT_REWRITE);
}

static void a_stranger_that_sends_much_gets_a_hole(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), hers = from_port(&t, STRANGER_PORT);
    replaced(f);
    opened(f, &t);
    pass_time(f, 200);
    strangers_send(f, STRANGER_PORT, 100);
    const struct cover *cover = replaced(f);
    assert_non_null(cover);
    assert_int_equal(ports_in(&cover->outbound), 65535);
    assert_false(covers(cover, &hers));
    /* The tree gets the same port, to another server: it waits, and the hole is filled. */
    hers.dst = address_of("192.0.2.99", &hers.family);
    connects(f, ROOT, &hers);
    assert_int_equal(send_syn(f, &hers, 100), VERDICT_HOLD);
    assert_true(covers(replaced(f), &hers));
    assert_true(maps(f, STRANGER_PORT, &hers, ROOT));
}

static void plan_upon_plan_becomes_rare(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    uint32_t plans = 0;
    replaced(f);
    for (int second = 0; second < 60; second++) {
        struct tuple next = from_port(&t, (uint16_t)(50000 + second));
        opened(f, &next);
        for (uint16_t i = 0; i < 10; i++) {
            for (uint16_t port = 30000; port < 30060; port++) { /* many, each with little */
                strangers_send(f, (uint16_t)(port + 100 * i), 1);
            }
            f->now += 100;
            plans += f->engine->cover.strangers > 0; /* a plan sets it to 0 */
            replaced(f);
            plans -= f->engine->cover.strangers > 0;
        }
    }
    assert_in_range(plans, 1, 100); /* of 600 occasions */
}

static void a_replacement_that_fails_lets_the_syn_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_non_null(engine_cover_wanted(f->engine, f->now));
    engine_cover_replaced(f->engine, false, f->now);
    assert_int_equal(f->injected_count, 1);
    struct tuple is = tuple_in(f->injected[0]);
    assert_true(tuple_equal(&is, &t)); /* S3: as it came */
    assert_true(maps_nothing(f, source_port(&t)));
    assert_int_equal(COUNTER(f, hold_timeouts), 1);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS); /* and so its retransmissions: a handshake is under way */
    check_balance(f);
}

static void a_replacement_that_takes_for_ever_lets_the_syn_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_non_null(engine_cover_wanted(f->engine, f->now));
    pass_time(f, 1500);
    assert_int_equal(f->injected_count, 1);
    struct tuple is = tuple_in(f->injected[0]);
    assert_true(tuple_equal(&is, &t));
}

static void a_syn_that_comes_during_a_replacement_that_forgets_it(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), late = from_port(&t, 50123);
    replaced(f);
    opened(f, &t);
    tree_is_quiet_and_strangers_are_not(f);
    const struct cover *narrow = engine_cover_wanted(f->engine, f->now);
    assert_false(covers(narrow, &late)); /* covered now, but not for long */
    connects(f, ROOT, &late);
    assert_int_equal(send_syn(f, &late, 100), VERDICT_HOLD);
    engine_cover_replaced(f->engine, true, f->now);
    assert_int_equal(held_now(f), 1);
    assert_true(covers(replaced(f), &late));
    assert_int_equal(held_now(f), 0);
    assert_true(maps(f, 50123, &late, ROOT));
}

static void listeners_of_the_tree_are_covered_inbound(void **state)
{
    struct fixture *f = *state;
    replaced(f);
    opens(f, ROOT, "0.0.0.0", LISTENING);
    const struct cover *cover = engine_cover_wanted(f->engine, f->now);
    assert_non_null(cover);
    assert_true(port_set_has(&cover->inbound, LISTENING));
    assert_int_equal(ports_in(&cover->outbound), 0);
    /* A peer that is quicker than the filter waits. */
    struct tuple t = from_peer(f, "10.0.0.2", LISTENING);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_HOLD);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_DROP);
    engine_cover_replaced(f->engine, true, f->now);
    assert_int_equal(f->injected_count, 1);
    assert_true(maps_incoming(f, source_port(&t), &t, ROOT));
    opens(f, STRANGER, "0.0.0.0", LISTENING + 1);
    assert_null(engine_cover_wanted(f->engine, f->now)); /* not the tree's */
    check_balance(f);
}

/* A stranger's SYN to a listener of the tree waits for the filter; when it is in place, the listener is gone. */
static void a_waiting_syn_whose_listener_closes_is_its_owners_again(void **state)
{
    struct fixture *f = *state;
    replaced(f);
    opens(f, ROOT, "127.0.0.1", LISTENING);
    struct tuple t = tuple_of("127.0.0.1", 50123, "127.0.0.1", LISTENING);
    f->loopback = true;
    connects(f, STRANGER, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    closes(f, ROOT, "127.0.0.1", LISTENING);
    while (replaced(f)) {
        ;
    }
    assert_int_equal(f->injected_count, 1);
    struct tuple left = tuple_in(f->injected[0]);
    assert_true(tuple_equal(&left, &t)); /* I1 */
    assert_int_equal(COUNTER(f, flows_total), 0);
    check_balance(f);
}

static void four_thousand_flows_are_covered(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    for (uint32_t i = 0; i < 4000; i++) {
        struct tuple next = from_port(&t, (uint16_t)(1024 + i * 16));
        opened(f, &next);
    }
    pass_time(f, 20000); /* shorter than a SYN without an answer lives */
    for (uint16_t port = 1025; port < 2049; port = (uint16_t)(port + 16)) {
        strangers_send(f, port, 1);
    }
    const struct cover *cover = replaced(f);
    assert_non_null(cover);
    for (uint32_t i = 0; i < 4000; i++) {
        assert_true(port_set_has(&cover->outbound, (uint16_t)(1024 + i * 16)));
    }
    struct port_range r;
    uint32_t ranges = 0;
    for (uint32_t from = 0; port_set_next_range(&cover->outbound, from, &r); from = r.last + 1u) {
        ranges++;
    }
    assert_in_range(ranges, 1, COVER_RANGES);
}

static void stop_lets_waiting_syns_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    engine_stop(f->engine, true, f->now);
    assert_int_equal(f->injected_count, 1);
    assert_null(engine_cover_wanted(f->engine, f->now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_COVER(nothing_is_covered_at_first),
        WITH_COVER(a_syn_waits_for_its_cover_and_leaves_redirected),
        WITH_COVER(a_syn_before_its_event_waits_for_both),
        WITH_COVER(while_the_tree_is_busy_nobody_waits),
        WITH_COVER(without_strangers_nothing_is_replaced),
        WITH_COVER(a_quiet_tree_leaves_strangers_to_the_kernel),
        WITH_COVER(a_stranger_that_sends_much_gets_a_hole),
        WITH_COVER(plan_upon_plan_becomes_rare),
        WITH_COVER(a_replacement_that_fails_lets_the_syn_pass),
        WITH_COVER(a_replacement_that_takes_for_ever_lets_the_syn_pass),
        WITH_COVER(a_syn_that_comes_during_a_replacement_that_forgets_it),
        WITH_COVER(listeners_of_the_tree_are_covered_inbound),
        WITH_COVER(a_waiting_syn_whose_listener_closes_is_its_owners_again),
        WITH_COVER(four_thousand_flows_are_covered),
        WITH_COVER(stop_lets_waiting_syns_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
