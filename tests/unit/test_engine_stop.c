/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Stopping (S2): no new flow, held SYNs pass, flows are reset at both ends or left alone, everything else goes on. */
#include "engine_fixture.h"

static uint32_t seq_in(const struct made *m)
{
    return wire32(m->bytes + m->tcp_offset + 4);
}

static uint32_t ack_in(const struct made *m)
{
    return wire32(m->bytes + m->tcp_offset + 8);
}

static uint8_t flags_in(const struct made *m)
{
    return m->bytes[m->tcp_offset + 13];
}

/* A reset with this tuple was injected that its receiver takes: he is connected and expects exactly this number. */
static const struct made *find_reset(const struct fixture *f, const struct tuple *t, uint32_t expected)
{
    for (uint32_t i = 0; i < f->injected_count; i++) {
        const struct made *m = f->injected[i];
        struct tuple is = tuple_in(m);
        if (tuple_equal(&is, t) && flags_in(m) & TCP_RST && seq_in(m) == expected) {
            assert_true(ip_checksum_right(m) && tcp_checksum_right(m));
            assert_true(m->meta.ip_checksum_valid && m->meta.transport_checksum_valid);
            return m;
        }
    }
    return NULL;
}

/* A reset that a program takes which still waits for an answer to its SYN (ISN 100): it must acknowledge that. */
static const struct made *find_refusal(const struct fixture *f, const struct tuple *t)
{
    for (uint32_t i = 0; i < f->injected_count; i++) {
        const struct made *m = f->injected[i];
        struct tuple is = tuple_in(m);
        if (tuple_equal(&is, t) && flags_in(m) == (TCP_RST | TCP_ACK) && ack_in(m) == 101) {
            return m;
        }
    }
    return NULL;
}

static void stop(struct fixture *f, bool reset)
{
    engine_stop(f->world.engine, reset, f->world.now);
    check_balance(f);
}

static void s2_stop_resets_a_flow_at_both_ends(void **state)
{
    struct fixture *f = *state;
    struct tuple originals[] = {tuple4(), tuple6()};
    for (uint16_t i = 0; i < 2; i++) {
        originals[i].src_port = be16_from_host((uint16_t)(50000 + i));
        struct tuple s = established(f, &originals[i]), reply = tuple_reversed(&s);
        send_segment(f, data_of(&originals[i], 101, 501, 1000));
        send_segment(f, data_of(&reply, 501, 1101, 3000));
        send_segment(f, ack_of(&originals[i], 1101, 3501));
    }
    stop(f, true);
    for (uint16_t i = 0; i < 2; i++) {
        struct tuple back = tuple_reversed(&originals[i]);
        struct tuple s =
            i ? tuple_of("::1", 50001, "::1", PROXY_PORT) : tuple_of("127.0.0.1", 50000, "127.0.0.1", PROXY_PORT);
        const struct made *to_proxy = find_reset(f, &s, 1101), *to_program = find_reset(f, &back, 3501);
        assert_non_null(to_proxy);
        assert_non_null(to_program);
        assert_true(to_proxy->meta.outbound);
        assert_false(to_program->meta.outbound);
        assert_int_equal(to_program->meta.if_index, 7); /* inbound injection needs the interface */
        assert_int_equal(to_program->meta.sub_if_index, 3);
    }
    assert_int_equal(f->injected_count, 4);
}

static void s2_a_flow_within_the_machine_is_reset_outbound(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of("127.0.0.1", 50000, "127.0.0.1", 3000), back = tuple_reversed(&t);
    f->loopback = true;
    struct tuple s = established(f, &t);
    stop(f, true);
    const struct made *to_proxy = find_reset(f, &s, 101), *to_program = find_reset(f, &back, 501);
    assert_non_null(to_proxy);
    assert_non_null(to_program);
    assert_true(to_proxy->meta.outbound);
    assert_true(to_program->meta.outbound);
}

static void s2_a_reflected_flow_is_reset_inbound(void **state)
{
    struct engine_config config = fixture_config();
    config.reflect = true;
    struct fixture *f = fixture_renew(state, &config);
    struct tuple t = tuple4(), back = tuple_reversed(&t), s = established(f, &t);
    stop(f, true);
    const struct made *to_proxy = find_reset(f, &s, 101), *to_program = find_reset(f, &back, 501);
    assert_non_null(to_proxy);
    assert_non_null(to_program);
    assert_false(to_proxy->meta.outbound);
    assert_false(to_program->meta.outbound);
    assert_int_equal(to_proxy->meta.if_index, 7);
}

/*
 * Data is on its way when we stop: whether it arrives before the reset or not, one of the numbers is the
 * expected one.
 */
static void s2_data_in_flight_does_not_save_a_flow_from_its_reset(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), back = tuple_reversed(&t), s = established(f, &t), reply = tuple_reversed(&s);
    send_segment(f, data_of(&t, 101, 501, 1000));
    send_segment(f, data_of(&reply, 501, 101, 3000));
    stop(f, true);
    assert_non_null(find_reset(f, &s, 101));
    assert_non_null(find_reset(f, &s, 1101));
    assert_non_null(find_reset(f, &back, 501));
    assert_non_null(find_reset(f, &back, 3501));
}

static void s2_packets_of_a_reset_flow_are_dropped_and_tell_the_number(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), back = tuple_reversed(&t), s = established(f, &t), reply = tuple_reversed(&s);
    stop(f, true);
    fixture_forget_injected(f);
    assert_int_equal(send_segment(f, data_of(&t, 101, 4711, 1000)), VERDICT_DROP);
    assert_int_equal(f->injected_count, 1);
    assert_non_null(find_reset(f, &back, 4711)); /* he expects 4711 next */
    assert_int_equal(send_segment(f, ack_of(&reply, 501, 815)), VERDICT_DROP);
    assert_int_equal(f->injected_count, 2);
    assert_non_null(find_reset(f, &s, 815));
}

static void s2_a_reset_is_not_answered_by_a_reset(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    established(f, &t);
    stop(f, true);
    fixture_forget_injected(f);
    assert_int_equal(send_segment(f, rst_of(&t, 101, 501)), VERDICT_DROP);
    assert_int_equal(f->injected_count, 0);
}

static void s2_an_unanswered_connection_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), back = tuple_reversed(&t);
    redirected(f, ROOT, &t, 100);
    stop(f, true);
    const struct made *m = find_refusal(f, &back);
    assert_non_null(m);
    assert_true(ip_checksum_right(m) && tcp_checksum_right(m));
    assert_int_equal(f->injected_count, 1); /* the proxy has answered nothing yet */
}

/*
 * The proxy's answer has passed us: the program may have it, then it expects 501; or not yet, then it wants its
 * SYN acknowledged.
 */
static void s2_a_program_whose_answer_is_on_its_way_is_reset_in_either_state(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), back = tuple_reversed(&t), s = redirected(f, ROOT, &t, 100), reply = tuple_reversed(&s);
    assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    stop(f, true);
    assert_non_null(find_reset(f, &s, 101));
    assert_non_null(find_refusal(f, &back));
    assert_non_null(find_reset(f, &back, 501));
}

static void s2_the_first_ack_of_a_program_after_stop_draws_a_reset_that_it_takes(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), back = tuple_reversed(&t), s = redirected(f, ROOT, &t, 100), reply = tuple_reversed(&s);
    assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    stop(f, true);
    fixture_forget_injected(f);
    assert_int_equal(send_segment(f, ack_of(&t, 101, 501)), VERDICT_DROP);
    assert_non_null(find_reset(f, &back, 501));
}

static void s2_the_proxys_first_answer_after_stop_draws_a_reset_that_it_takes(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), s = redirected(f, ROOT, &t, 100), reply = tuple_reversed(&s);
    stop(f, true);
    fixture_forget_injected(f);
    assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, 101)), VERDICT_DROP);
    assert_non_null(find_reset(f, &s, 101));
}

static void s2_no_new_flow_after_stop(void **state)
{
    struct fixture *f = *state;
    struct tuple early = tuple4(), late = tuple6();
    connects(f, ROOT, &early);
    stop(f, true);
    assert_int_equal(send_syn(f, &early, 100), VERDICT_PASS);
    connects(f, ROOT, &late);
    assert_int_equal(send_syn(f, &late, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flows_total), 0);
    assert_int_equal(f->injected_count, 0);
}

/* It is another connection than the one that was reset (L1), so it is none of ours any more. */
static void s2_a_new_connection_on_the_tuple_of_a_stopped_flow_passes(void **state)
{
    for (int reset = 0; reset < 2; reset++) {
        struct engine_config config = fixture_config();
        struct fixture *f = fixture_renew(state, &config);
        struct tuple t = tuple4();
        established(f, &t);
        stop(f, reset);
        assert_int_equal(send_syn(f, &t, 7777), VERDICT_PASS);
        assert_int_equal(send_segment(f, ack_of(&t, 7778, 1)), VERDICT_PASS);
    }
}

static void s2_held_syns_pass_unchanged_at_stop(void **state)
{
    struct fixture *f = *state;
    struct tuple a = tuple4(), b = tuple6();
    f->world.owner = ROOT;
    assert_int_equal(send_syn(f, &a, 100), VERDICT_HOLD);
    assert_int_equal(send_syn(f, &b, 200), VERDICT_HOLD);
    stop(f, true);
    assert_int_equal(f->injected_count, 2);
    struct segment s = syn_of(&a, 100);
    make(&f->last, &s);
    assert_int_equal(f->injected[0]->length, f->last.length);
    assert_memory_equal(f->injected[0]->bytes, f->last.bytes, f->last.length);
    assert_true(meta_equal(&f->injected[0]->meta, &f->last.meta));
    assert_tuple(f->injected[1], &b);
    assert_int_equal(COUNTER(f, flows_total), 0);
}

static void s2_flows_may_be_left_without_a_reset(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), s = established(f, &t), reply = tuple_reversed(&s), fresh = tuple6();
    stop(f, false);
    assert_int_not_equal(send_segment(f, data_of(&t, 101, 501, 10)), VERDICT_DROP);
    assert_int_not_equal(send_segment(f, data_of(&reply, 501, 111, 10)), VERDICT_DROP);
    assert_int_equal(f->injected_count, 0);
    connects(f, ROOT, &fresh);
    assert_int_equal(send_syn(f, &fresh, 100), VERDICT_PASS);
}

static void s6_after_stop_no_flow_is_live_and_the_end_of_each_was_told(void **state)
{
    for (int reset = 0; reset < 2; reset++) {
        struct engine_config config = fixture_config();
        struct fixture *f = fixture_renew(state, &config);
        struct tuple a = tuple4(), b = tuple6();
        established(f, &a);
        redirected(f, ROOT, &b, 100);
        stop(f, reset);
        pass_time(f, 3600000);
        assert_int_equal(COUNTER(f, flows_live), 0);
        assert_int_equal(f->world.flows_begun, 2);
        assert_int_equal(f->world.flows_ended, 2);
    }
}

static void l2_after_stop_every_lookup_misses(void **state)
{
    for (int reset = 0; reset < 2; reset++) {
        struct engine_config config = fixture_config();
        struct fixture *f = fixture_renew(state, &config);
        struct tuple a = tuple4(), b = tuple6();
        struct tuple sa = established(f, &a), sb = established(f, &b);
        stop(f, reset);
        assert_true(maps_nothing(f, source_port(&sa)) && maps_nothing(f, source_port(&sb)));
        send_segment(f, data_of(&a, 101, 501, 10));
        assert_true(maps_nothing(f, source_port(&sa)));
    }
}

static void s2_stop_twice_is_once(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    established(f, &t);
    stop(f, true);
    uint32_t injected = f->injected_count;
    stop(f, true);
    stop(f, false);
    assert_int_equal(f->injected_count, injected);
    assert_int_equal(send_segment(f, data_of(&t, 101, 501, 10)), VERDICT_DROP);
}

static void s2_other_packets_still_pass_after_stop(void **state)
{
    struct fixture *f = *state;
    struct tuple ours = tuple4(), theirs = tuple6();
    established(f, &ours);
    stop(f, true);
    assert_int_equal(send_segment(f, data_of(&theirs, 101, 501, 10)), VERDICT_PASS);
    assert_int_equal(send_syn(f, &theirs, 1), VERDICT_PASS);
    pass_time(f, 1000);
}

static void s2_direct_connections_to_the_proxy_are_left_alone_where_possible(void **state)
{
    struct fixture *f = *state;
    struct tuple direct = tuple_of("127.0.0.1", 50000, "127.0.0.1", PROXY_PORT);
    f->loopback = true;
    send_syn(f, &direct, 100);
    stop(f, true);
    assert_int_equal(f->injected_count, 0);
    assert_int_equal(send_segment(f, data_of(&direct, 101, 501, 10)), VERDICT_PASS);
}

static void s2_a_direct_connection_with_a_substituted_port_cannot_go_on_and_is_reset(void **state)
{
    struct fixture *f = *state;
    struct tuple flow = tuple4(), direct = tuple_of("127.0.0.1", 50000, "127.0.0.1", PROXY_PORT);
    established(f, &flow);
    f->loopback = true;
    send_syn(f, &direct, 100);
    struct tuple seen = tuple_in(&f->last), back = tuple_reversed(&direct);
    hand_shake(f, &direct, &seen);
    stop(f, true);
    assert_non_null(find_reset(f, &seen, 101));
    assert_non_null(find_reset(f, &back, 501));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(s2_stop_resets_a_flow_at_both_ends),
        WITH_ENGINE(s2_a_flow_within_the_machine_is_reset_outbound),
        WITH_ENGINE(s2_a_reflected_flow_is_reset_inbound),
        WITH_ENGINE(s2_data_in_flight_does_not_save_a_flow_from_its_reset),
        WITH_ENGINE(s2_packets_of_a_reset_flow_are_dropped_and_tell_the_number),
        WITH_ENGINE(s2_a_reset_is_not_answered_by_a_reset),
        WITH_ENGINE(s2_an_unanswered_connection_is_refused),
        WITH_ENGINE(s2_a_program_whose_answer_is_on_its_way_is_reset_in_either_state),
        WITH_ENGINE(s2_the_first_ack_of_a_program_after_stop_draws_a_reset_that_it_takes),
        WITH_ENGINE(s2_the_proxys_first_answer_after_stop_draws_a_reset_that_it_takes),
        WITH_ENGINE(s2_no_new_flow_after_stop),
        WITH_ENGINE(s2_a_new_connection_on_the_tuple_of_a_stopped_flow_passes),
        WITH_ENGINE(s2_held_syns_pass_unchanged_at_stop),
        WITH_ENGINE(s2_flows_may_be_left_without_a_reset),
        WITH_ENGINE(s6_after_stop_no_flow_is_live_and_the_end_of_each_was_told),
        WITH_ENGINE(l2_after_stop_every_lookup_misses),
        WITH_ENGINE(s2_stop_twice_is_once),
        WITH_ENGINE(s2_other_packets_still_pass_after_stop),
        WITH_ENGINE(s2_direct_connections_to_the_proxy_are_left_alone_where_possible),
        WITH_ENGINE(s2_a_direct_connection_with_a_substituted_port_cannot_go_on_and_is_reset),
    };
    return cmocka_run_group_tests_name("engine: stop", tests, NULL, NULL);
}
