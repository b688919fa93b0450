/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* U5: idle time-outs, a bounded table, and what the filter leaves out for it. */
#include "udp_fixture.h"

enum { GRAIN_MS = IDLE_MS / FLOW_IDLE_STEPS + 1 };

static uint64_t live(const struct udp_fixture *f)
{
    return UDP_COUNTER(f, udp_flows_live);
}

/* Idle from now on: it ends when this time is up, neither before nor much later. */
static void assert_ends_after(struct udp_fixture *f, uint64_t ms)
{
    uint64_t before = live(f);
    udp_time(f, ms - 1);
    assert_int_equal(live(f), before);
    udp_time(f, GRAIN_MS + 1);
    assert_int_equal(live(f), before - 1);
}

static void u5_never_answered(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    in_table(f, ROOT, "0.0.0.0", 50000);
    udp_redirected(f, ROOT, &t);
    udp_time(f, 20000);
    send_udp(f, &t);
    udp_time(f, GRAIN_MS / 2); /* too soon to move it in its queue: it counts all the same */
    send_udp(f, &t);
    assert_ends_after(f, IDLE_MS / 2);
    assert_int_equal(f->world.flows_ended, 1);
}

static void u5_answered(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), steered = udp_redirected(f, ROOT, &t);
    in_table(f, ROOT, "0.0.0.0", 50000);
    proxy_sends(f, &steered);
    for (int i = 0; i < 40; i++) { /* either direction keeps it */
        udp_time(f, 25000);
        if (i % 2) {
            send_udp(f, &t);
        } else {
            proxy_sends(f, &steered);
        }
        assert_int_equal(live(f), 1);
    }
    assert_ends_after(f, IDLE_MS);
}

static void u5_a_question_and_its_answer(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple one = tuple_of("10.0.0.1", 50000, "8.8.8.8", 53), many = one;
    many.src_port = be16_from_host(50001);
    struct tuple at_one = udp_redirected(f, ROOT, &one), at_many = udp_redirected(f, ROOT, &many);
    send_udp(f, &many); /* asks twice */
    proxy_sends(f, &at_many);
    proxy_sends(f, &at_one);
    assert_ends_after(f, IDLE_MS / 6);
    assert_true(udp_maps(f, &at_many, &many, ROOT));
    in_table(f, ROOT, "0.0.0.0", 50001);
    assert_ends_after(f, IDLE_MS - IDLE_MS / 6 - GRAIN_MS);
}

static void u5_asked_again_after_the_answer(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = tuple_of("10.0.0.1", 50000, "8.8.8.8", 53), steered = udp_redirected(f, ROOT, &t);
    in_table(f, ROOT, "0.0.0.0", 50000);
    proxy_sends(f, &steered);
    send_udp(f, &t);
    assert_ends_after(f, IDLE_MS);
}

static void u5_its_port_is_not_used_again_at_once(void **state)
{
    struct udp_fixture *f = *state;
    in_table(f, ROOT, "10.0.0.1", 50000);
    struct tuple t = udp4(), steered = udp_redirected(f, ROOT, &t);
    udp_time(f, IDLE_MS / 2);
    assert_int_equal(live(f), 0);
    uint64_t dropped = UDP_COUNTER(f, udp_packets_dropped);
    assert_int_equal(proxy_sends(f, &steered), VERDICT_DROP);
    assert_int_equal(UDP_COUNTER(f, udp_packets_dropped), dropped + 1);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE); /* the program goes on: a new flow */
    struct tuple second = udp_tuple_in(&f->last);
    assert_int_not_equal(second.src_port.wire, steered.src_port.wire);
    udp_time(f, FLOW_LINGER_UDP_MS);
    assert_true(udp_maps_nothing(f, &steered));
    assert_int_equal(proxy_sends(f, &steered), VERDICT_DROP); /* nobody is there */
    binds(f, STRANGER, "127.0.0.1", 50000, 9);
    assert_int_equal(proxy_sends(f, &steered), VERDICT_PASS);
}

static void u5_a_program_does_not_get_late_answers_by_its_wildcard(void **state)
{
    struct udp_fixture *f = *state;
    binds(f, ROOT, "0.0.0.0", 50000, 1);
    struct tuple t = udp4(), steered = udp_redirected(f, ROOT, &t);
    in_table(f, ROOT, "0.0.0.0", 50000);
    udp_time(f, IDLE_MS / 2);
    assert_int_equal(proxy_sends(f, &steered), VERDICT_DROP);
    udp_time(f, FLOW_LINGER_UDP_MS);
    assert_int_equal(proxy_sends(f, &steered), VERDICT_DROP);
}

static void u5_full_table(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    for (uint16_t i = 0; i < 64; i++) {
        t.src_port = be16_from_host((uint16_t)(20000 + i));
        udp_redirected(f, ROOT, &t);
        f->world.now += 10;
    }
    t.src_port = be16_from_host(30000);
    sends_to(f, ROOT, &t, 1);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS); /* none has been idle for a second */
    assert_int_equal(UDP_COUNTER(f, udp_table_full), 1);
    struct tuple first = t;
    first.src_port = be16_from_host(20000);
    send_udp(f, &first);
    f->world.now += 1000;
    send_udp(f, &first);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE);
    assert_int_equal(live(f), 64);
    assert_int_equal(f->world.flows_ended, 1);
    struct tuple at = {.src_port = be16_from_host(20001)};
    assert_true(udp_maps_nothing(f, &at)); /* the one that had been idle longest */
    at.src_port = be16_from_host(20000);
    assert_true(udp_maps(f, &at, &first, ROOT));
}

/* ---- the filter (capture_plan.h) */

static const struct capture_set *plan(struct udp_fixture *f)
{
    const struct capture_set *set = engine_udp_capture_wanted(engine_of(f), f->world.now);
    if (set) {
        engine_udp_capture_replaced(engine_of(f), true, f->world.now);
    }
    return set;
}

static void stranger_sends(struct udp_fixture *f, uint16_t port, uint32_t datagrams)
{
    struct tuple t = udp4();
    t.src_port = be16_from_host(port);
    sends_to(f, STRANGER, &t, 0);
    for (uint32_t i = 0; i < datagrams; i++) {
        assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    }
}

static void u5_a_heavy_stranger_is_left_out(void **state)
{
    struct udp_fixture *f = *state;
    stranger_sends(f, 40000, CAPTURE_HEAVY - 1);
    f->world.now += 1;
    stranger_sends(f, 40000, 1);
    const struct capture_set *set = plan(f);
    assert_non_null(set);
    assert_false(port_set_has(&set->outbound, 40000));
    assert_true(port_set_has(&set->outbound, 39999));
    assert_true(port_set_has(&set->outbound, 40001));
    assert_true(set->fragments);
    assert_null(plan(f));
}

static void u2_a_left_out_port_that_the_tree_takes(void **state)
{
    struct udp_fixture *f = *state;
    stranger_sends(f, 40000, CAPTURE_HEAVY);
    plan(f);
    binds(f, STRANGER, "10.0.0.1", 40000, 4);
    assert_int_equal(UDP_COUNTER(f, udp_uncaptured), 0);
    binds(f, ROOT, "10.0.0.2", 40000, 5);
    assert_int_equal(UDP_COUNTER(f, udp_uncaptured), 1);
    const struct capture_set *set = plan(f);
    assert_non_null(set);
    assert_true(port_set_has(&set->outbound, 40000));
}

static void u2_a_port_of_both(void **state)
{
    struct udp_fixture *f = *state;
    binds(f, ROOT, "10.0.0.2", 40000, 5);
    binds(f, STRANGER, "10.0.0.1", 40000, 4);
    stranger_sends(f, 40000, CAPTURE_HEAVY);
    stranger_sends(f, 41000, CAPTURE_HEAVY);
    const struct capture_set *set = plan(f);
    assert_non_null(set);
    assert_true(port_set_has(&set->outbound, 40000));
    assert_false(port_set_has(&set->outbound, 41000));
}

static void u5_everything_if_so_configured(void **state)
{
    struct engine_config config = udp_config();
    config.capture_all = true;
    struct udp_fixture *f = udp_renew(state, &config, WORLD_WITH_TABLES);
    stranger_sends(f, 40000, 100);
    f->world.now += 100000;
    assert_null(plan(f));
    assert_true(engine_of(f)->udp->capture.active.fragments);
    assert_true(port_set_has(&engine_of(f)->udp->capture.active.outbound, 40000));
    engine_renew_filter(engine_of(f));
    assert_non_null(plan(f));
}

static void u2_no_table(void **state)
{
    struct engine_config config = udp_config();
    struct udp_fixture *f = udp_renew(state, &config, WORLD_WITHOUT_TABLES);
    struct tuple t = udp4(), steered = udp_redirected(f, ROOT, &t); /* the proxy is taken to receive */
    assert_int_equal(proxy_sends(f, &steered), VERDICT_REWRITE);
    t.src_port = be16_from_host(50001);
    assert_int_equal(send_udp(f, &t), VERDICT_HOLD);
    udp_time(f, HOLD_MS);
    assert_int_equal(f->kept_count, 1);
}

static void s9_ways_around_are_told_of(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    for (uint32_t i = 0; i <= UDP_HELD_DATAGRAMS; i++) {
        send_udp(f, &t); /* the last one has no place */
    }
    for (uint16_t i = 0; i < 2; i++) { /* of nobody, again and again */
        t.src_port = be16_from_host((uint16_t)(50001 + i));
        send_udp(f, &t);
        udp_time(f, 5000);
    }
    assert_int_equal(f->world.bypassed[BYPASS_UDP_HELD_FULL], 1);
    assert_int_equal(f->world.bypassed_connections[BYPASS_UDP_HELD_FULL], 1);
    assert_int_equal(f->world.bypassed[BYPASS_UDP_OWNER_UNKNOWN], 1);
    assert_int_equal(f->world.bypassed_connections[BYPASS_UDP_OWNER_UNKNOWN], 2);
    assert_int_equal(f->world.bypassed[BYPASS_OWNER_UNKNOWN], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_UDP(u5_never_answered),
        WITH_UDP(u5_answered),
        WITH_UDP(u5_a_question_and_its_answer),
        WITH_UDP(u5_asked_again_after_the_answer),
        WITH_UDP(u5_its_port_is_not_used_again_at_once),
        WITH_UDP(u5_a_program_does_not_get_late_answers_by_its_wildcard),
        WITH_UDP(u5_full_table),
        WITH_UDP(u5_a_heavy_stranger_is_left_out),
        WITH_UDP(u2_a_left_out_port_that_the_tree_takes),
        WITH_UDP(u2_a_port_of_both),
        WITH_UDP(u5_everything_if_so_configured),
        WITH_UDP(u2_no_table),
        WITH_UDP(s9_ways_around_are_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
