/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A SYN and its CONNECT event, in every order and with either missing (O2). */
#include "engine_fixture.h"

/* The injected packet is the very packet that `s` describes, with its meta. */
static bool injected_unchanged(const struct fixture *f, uint32_t n, struct segment s)
{
    struct made *m = make_new(&s);
    bool same = f->injected_count > n && f->injected[n]->length == m->length &&
                !memcmp(f->injected[n]->bytes, m->bytes, m->length) && meta_equal(&f->injected[n]->meta, &m->meta);
    free(m);
    return same;
}

/* The injected packet is what `s` becomes when it is redirected. */
static void check_injected_redirected(const struct fixture *f, uint32_t n, struct segment s)
{
    assert_true(f->injected_count > n);
    struct made *m = make_new(&s);
    check_rewritten(m, f->injected[n]);
    struct tuple is = tuple_in(f->injected[n]);
    assert_int_equal(be16_to_host(is.dst_port), PROXY_PORT);
    assert_true(f->mapped_when_injected[n]); /* the proxy can never ask too early */
    assert_true(maps(f, source_port(&is), &s.tuple, ROOT));
    free(m);
}

static void o2_event_before_syn_decides_at_once(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), other = tuple6();
    connects(f, ROOT, &t);
    connects(f, STRANGER, &other);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    assert_int_equal(send_syn(f, &other, 100), VERDICT_PASS);
    assert_int_equal(f->world.owner_asked, 0);
    assert_int_equal(f->injected_count, 0);
}

static void o2_event_waits_a_few_seconds_for_its_syn(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    connects(f, ROOT, &t);
    pass_time(f, 3000);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
}

static void o2_an_event_whose_syn_never_came_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    connects(f, ROOT, &t);
    pass_time(f, 60000);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD); /* of whom, nobody knows */
}

static void o2_syn_before_event_is_held_and_then_redirected(void **state)
{
    struct fixture *f = *state;
    struct tuple tuples[] = {tuple4(), tuple6()};
    tuples[1].src_port = be16_from_host(50001);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(send_syn(f, &tuples[i], 100), VERDICT_HOLD);
        assert_int_equal(f->injected_count, i);
        f->world.now += 10;
        connects(f, ROOT, &tuples[i]);
        check_injected_redirected(f, i, syn_of(&tuples[i], 100));
        struct tuple steered = tuple_in(f->injected[i]);
        hand_shake(f, &tuples[i], &steered);
    }
    pass_time(f, 1000);
    assert_int_equal(f->injected_count, 2); /* each once */
}

static void o2_syn_before_event_of_a_stranger_passes_unchanged(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    f->world.now += 10;
    connects(f, STRANGER, &t);
    assert_true(injected_unchanged(f, 0, syn_of(&t, 100)));
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    pass_time(f, 1000);
    assert_int_equal(f->injected_count, 1);
    assert_int_equal(COUNTER(f, hold_timeouts), 0);
}

static void o2_event_lost_and_owner_in_the_tcp_table_is_redirected(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    f->world.owner = ROOT;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    for (int ms = 0; ms < HOLD_MS - 1 && !f->injected_count; ms++) {
        pass_time(f, 1);
    }
    check_injected_redirected(f, 0, syn_of(&t, 100));
    assert_int_equal(f->world.owner_asked, 1);
    assert_true(tuple_equal(&f->world.owner_tuple, &t));
}

static void o2_event_lost_and_owner_a_stranger_passes_unchanged(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    f->world.owner = STRANGER;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    for (int ms = 0; ms < HOLD_MS - 1 && !f->injected_count; ms++) {
        pass_time(f, 1);
    }
    assert_true(injected_unchanged(f, 0, syn_of(&t, 100)));
}

static void o2_event_lost_and_owner_unknown_passes_unchanged_at_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple6();
    struct segment s = syn_of(&t, 100);
    s.payload = 99;
    s.ip_options = 16;
    assert_int_equal(send_segment(f, s), VERDICT_HOLD);
    pass_time(f, HOLD_MS - 1);
    assert_int_equal(f->injected_count, 0);
    pass_time(f, 1);
    assert_true(injected_unchanged(f, 0, s));
    assert_int_equal(COUNTER(f, hold_timeouts), 1);
    assert_int_equal(f->world.owner_asked, 1); /* once, not at every tick */
    pass_time(f, 1000);
    assert_int_equal(f->injected_count, 1);
}

/* Whatever the flags of a held packet are, they are as they were when it leaves. */
static void o2_o5_meta_of_a_held_packet_is_kept(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    for (uint32_t i = 0; i < 16; i++) {
        t.src_port = be16_from_host((uint16_t)(50000 + i));
        struct segment s = syn_of(&t, 100);
        make(&f->last, &s);
        f->last.meta = (struct packet_meta){
            .if_index = 70 + i,
            .sub_if_index = 30 + i,
            .outbound = true,
            .loopback = i & 1,
            .impostor = i & 2,
            .ip_checksum_valid = i & 4,
            .transport_checksum_valid = i & 8,
        };
        assert_int_equal(send_packet(f, &f->last), VERDICT_HOLD);
        pass_time(f, HOLD_MS);
        assert_int_equal(f->injected_count, i + 1);
        assert_true(meta_equal(&f->injected[i]->meta, &f->last.meta));
        assert_memory_equal(f->injected[i]->bytes, f->last.bytes, f->last.length);
    }
}

/* A thread that was kept busy ticks late. The table is asked all the same: an answer may be there. */
static void o2_a_late_tick_asks_the_tcp_table_before_it_gives_up(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    f->world.owner = ROOT;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS + 10);
    assert_int_equal(f->world.owner_asked, 1);
    check_injected_redirected(f, 0, syn_of(&t, 100));
}

static void o2_a_late_event_does_not_redirect_in_mid_handshake(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    assert_true(injected_unchanged(f, 0, syn_of(&t, 100)));
    f->world.now += 10;
    connects_late(f, ROOT, &t);
    for (int i = 0; i < 3; i++) {
        f->world.now += 500;
        assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    }
    assert_int_equal(send_segment(f, ack_of(&t, 101, 9001)), VERDICT_PASS);
    assert_int_equal(send_segment(f, data_of(&t, 101, 9001, 100)), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flows_total), 0);
    assert_true(maps_nothing(f, 50000));
}

/* Windows retransmits a SYN after 1, 3 and 7 s; its event may come as late as it likes. */
static void o2_what_passed_at_the_deadline_passes_at_every_retransmission(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    connects_late(f, ROOT, &t);
    static const uint32_t waits[] = {1000, 2000, 4000, 8000};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        pass_time(f, waits[i]);
        assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    }
}

static void o2_a_new_connection_after_a_late_event_is_redirected(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    connects_late(f, ROOT, &t); /* too late for ISN 100 */
    f->world.now += 100;
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 777), VERDICT_REWRITE);
}

static void o2_a_retransmission_while_held_makes_no_second_flow(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    f->world.now += 5;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP);
    f->world.now += 5;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP);
    connects(f, ROOT, &t);
    assert_int_equal(f->injected_count, 1);
    assert_int_equal(COUNTER(f, flows_total), 1);
    assert_int_equal(COUNTER(f, packets_dropped), 2);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE); /* and later ones belong to the same */
    assert_int_equal(COUNTER(f, flows_total), 1);
}

static void o2_a_retransmission_does_not_prolong_the_holding(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    f->world.now += HOLD_MS - 1;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP);
    pass_time(f, 1);
    assert_int_equal(f->injected_count, 1);
}

static void o2_the_same_tuple_at_once_with_another_isn_is_another_connection(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    f->world.now += 5;
    assert_int_equal(send_syn(f, &t, 777), VERDICT_HOLD); /* the first attempt is over */
    connects(f, ROOT, &t);
    assert_int_equal(f->injected_count, 1);
    check_injected_redirected(f, 0, syn_of(&t, 777));

    /* And once more, after it was redirected: by a stranger now, whose event is the slower one again. */
    assert_int_equal(send_syn(f, &t, 4242), VERDICT_HOLD);
    assert_true(maps_nothing(f, 50000)); /* the old flow is over */
    connects(f, STRANGER, &t);
    assert_true(injected_unchanged(f, 1, syn_of(&t, 4242)));
    assert_int_equal(f->world.flows_ended, 1);
}

static void o2_a_used_verdict_is_not_for_another_isn(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    connects(f, STRANGER, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(send_syn(f, &t, 777), VERDICT_HOLD); /* the tree may have the port now */
    connects(f, ROOT, &t);
    check_injected_redirected(f, 0, syn_of(&t, 777));
}

static void o2_what_finds_no_room_to_be_held_passes(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    struct segment big = syn_of(&t, 100);
    big.payload = PENDING_HELD_PACKET_MAX;
    assert_int_equal(send_segment(f, big), VERDICT_PASS);
    assert_int_equal(COUNTER(f, hold_overflows), 1);

    for (uint32_t i = 0; i < PENDING_HELD_MAX; i++) {
        t.src_port = be16_from_host((uint16_t)(1000 + i));
        assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    }
    t.src_port = be16_from_host(60000);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, hold_overflows), 2);
    pass_time(f, HOLD_MS);
    assert_int_equal(f->injected_count, PENDING_HELD_MAX);
    for (uint32_t i = 0; i < PENDING_HELD_MAX; i++) { /* oldest first, none lost, none twice */
        t.src_port = be16_from_host((uint16_t)(1000 + i));
        assert_true(injected_unchanged(f, i, syn_of(&t, 100)));
    }
    t.src_port = be16_from_host(60001);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
}

/* Ticks only when the engine asks for them. */
static void o2_ticks_when_asked_for_are_enough_to_keep_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct rng r = {.state = 0x5eed0040};
    uint64_t deadline[200], next_tick = f->world.now;
    uint32_t out = 0, in = 0;
    while (out < 200) {
        if (f->world.now >= next_tick) {
            engine_tick(f->world.engine, f->world.now);
            world_settle(&f->world);
        }
        if (in < 200 && rng_below(&r, 5) == 0) {
            struct tuple t = tuple4();
            t.src_port = be16_from_host((uint16_t)(1000 + in));
            assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
            deadline[in++] = f->world.now + HOLD_MS;
        }
        for (; out < f->injected_count; out++) {
            assert_true(f->world.now <= deadline[out]);
        }
        assert_true(out == in || f->world.now < deadline[out]);
        next_tick = f->world.now + engine_next_tick_ms(f->world.engine, f->world.now);
        f->world.now++;
    }
    assert_int_equal(f->world.owner_asked, 200);
    assert_in_range(engine_next_tick_ms(f->world.engine, f->world.now), 1, 1000); /* idle: neither busy nor asleep */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(o2_event_before_syn_decides_at_once),
        WITH_ENGINE(o2_event_waits_a_few_seconds_for_its_syn),
        WITH_ENGINE(o2_an_event_whose_syn_never_came_is_forgotten),
        WITH_ENGINE(o2_syn_before_event_is_held_and_then_redirected),
        WITH_ENGINE(o2_syn_before_event_of_a_stranger_passes_unchanged),
        WITH_ENGINE(o2_event_lost_and_owner_in_the_tcp_table_is_redirected),
        WITH_ENGINE(o2_event_lost_and_owner_a_stranger_passes_unchanged),
        WITH_ENGINE(o2_event_lost_and_owner_unknown_passes_unchanged_at_the_deadline),
        WITH_ENGINE(o2_o5_meta_of_a_held_packet_is_kept),
        WITH_ENGINE(o2_a_late_tick_asks_the_tcp_table_before_it_gives_up),
        WITH_ENGINE(o2_a_late_event_does_not_redirect_in_mid_handshake),
        WITH_ENGINE(o2_what_passed_at_the_deadline_passes_at_every_retransmission),
        WITH_ENGINE(o2_a_new_connection_after_a_late_event_is_redirected),
        WITH_ENGINE(o2_a_retransmission_while_held_makes_no_second_flow),
        WITH_ENGINE(o2_a_retransmission_does_not_prolong_the_holding),
        WITH_ENGINE(o2_the_same_tuple_at_once_with_another_isn_is_another_connection),
        WITH_ENGINE(o2_a_used_verdict_is_not_for_another_isn),
        WITH_ENGINE(o2_what_finds_no_room_to_be_held_passes),
        WITH_ENGINE(o2_ticks_when_asked_for_are_enough_to_keep_the_deadline),
    };
    return cmocka_run_group_tests_name("engine: held SYNs", tests, NULL, NULL);
}
