/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A driver's filter that comes too late, or cannot be had, is no silent way around the proxy (S9). What else the filter
 * has to do with new connections is in test_engine_capture.c.
 */
#include "machine.h"

enum { STRANGER_PORT = 60001, LISTENING = 7000, FILTER_WAIT_MS = 5000 };

static int set_up(void **state)
{
    struct engine_config config = machine_config();
    *state = machine_with_proxies(machine_without_filter(&config));
    return 0;
}

#define WITH_FILTER(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_tear_down)

static struct fixture *refusing(void **state)
{
    struct engine_config config = machine_config();
    config.fail_closed = true;
    fixture_free(*state);
    struct fixture *f = *state = machine_with_proxies(machine_without_filter(&config));
    replaced(f);
    return f;
}

/* What `n` is: the answer of a closed port to this SYN. */
static bool refuses(const struct fixture *f, uint32_t n, const struct tuple *t, uint32_t isn)
{
    struct tuple back = tuple_reversed(t), is = tuple_in(f->injected[n]);
    const uint8_t *tcp = f->injected[n]->bytes + f->injected[n]->tcp_offset;
    return tuple_equal(&is, &back) && tcp[13] == (TCP_RST | TCP_ACK) && wire32(tcp + 8) == isn + 1;
}

/* S9, O4: as configured, nothing passes by the proxy, also when the filter is too slow, or cannot be had. */
static void s9_a_filter_that_does_not_come_is_no_way_around_the_proxy(void **state)
{
    struct fixture *f = refusing(state);
    struct tuple t = tuple4(), u = tuple6(), in = from_peer(f, "10.0.0.2", LISTENING);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_non_null(engine_capture_wanted(engine_of(f), f->world.now));
    opens(f, ROOT, "0.0.0.0", LISTENING);
    assert_int_equal(syn_arrives(f, &in, 300), VERDICT_HOLD);
    pass_time(f, FILTER_WAIT_MS);
    assert_int_equal(f->injected_count, 2);
    assert_true(refuses(f, 0, &t, 100) && refuses(f, 1, &in, 300));
    assert_false(f->injected[0]->meta.outbound);
    assert_true(f->injected[1]->meta.outbound);

    connects(f, ROOT, &u);
    assert_int_equal(send_syn(f, &u, 200), VERDICT_HOLD);
    engine_capture_replaced(engine_of(f), false, f->world.now);
    assert_int_equal(f->injected_count, 3);
    assert_true(refuses(f, 2, &u, 200));
    assert_int_equal(COUNTER(f, capture_timeouts), 3);
    assert_int_equal(COUNTER(f, flows_total), 0);
    check_balance(f);

    /* The program tries again, and this time the filter comes. */
    assert_int_equal(send_syn(f, &u, 201), VERDICT_HOLD);
    connects(f, ROOT, &u);
    while (replaced(f)) {
        ;
    }
    assert_true(maps(f, source_port(&u), &u, ROOT));
}

static void s9_a_filter_that_does_not_come_is_warned_of_once_a_minute(void **state)
{
    struct fixture *f = *state;
    replaced(f);
    for (uint32_t i = 0; i < 30; i++) { /* every 6 s */
        struct tuple t = tuple4();
        t.src_port = be16_from_host(fresh_port(f));
        connects(f, ROOT, &t);
        assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
        pass_time(f, FILTER_WAIT_MS);
        assert_int_equal(f->world.filters_late, 1 + i / 10);
        f->world.now += 1000;
    }
    assert_int_equal(COUNTER(f, capture_timeouts), 30);
}

/* No room to wait: that is no way around the proxy either. */
static void s9_a_syn_that_finds_no_room_to_wait_for_the_filter_is_refused(void **state)
{
    struct fixture *f = refusing(state);
    struct tuple t = tuple4();
    for (uint32_t i = 0; i <= PENDING_HELD_MAX; i++) {
        struct tuple next = t;
        next.src_port = be16_from_host((uint16_t)(10000 + i));
        connects(f, ROOT, &next);
        assert_int_equal(send_syn(f, &next, 100), i < PENDING_HELD_MAX ? VERDICT_HOLD : VERDICT_DROP);
    }
    t.src_port = be16_from_host(10000 + PENDING_HELD_MAX);
    assert_int_equal(COUNTER(f, hold_overflows), 1);
    assert_int_equal(f->injected_count, 1);
    assert_true(refuses(f, 0, &t, 100));
}

/* REDIRECTOR_CAPTURE_ALL: the filter is whole from the start, and stays. */
static void s9_with_the_whole_capture_nobody_waits(void **state)
{
    struct engine_config config = machine_config();
    config.capture_all = true;
    fixture_free(*state);
    struct fixture *f = *state = machine_with_proxies(machine_without_filter(&config));
    const struct capture_set *set = replaced(f);
    assert_non_null(set);
    assert_int_equal(ports_in(&set->outbound), 65536);
    assert_int_equal(ports_in(&set->inbound), 65536);
    for (uint32_t i = 0; i < 20; i++) {
        struct tuple t = tuple4();
        t.src_port = be16_from_host(fresh_port(f));
        redirected(f, ROOT, &t, 100);
        opens(f, ROOT, "0.0.0.0", (uint16_t)(LISTENING + i));
        assert_true(catches(f, "10.0.0.2", (uint16_t)(LISTENING + i), ROOT));
        t.src_port = be16_from_host(STRANGER_PORT);
        for (int k = 0; k < 1000; k++) {
            assert_int_equal(send_segment(f, ack_of(&t, 1, 1)), VERDICT_PASS);
        }
        pass_time(f, 60000);
        assert_null(engine_capture_wanted(engine_of(f), f->world.now));
    }
    assert_int_equal(COUNTER(f, capture_waits), 0);
    assert_int_equal(COUNTER(f, filter_replacements), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILTER(s9_a_filter_that_does_not_come_is_no_way_around_the_proxy),
        WITH_FILTER(s9_a_filter_that_does_not_come_is_warned_of_once_a_minute),
        WITH_FILTER(s9_a_syn_that_finds_no_room_to_wait_for_the_filter_is_refused),
        WITH_FILTER(s9_with_the_whole_capture_nobody_waits),
    };
    return cmocka_run_group_tests_name("engine: a filter that is late", tests, NULL, NULL);
}
