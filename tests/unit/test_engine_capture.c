/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which ports the driver's filter is asked to capture, and the SYNs that wait for it (capture_plan.h). */
#include "machine.h"
#include "port_ranges.h"

enum { STRANGER_PORT = 60001, LISTENING = 7000, FILTER_WAIT_MS = 5000 };

static int set_up(void **state)
{
    struct engine_config config = machine_config();
    config.max_flows = 4096;
    *state = machine_with_proxies(machine_without_filter(&config));
    return 0;
}

#define WITH_FILTER(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_tear_down)

static bool captures(const struct capture_set *set, const struct tuple *t)
{
    return set && port_set_has(&set->outbound, source_port(t));
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
    assert_true(captures(replaced(f), t));
    assert_int_equal(f->injected_count, before + 1);
    return tuple_in(f->injected[before]);
}

static void nothing_is_captured_at_first(void **state)
{
    struct fixture *f = *state;
    const struct capture_set *set = engine_capture_wanted(f->world.engine, f->world.now);
    assert_non_null(set);
    assert_int_equal(ports_in(&set->outbound), 0);
    assert_int_equal(ports_in(&set->inbound), 0);
    assert_null(engine_capture_wanted(f->world.engine, f->world.now)); /* the answer is awaited */
    engine_capture_replaced(f->world.engine, true, f->world.now);
    assert_null(engine_capture_wanted(f->world.engine, f->world.now));
}

static void a_syn_waits_for_its_filter_and_leaves_redirected(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP); /* sent again meanwhile: no second flow */
    const struct capture_set *set = engine_capture_wanted(f->world.engine, f->world.now);
    assert_true(captures(set, &t));
    pass_time(f, 2 * HOLD_MS); /* its owner is known: that time-out is not its own */
    assert_int_equal(f->injected_count, 0);
    engine_capture_replaced(f->world.engine, true, f->world.now);
    assert_int_equal(f->injected_count, 1);
    struct tuple steered = tuple_in(f->injected[0]);
    assert_int_equal(be16_to_host(steered.dst_port), PROXY_PORT);
    assert_true(f->mapped_when_injected[0]);
    hand_shake(f, &t, &steered);
    assert_int_equal(COUNTER(f, capture_waits), 1);
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
    assert_null(engine_capture_wanted(f->world.engine,
                                      f->world.now)); /* whose it is is not known: no reason to replace anything */
    connects_late(f, ROOT, &t);
    assert_int_equal(f->injected_count, 0);
    assert_true(captures(replaced(f), &t));
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
    assert_null(engine_capture_wanted(f->world.engine, f->world.now));
    assert_int_equal(COUNTER(f, capture_waits), 1);
}

static void without_strangers_nothing_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    opened(f, &t);
    for (int i = 0; i < 100; i++) {
        pass_time(f, 1000);
        assert_null(engine_capture_wanted(f->world.engine, f->world.now));
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
    const struct capture_set *set = replaced(f);
    assert_true(captures(set, &t)); /* O6: the flow that lives */
    assert_int_equal(ports_in(&set->outbound), 1);
    assert_int_equal(send_segment(f, ack_of(&t, 101, 501)), VERDICT_REWRITE);
}

static void a_stranger_that_sends_much_is_excluded(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), hers = from_port(&t, STRANGER_PORT);
    replaced(f);
    opened(f, &t);
    pass_time(f, 200);
    strangers_send(f, STRANGER_PORT, 100);
    const struct capture_set *set = replaced(f);
    assert_non_null(set);
    assert_int_equal(ports_in(&set->outbound), 65535);
    assert_false(captures(set, &hers));
    /* The tree gets the same port, to another server: it waits, and it is captured again. */
    hers.dst = address_of("192.0.2.99", &hers.family);
    connects(f, ROOT, &hers);
    assert_int_equal(send_syn(f, &hers, 100), VERDICT_HOLD);
    assert_true(captures(replaced(f), &hers));
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
            f->world.now += 100;
            plans += f->world.engine->capture.needless > 0; /* a plan sets it to 0 */
            replaced(f);
            plans -= f->world.engine->capture.needless > 0;
        }
    }
    assert_in_range(plans, 1, 100); /* of 600 occasions */
}

/* Sends one packet at a time; the filter is replaced as soon as that is wanted. How many packets were captured. */
static uint32_t stranger_transfers(struct fixture *f, uint16_t port, uint32_t packets)
{
    uint32_t captured = 0;
    for (uint32_t i = 0; i < packets; i++) {
        if (port_set_has(&engine_of(f)->capture.active.outbound, port)) {
            captured++;
            strangers_send(f, port, 1);
        }
        replaced(f);
    }
    return captured;
}

/* O5: whatever came before, and though the tree opens connections all the time. */
static void strangers_one_after_another_are_excluded_at_once(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    for (uint16_t n = 0; n < 100; n++) {
        struct tuple next = from_port(&t, (uint16_t)(50000 + n)), hers = from_port(&t, (uint16_t)(40000 + n));
        opened(f, &next);
        hers.dst = address_of("192.0.2.99", &hers.family);
        connects(f, STRANGER, &hers);
        assert_int_equal(send_syn(f, &hers, 100), VERDICT_PASS);
        for (uint16_t port = 30000; port < 30060; port++) { /* others, who send little, are no reason to wait */
            strangers_send(f, port, 1);
        }
        assert_in_range(stranger_transfers(f, (uint16_t)(40000 + n), 1000), CAPTURE_HEAVY, CAPTURE_HEAVY);
        f->world.now += 150;
    }
}

/* Strangers that end as soon as they are excluded: at most 16 replacements at a stretch, and ten a second. */
static void many_short_strangers_do_not_have_it_replaced_all_the_time(void **state)
{
    enum { SECONDS = 20, EACH_MS = 5 };
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    opened(f, &t);
    uint64_t before = COUNTER(f, filter_replacements), most_in_a_second = 0, second = before;
    for (uint32_t n = 0; n < SECONDS * 1000 / EACH_MS; n++) {
        struct tuple hers = from_port(&t, (uint16_t)(20000 + n));
        hers.dst = address_of("192.0.2.99", &hers.family);
        connects(f, STRANGER, &hers);
        assert_int_equal(send_syn(f, &hers, 100), VERDICT_PASS);
        stranger_transfers(f, (uint16_t)(20000 + n), CAPTURE_HEAVY + 1);
        engine_of(f)->capture.flow_ms = f->world.now; /* the tree stays busy */
        f->world.now += EACH_MS;
        if ((n + 1) * EACH_MS % 1000 == 0) {
            uint64_t replacements = COUNTER(f, filter_replacements);
            most_in_a_second = replacements - second > most_in_a_second ? replacements - second : most_in_a_second;
            second = replacements;
        }
    }
    assert_in_range(most_in_a_second, 1, 16 + 10);
    assert_in_range(COUNTER(f, filter_replacements) - before, SECONDS * 5, 16 + 10 * SECONDS);
}

/* Of so many ports, `step` apart. */
static void expect_all(const struct capture_set *set, bool captured, uint32_t count, uint32_t first, uint32_t step)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(port_set_has(&set->outbound, (uint16_t)(first + i * step)), captured);
    }
}

static void hundreds_of_strangers_at_a_time_are_excluded(void **state)
{
    enum { STRANGERS = 1000, OWN = 40 };
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    for (uint32_t i = 0; i < OWN; i++) {
        struct tuple next = from_port(&t, (uint16_t)(10000 + i * 1000));
        opened(f, &next);
    }
    for (uint32_t i = 0; i < STRANGERS; i++) {
        strangers_send(f, (uint16_t)(10003 + i * 40), CAPTURE_HEAVY);
    }
    const struct capture_set *set = replaced(f);
    assert_non_null(set);
    expect_all(set, true, OWN, 10000, 1000);
    expect_all(set, false, STRANGERS, 10003, 40);
    assert_in_range(count_ranges(&set->outbound), OWN, CAPTURE_RANGES);
}

/* Beyond what a filter has room for, the tree's ports come first. Among a few strangers none is caught. */
static void strangers_between_a_thousand_flows_are_excluded(void **state)
{
    enum { OWN = 1000, STRANGERS = 20 };
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    for (uint32_t i = 0; i < OWN; i++) {
        struct tuple next = from_port(&t, (uint16_t)(10000 + i * 50));
        opened(f, &next);
    }
    pass_time(f, 20000);
    for (uint32_t i = 0; i < STRANGERS; i++) {
        strangers_send(f, (uint16_t)(10025 + i * 2000), CAPTURE_HEAVY);
    }
    const struct capture_set *set = replaced(f);
    assert_non_null(set);
    expect_all(set, true, OWN, 10000, 50);
    expect_all(set, false, STRANGERS, 10025, 2000);
    assert_in_range(count_ranges(&set->outbound), 1, CAPTURE_RANGES);
}

/* A port that a stranger has left is the tree's to use, without waiting for the filter, once a reading has shown it. */
static void ports_that_strangers_have_left_are_captured_again(void **state)
{
    struct fixture *f = *state;
    struct capture_plan *c = &engine_of(f)->capture;
    struct tuple t = tuple4();
    replaced(f);
    opened(f, &t);
    strangers_send(f, 40001, CAPTURE_HEAVY);
    strangers_send(f, 40002, CAPTURE_HEAVY);
    capture_plan_forget_dead(c); /* a reading that began before they sent much proves nothing */
    assert_int_equal(c->stranger_count, 2);
    capture_plan_alive(c, 40002);
    capture_plan_alive(c, 40003);
    capture_plan_forget_dead(c);
    assert_int_equal(c->stranger_count, 1);
    const struct capture_set *set = replaced(f);
    assert_non_null(set);
    assert_true(port_set_has(&set->outbound, 40001));
    assert_false(port_set_has(&set->outbound, 40002));
}

static void a_replacement_that_fails_lets_the_syn_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_non_null(engine_capture_wanted(f->world.engine, f->world.now));
    engine_capture_replaced(f->world.engine, false, f->world.now);
    assert_int_equal(f->injected_count, 1);
    struct tuple is = tuple_in(f->injected[0]);
    assert_true(tuple_equal(&is, &t)); /* S3: as it came */
    assert_true(maps_nothing(f, source_port(&t)));
    assert_int_equal(COUNTER(f, capture_timeouts), 1);
    assert_int_equal(COUNTER(f, hold_timeouts), 0);
    assert_int_equal(f->world.filters_late, 1);
    assert_true(tuple_equal(&f->world.filter_late_for, &t));
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
    assert_non_null(engine_capture_wanted(f->world.engine, f->world.now));
    pass_time(f, FILTER_WAIT_MS - 1);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP); /* sent again meanwhile: that does not make it pass sooner */
    assert_int_equal(f->injected_count, 0);
    pass_time(f, 1);
    assert_int_equal(f->injected_count, 1);
    struct tuple is = tuple_in(f->injected[0]);
    assert_true(tuple_equal(&is, &t));
    assert_int_equal(COUNTER(f, capture_timeouts), 1);
}

/* One waits for the filter, and later ones for their owner: whichever is due first is what the next tick is for. */
static void o2_ticks_when_asked_for_keep_the_deadlines_of_all_waits(void **state)
{
    enum { OWNERS = 170, EVERY_MS = 31 };
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_non_null(engine_capture_wanted(engine_of(f), f->world.now)); /* and never comes */
    uint64_t began = f->world.now, deadline[OWNERS + 1];
    uint32_t out = 0, in = 0;
    bool filter_waits = true;
    for (uint64_t next = began; out < OWNERS + 1; f->world.now++) {
        if (f->world.now >= next) {
            engine_tick(engine_of(f), f->world.now);
            world_settle(&f->world);
        }
        if (in < OWNERS && f->world.now == began + EVERY_MS * in) {
            struct tuple unknown = from_port(&t, (uint16_t)(1000 + in));
            deadline[in++] = f->world.now + HOLD_MS;
            assert_int_equal(send_syn(f, &unknown, 100), VERDICT_HOLD);
        }
        for (; out < f->injected_count; out++) {
            struct tuple left = tuple_in(f->injected[out]);
            bool of_filter = tuple_equal(&left, &t);
            filter_waits = filter_waits && !of_filter;
            uint64_t due = of_filter ? began + FILTER_WAIT_MS : deadline[source_port(&left) - 1000];
            assert_int_equal(f->world.now, due);
        }
        next = f->world.now + engine_next_tick_ms(engine_of(f), f->world.now);
        check_balance(f);
    }
    assert_false(filter_waits);
    assert_int_equal(f->world.owner_asked, OWNERS);
}

static void a_syn_that_comes_during_a_replacement_that_forgets_it(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), late = from_port(&t, 50123);
    replaced(f);
    opened(f, &t);
    tree_is_quiet_and_strangers_are_not(f);
    const struct capture_set *narrow = engine_capture_wanted(f->world.engine, f->world.now);
    assert_false(captures(narrow, &late)); /* captured now, but not for long */
    connects(f, ROOT, &late);
    assert_int_equal(send_syn(f, &late, 100), VERDICT_HOLD);
    engine_capture_replaced(f->world.engine, true, f->world.now);
    assert_int_equal(held_now(f), 1);
    assert_true(captures(replaced(f), &late));
    assert_int_equal(held_now(f), 0);
    assert_true(maps(f, 50123, &late, ROOT));
}

static void listeners_of_the_tree_are_captured_inbound(void **state)
{
    struct fixture *f = *state;
    replaced(f);
    opens(f, ROOT, "0.0.0.0", LISTENING);
    const struct capture_set *set = engine_capture_wanted(f->world.engine, f->world.now);
    assert_non_null(set);
    assert_true(port_set_has(&set->inbound, LISTENING));
    assert_int_equal(ports_in(&set->outbound), 0);
    /* A peer that is quicker than the filter waits. */
    struct tuple t = from_peer(f, "10.0.0.2", LISTENING);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_HOLD);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_DROP);
    engine_capture_replaced(f->world.engine, true, f->world.now);
    assert_int_equal(f->injected_count, 1);
    assert_true(maps_incoming(f, source_port(&t), &t, ROOT));
    opens(f, STRANGER, "0.0.0.0", LISTENING + 1);
    assert_null(engine_capture_wanted(f->world.engine, f->world.now)); /* not the tree's */
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

static void four_thousand_flows_are_captured(void **state)
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
    const struct capture_set *set = replaced(f);
    assert_non_null(set);
    for (uint32_t i = 0; i < 4000; i++) {
        assert_true(port_set_has(&set->outbound, (uint16_t)(1024 + i * 16)));
    }
    assert_in_range(count_ranges(&set->outbound), 1, CAPTURE_RANGES);
}

static void stop_lets_waiting_syns_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    replaced(f);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    engine_stop(f->world.engine, true, f->world.now);
    assert_int_equal(f->injected_count, 1);
    assert_null(engine_capture_wanted(f->world.engine, f->world.now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILTER(nothing_is_captured_at_first),
        WITH_FILTER(a_syn_waits_for_its_filter_and_leaves_redirected),
        WITH_FILTER(a_syn_before_its_event_waits_for_both),
        WITH_FILTER(while_the_tree_is_busy_nobody_waits),
        WITH_FILTER(without_strangers_nothing_is_replaced),
        WITH_FILTER(a_quiet_tree_leaves_strangers_to_the_kernel),
        WITH_FILTER(a_stranger_that_sends_much_is_excluded),
        WITH_FILTER(plan_upon_plan_becomes_rare),
        WITH_FILTER(strangers_one_after_another_are_excluded_at_once),
        WITH_FILTER(many_short_strangers_do_not_have_it_replaced_all_the_time),
        WITH_FILTER(hundreds_of_strangers_at_a_time_are_excluded),
        WITH_FILTER(strangers_between_a_thousand_flows_are_excluded),
        WITH_FILTER(ports_that_strangers_have_left_are_captured_again),
        WITH_FILTER(a_replacement_that_fails_lets_the_syn_pass),
        WITH_FILTER(a_replacement_that_takes_for_ever_lets_the_syn_pass),
        WITH_FILTER(o2_ticks_when_asked_for_keep_the_deadlines_of_all_waits),
        WITH_FILTER(a_syn_that_comes_during_a_replacement_that_forgets_it),
        WITH_FILTER(listeners_of_the_tree_are_captured_inbound),
        WITH_FILTER(a_waiting_syn_whose_listener_closes_is_its_owners_again),
        WITH_FILTER(four_thousand_flows_are_captured),
        WITH_FILTER(stop_lets_waiting_syns_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
