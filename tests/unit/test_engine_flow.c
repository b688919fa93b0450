/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Life of a flow and of its mapping, as the engine lives it (L1, L2, L3). The table's own time-outs are in
 * test_flow.c.
 */
#include "engine_fixture.h"

enum { DAY_MS = 24 * 3600 * 1000 };

static bool live(const struct fixture *f, const struct tuple *original)
{
    enum leg leg;
    return flow_find(&f->world.engine->flows, original, &leg) != FLOW_NONE;
}

static void close_from(struct fixture *f, const struct tuple *original, const struct tuple *steered, enum leg leg)
{
    struct tuple reply = tuple_reversed(steered);
    struct segment fin = leg == LEG_FORWARD ? fin_of(original, 101, 501) : fin_of(&reply, 501, 101);
    assert_int_equal(send_segment(f, fin), VERDICT_REWRITE);
}

static void l1_l2_flow_and_mapping_live_through_days_of_silence(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), s = established(f, &t);
    for (int day = 0; day < 10; day++) {
        pass_time(f, DAY_MS);
    }
    assert_true(maps(f, 50000, &t, ROOT));
    assert_int_equal(send_segment(f, data_of(&t, 101, 501, 10)), VERDICT_REWRITE);
    assert_tuple(&f->last, &s);
}

static void l1_l2_flow_and_mapping_end_after_both_fins_and_the_linger_time(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), s = established(f, &t);
    close_from(f, &t, &s, LEG_FORWARD);
    close_from(f, &t, &s, LEG_REPLY);
    f->world.now += 1000;
    assert_int_equal(send_segment(f, ack_of(&t, 102, 502)), VERDICT_REWRITE); /* the last ACK gets through */
    assert_true(maps(f, 50000, &t, ROOT));
    pass_time(f, FLOW_LINGER_FIN_MS);
    assert_false(live(f, &t));
    assert_true(maps_nothing(f, 50000));
    assert_int_equal(f->world.flows_ended, 1);
    assert_int_equal(COUNTER(f, flows_live), 0);
    assert_int_equal(COUNTER(f, flows_total), 1);
}

static void l1_l2_a_half_closed_connection_lives_on_for_days(void **state)
{
    struct fixture *f = *state;
    for (uint16_t i = 0; i < 2; i++) {
        struct tuple t = tuple4();
        t.src_port = be16_from_host((uint16_t)(50000 + i));
        struct tuple s = established(f, &t), reply = tuple_reversed(&s);
        close_from(f, &t, &s, i ? LEG_REPLY : LEG_FORWARD);
        pass_time(f, 5ull * DAY_MS);
        assert_true(maps(f, (uint16_t)(50000 + i), &t, ROOT));
        assert_int_equal(send_segment(f, i ? data_of(&t, 101, 502, 10) : data_of(&reply, 501, 102, 10)),
                         VERDICT_REWRITE);
    }
}

static void l1_a_reset_from_either_end_ends_the_flow(void **state)
{
    struct fixture *f = *state;
    for (uint16_t i = 0; i < 2; i++) {
        struct tuple t = tuple6(), s = established(f, &t), reply = tuple_reversed(&s);
        assert_int_equal(send_segment(f, i ? rst_of(&reply, 501, 101) : rst_of(&t, 101, 501)), VERDICT_REWRITE);
        pass_time(f, FLOW_LINGER_RST_MS);
        assert_false(live(f, &t));
        assert_true(maps_nothing(f, 50000));
        assert_int_equal(f->world.flows_ended, i + 1);
    }
}

static void l1_an_unanswered_syn_ends_its_flow(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    redirected(f, ROOT, &t, 100);
    f->world.now += 3000;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    pass_time(f, FLOW_OPENING_MS - 1);
    assert_true(maps(f, 50000, &t, ROOT));
    pass_time(f, 1);
    assert_true(maps_nothing(f, 50000));
    assert_int_equal(COUNTER(f, flows_live), 0);
}

static void l1_a_retransmitted_syn_is_the_same_flow(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), s = redirected(f, ROOT, &t, 100);
    for (int i = 0; i < 3; i++) {
        f->world.now += 1000;
        assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
        assert_tuple(&f->last, &s);
    }
    assert_int_equal(f->world.flows_begun, 1);
    assert_int_equal(COUNTER(f, flows_total), 1);
}

static void l1_a_new_syn_on_an_old_tuple_is_a_new_flow(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    established(f, &t);
    connects(f, CHILD, &t);
    assert_int_equal(send_syn(f, &t, 7777), VERDICT_REWRITE);
    assert_true(maps(f, 50000, &t, CHILD));
    assert_int_equal(f->world.flows_begun, 2);
    assert_int_equal(f->world.flows_ended, 1);
    assert_int_equal(COUNTER(f, flows_live), 1);
}

static void l1_a_new_syn_of_a_stranger_on_an_old_tuple_passes(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    established(f, &t);
    connects(f, STRANGER, &t);
    assert_int_equal(send_syn(f, &t, 7777), VERDICT_PASS);
    assert_true(maps_nothing(f, 50000));
    assert_int_equal(send_segment(f, data_of(&t, 7778, 1, 10)), VERDICT_PASS);
}

/* Windows tries a refused SYN again, twice, half a second apart, with the same ISN. */
static void l1_a_connection_that_succeeds_after_a_refusal_lives(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), s = redirected(f, ROOT, &t, 100), reply = tuple_reversed(&s);
    assert_int_equal(send_segment(f, rst_of(&reply, 0, 101)), VERDICT_REWRITE);
    pass_time(f, 500);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    hand_shake(f, &t, &s); /* the proxy listens now */
    pass_time(f, 500);
    pass_time(f, 60000);
    assert_true(maps(f, 50000, &t, ROOT));
    assert_int_equal(send_segment(f, data_of(&t, 101, 501, 10)), VERDICT_REWRITE);
}

static void l2_delete_is_for_good_and_leaves_the_flow_running(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), s = redirected(f, ROOT, &t, 100), reply = tuple_reversed(&s);
    assert_true(destinations_delete(engine_destinations(f->world.engine), 50000, NULL, NULL));
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    hand_shake(f, &t, &s);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_segment(f, data_of(&t, 101, 501, 10)), VERDICT_REWRITE);
        assert_int_equal(send_segment(f, data_of(&reply, 501, 111, 10)), VERDICT_REWRITE);
        pass_time(f, 1000);
        assert_true(maps_nothing(f, 50000));
    }
    connects(f, CHILD, &t); /* the next connection is another matter */
    assert_int_equal(send_syn(f, &t, 7777), VERDICT_REWRITE);
    assert_true(maps(f, 50000, &t, CHILD));
}

static void l2_the_end_of_a_flow_leaves_the_mapping_of_another_alone(void **state)
{
    struct fixture *f = *state;
    struct tuple a = tuple4(), b = tuple6();
    established(f, &a);
    struct tuple sb = established(f, &b);
    assert_int_equal(send_segment(f, rst_of(&a, 101, 501)), VERDICT_REWRITE);
    pass_time(f, FLOW_LINGER_RST_MS);
    assert_true(maps_nothing(f, 50000));
    assert_true(maps(f, source_port(&sb), &b, ROOT));
}

static struct fixture *new_bounded(void **state, uint32_t max_flows)
{
    struct engine_config config = fixture_config();
    config.max_flows = max_flows;
    return fixture_renew(state, &config);
}

static struct tuple nth_tuple(uint32_t n)
{
    struct tuple t = tuple4();
    t.src_port = be16_from_host((uint16_t)(50000 + n));
    return t;
}

static void l3_beyond_the_bound_new_connections_pass_and_are_counted(void **state)
{
    struct fixture *f = new_bounded(state, 4);
    for (uint32_t n = 0; n < 4; n++) {
        struct tuple t = nth_tuple(n);
        established(f, &t);
    }
    struct tuple t = nth_tuple(4);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(send_segment(f, ack_of(&t, 101, 1)), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flow_table_full), 1);
    assert_int_equal(COUNTER(f, flows_live), 4);
    assert_true(maps_nothing(f, 50004));

    t = nth_tuple(5); /* held, and then there is no room */
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    connects(f, ROOT, &t);
    assert_int_equal(f->injected_count, 1);
    assert_tuple(f->injected[0], &t);
    assert_int_equal(COUNTER(f, flow_table_full), 2);
    for (uint32_t n = 0; n < 4; n++) {
        t = nth_tuple(n);
        assert_int_equal(send_segment(f, data_of(&t, 101, 501, 10)), VERDICT_REWRITE);
    }
}

static void l3_closing_flows_make_room(void **state)
{
    struct fixture *f = new_bounded(state, 4);
    struct tuple steered[4];
    for (uint32_t n = 0; n < 4; n++) {
        struct tuple t = nth_tuple(n);
        steered[n] = established(f, &t);
    }
    struct tuple closing = nth_tuple(2), fresh = nth_tuple(9);
    close_from(f, &closing, &steered[2], LEG_FORWARD);
    close_from(f, &closing, &steered[2], LEG_REPLY);
    redirected(f, ROOT, &fresh, 100);
    assert_false(live(f, &closing));
    assert_int_equal(COUNTER(f, flow_table_full), 0);
    assert_int_equal(COUNTER(f, flows_live), 4);
}

/* A flow that passed for want of room must not be caught in mid-connection when room is there. */
static void l3_what_passed_for_want_of_room_stays_unredirected(void **state)
{
    struct fixture *f = new_bounded(state, 1);
    struct tuple first = nth_tuple(0), second = nth_tuple(1);
    established(f, &first);
    connects(f, ROOT, &second);
    assert_int_equal(send_syn(f, &second, 100), VERDICT_PASS);
    assert_int_equal(send_segment(f, rst_of(&first, 101, 501)), VERDICT_REWRITE);
    pass_time(f, FLOW_LINGER_RST_MS);
    assert_int_equal(send_syn(f, &second, 100), VERDICT_PASS); /* its SYN-ACK may be on the way */
    assert_int_equal(send_segment(f, ack_of(&second, 101, 1)), VERDICT_PASS);
}

static void s6_bytes_and_packets_are_counted_by_direction(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), s = established(f, &t), reply = tuple_reversed(&s);
    send_segment(f, data_of(&t, 101, 501, 1000));
    send_segment(f, data_of(&reply, 501, 1101, 30000));
    enum leg leg;
    const struct flow *flow = flow_at(&f->world.engine->flows, flow_find(&f->world.engine->flows, &t, &leg));
    assert_int_equal(flow->bytes[LEG_FORWARD], 1000);
    assert_int_equal(flow->bytes[LEG_REPLY], 30000);
    assert_int_equal(flow->packets[LEG_FORWARD], 3);
    assert_int_equal(flow->packets[LEG_REPLY], 2);
}

/* The refusal's sequence number is 0 and has nothing to do with those of the connection that follows. */
static void s6_bytes_are_counted_right_after_a_refusal(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), s = redirected(f, ROOT, &t, 100), reply = tuple_reversed(&s);
    assert_int_equal(send_segment(f, rst_of(&reply, 0, 101)), VERDICT_REWRITE);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    hand_shake(f, &t, &s);
    send_segment(f, data_of(&reply, 501, 101, 10));
    enum leg leg;
    const struct flow *flow = flow_at(&f->world.engine->flows, flow_find(&f->world.engine->flows, &t, &leg));
    assert_int_equal(flow->bytes[LEG_REPLY], 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(l1_l2_flow_and_mapping_live_through_days_of_silence),
        WITH_ENGINE(l1_l2_flow_and_mapping_end_after_both_fins_and_the_linger_time),
        WITH_ENGINE(l1_l2_a_half_closed_connection_lives_on_for_days),
        WITH_ENGINE(l1_a_reset_from_either_end_ends_the_flow),
        WITH_ENGINE(l1_an_unanswered_syn_ends_its_flow),
        WITH_ENGINE(l1_a_retransmitted_syn_is_the_same_flow),
        WITH_ENGINE(l1_a_new_syn_on_an_old_tuple_is_a_new_flow),
        WITH_ENGINE(l1_a_new_syn_of_a_stranger_on_an_old_tuple_passes),
        WITH_ENGINE(l1_a_connection_that_succeeds_after_a_refusal_lives),
        WITH_ENGINE(l2_delete_is_for_good_and_leaves_the_flow_running),
        WITH_ENGINE(l2_the_end_of_a_flow_leaves_the_mapping_of_another_alone),
        WITH_ENGINE(l3_beyond_the_bound_new_connections_pass_and_are_counted),
        WITH_ENGINE(l3_closing_flows_make_room),
        WITH_ENGINE(l3_what_passed_for_want_of_room_stays_unredirected),
        WITH_ENGINE(s6_bytes_and_packets_are_counted_by_direction),
        WITH_ENGINE(s6_bytes_are_counted_right_after_a_refusal),
    };
    return cmocka_run_group_tests_name("engine: flows", tests, NULL, NULL);
}
