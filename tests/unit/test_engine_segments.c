/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Larger segments from the proxy to the program (O6). */
#include "engine_fixture.h"

enum { MSS = 1460, LARGE = 40000, NOPS = 1 };

static struct tuple of_family(int i)
{
    return i ? tuple6() : tuple4();
}

/* A SYN with an MSS option behind so many no-operations. */
static struct made *syn_with_mss(const struct tuple *t, uint16_t mss, uint32_t nops)
{
    struct segment s = syn_of(t, 100);
    struct made *m = make_new(&s);
    uint8_t *option = m->bytes + m->tcp_offset + 20 + nops;
    option[0] = 2;
    option[1] = 4;
    put16(option + 2, mss);
    seal(m);
    return m;
}

/* What the proxy is told. */
static struct tuple told_to; /* where that SYN went */

static uint16_t mss_told(struct fixture *f, uint32_t pid, const struct tuple *t, uint16_t mss, uint32_t nops)
{
    struct made *m = syn_with_mss(t, mss, nops);
    m->meta.loopback = f->loopback;
    connects(f, pid, t);
    send_packet(f, m);
    uint16_t told = wire16(mss_in(m));
    told_to = tuple_in(m);
    free(m);
    return told;
}

static void o6_a_syn_states_what_loopback_carries(void **state)
{
    struct fixture *f = *state;
    for (uint32_t nops = 0; nops <= 8; nops++) {
        for (int i = 0; i < 2; i++) {
            struct tuple t = of_family(i);
            t.src_port = be16_from_host(fresh_port(f));
            assert_int_equal(mss_told(f, ROOT, &t, MSS, nops), i ? 65475 : 65495);
            assert_int_equal(COUNTER(f, packets_rewritten), nops * 2 + (uint32_t)i + 1);
        }
    }
}

static void o6_sums_that_the_driver_computes_are_left_to_it(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    struct made *m = syn_with_mss(&t, MSS, 1);
    uint8_t *sum = m->bytes + m->tcp_offset + 16;
    put16(sum, 0xabcd);
    m->meta.transport_checksum_valid = false;
    connects(f, ROOT, &t);
    assert_int_equal(send_packet(f, m), VERDICT_REWRITE);
    assert_int_equal(wire16(mss_in(m)), 65495);
    assert_int_equal(wire16(sum), 0xabcd);
    free(m);
}

static void o6_a_syn_without_the_option_gets_none(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    redirected(f, ROOT, &t, 100); /* compared byte for byte */
    assert_int_equal(flow_at(&engine_of(f)->flows, 0)->segment_size, 0);
}

static void o6_options_that_lie_change_nothing(void **state)
{
    struct fixture *f = *state;
    static const uint8_t lies[][12] = {
        {2, 0, 5, 180},
        {2, 1, 5, 180},
        {2, 3, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1},
        {2, 5, 5, 180, 1, 1, 1, 1, 1, 1, 1, 1},
        {2, 40, 5, 180},
        {0, 2, 4, 5, 180},
        {3, 0, 2, 4, 5, 180},
        {8, 12, 2, 4, 5, 180, 2, 4, 5, 180, 2, 4},
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2},
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4},
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 5},
        {2, 4, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct tuple t = tuple4();
        t.src_port = be16_from_host(fresh_port(f));
        struct segment s = syn_of(&t, 100);
        struct made *m = make_new(&s), *was = malloc(sizeof *was);
        memcpy(m->bytes + m->tcp_offset + 20, lies[i], sizeof lies[i]);
        seal(m);
        *was = *m;
        connects(f, ROOT, &t);
        assert_int_equal(send_packet(f, m), VERDICT_REWRITE);
        assert_true(same_but_for_tuple_and_checksums(was, m));
        free(was);
        free(m);
    }
}

static void o6_a_stranger_and_what_is_large_already_keep_theirs(void **state)
{
    struct fixture *f = *state;
    struct tuple strangers = tuple4(), large = tuple6();
    assert_int_equal(mss_told(f, STRANGER, &strangers, MSS, 0), MSS);
    assert_int_equal(mss_told(f, ROOT, &large, 65476, 0), 65476);
    f->loopback = true; /* it does not return to a network card */
    struct tuple within = tuple_of("127.0.0.1", 50001, "127.0.0.1", 443);
    assert_int_equal(mss_told(f, ROOT, &within, 1000, 0), 1000);
}

static void o6_reflection_keeps_it(void **state)
{
    struct engine_config config = fixture_config();
    config.reflect = true;
    struct fixture *f = fixture_renew(state, &config);
    struct tuple t = tuple4();
    assert_int_equal(mss_told(f, ROOT, &t, MSS, 0), MSS);
}

static void o6_a_peer_on_another_machine_keeps_it(void **state)
{
    struct engine_config config = fixture_config();
    config.incoming_port = INCOMING_PORT;
    struct fixture *f = fixture_renew(state, &config);
    listens(f, AGENT, "0.0.0.0", INCOMING_PORT);
    listens(f, ROOT, "0.0.0.0", 80);
    struct tuple t = tuple_of("10.9.9.9", 50000, "10.0.0.1", 80);
    struct made *m = syn_with_mss(&t, MSS, 0);
    m->meta.outbound = false;
    assert_int_equal(send_packet(f, m), VERDICT_REWRITE);
    assert_int_equal(wire16(mss_in(m)), MSS);
    free(m);
}

/* ---- replies that do not arrive */

static struct tuple established_large(struct fixture *f, const struct tuple *t)
{
    struct made *m = syn_with_mss(t, MSS, NOPS);
    connects(f, ROOT, t);
    assert_int_equal(send_packet(f, m), VERDICT_REWRITE);
    struct tuple steered = tuple_in(m);
    free(m);
    hand_shake(f, t, &steered);
    return tuple_reversed(&steered);
}

static struct segment large_reply(const struct tuple *reply, uint32_t seq)
{
    struct segment s = data_of(reply, seq, 101, LARGE);
    s.tcp_options = 12;
    return s;
}

static enum verdict send_large(struct fixture *f, const struct tuple *reply, uint32_t seq)
{
    f->loopback = true;
    enum verdict verdict = send_segment(f, large_reply(reply, seq));
    f->loopback = false;
    return verdict;
}

/* The pieces, put together again, are what the proxy sent. */
static void check_pieces(struct fixture *f, const struct made *whole, const struct tuple *target, uint16_t urgent)
{
    uint32_t header = whole->tcp_offset + 20 + 12, at = 0, payload = whole->length - header;
    uint8_t flags = whole->bytes[whole->tcp_offset + 13];
    for (uint32_t i = 0; i < f->injected_count; i++) {
        struct made *piece = f->injected[i];
        struct tuple t = tuple_in(piece);
        uint8_t *tcp = piece->bytes + piece->tcp_offset;
        uint32_t n = piece->length - header;
        bool last = at + n == payload;
        assert_true(tuple_equal(&t, target));
        assert_false(piece->meta.outbound);
        assert_true(piece->meta.ip_checksum_valid && piece->meta.transport_checksum_valid);
        assert_true(ip_checksum_right(piece) && tcp_checksum_right(piece));
        assert_in_range(n, 1, MSS - 12);
        assert_int_equal(wire32(tcp + 4), wire32(whole->bytes + whole->tcp_offset + 4) + at);
        assert_memory_equal(tcp + 20, whole->bytes + whole->tcp_offset + 20, 12);
        assert_memory_equal(piece->bytes + header, whole->bytes + header + at, n);
        assert_int_equal(tcp[13] & (TCP_FIN | TCP_PSH), last ? flags & (TCP_FIN | TCP_PSH) : 0);
        assert_int_equal(tcp[13] & 0x80, at ? 0 : flags & 0x80);
        assert_int_equal(tcp[13] & 0x20, urgent > at ? 0x20 : 0);
        assert_int_equal(wire16(tcp + 18), urgent > at ? urgent - at : 0);
        at += n;
    }
    assert_int_equal(at, payload);
}

static void o6_what_does_not_arrive_is_cut(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct engine_config config = fixture_config();
        struct fixture *f = fixture_renew(state, &config);
        struct tuple t = of_family(i), reply = established_large(f, &t), target = tuple_reversed(&t);
        assert_int_equal(send_large(f, &reply, 501), VERDICT_REWRITE);
        assert_int_equal(send_large(f, &reply, 501 + LARGE), VERDICT_REWRITE);
        assert_int_equal(send_large(f, &reply, 501), VERDICT_REWRITE); /* sent again, for the first time */
        assert_int_equal(COUNTER(f, segments_cut), 0);
        assert_int_equal(send_large(f, &reply, 501), VERDICT_DROP);
        uint32_t pieces = (LARGE + MSS - 13) / (MSS - 12);
        assert_int_equal(COUNTER(f, segments_cut), pieces);
        check_pieces(f, &f->last, &target, 0);
        fixture_forget_injected(f);

        /* from now on all of them, flags and urgent data included */
        struct segment s = large_reply(&reply, 501 + LARGE);
        s.flags |= TCP_FIN | 0x20 | 0x80;
        make(&f->last, &s);
        put16(f->last.bytes + f->last.tcp_offset + 18, 3000);
        seal(&f->last);
        f->last.meta.loopback = true;
        assert_int_equal(send_packet(f, &f->last), VERDICT_DROP);
        check_pieces(f, &f->last, &target, 3000);
        fixture_forget_injected(f);

        /* small ones as always */
        f->loopback = true;
        assert_int_equal(send_segment(f, data_of(&reply, 501 + 2 * LARGE, 101, MSS)), VERDICT_REWRITE);
        f->loopback = false;
        assert_int_equal(f->injected_count, 0);
    }
}

static void o6_what_arrives_is_never_cut(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), reply = established_large(f, &t);
    for (uint32_t i = 0, seq = 501; i < 100; i++, seq += LARGE) {
        assert_int_equal(send_large(f, &reply, seq), VERDICT_REWRITE);
        assert_int_equal(send_large(f, &reply, seq), VERDICT_REWRITE); /* its ACK was late */
        assert_int_equal(send_segment(f, ack_of(&t, 101, seq + LARGE)), VERDICT_REWRITE);
    }
    assert_int_equal(COUNTER(f, segments_cut), 0);
}

static void o6_a_limit_in_the_middle_of_a_connection(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), reply = established_large(f, &t);
    uint32_t lost = 501 + LARGE;
    assert_int_equal(send_large(f, &reply, 501), VERDICT_REWRITE);
    assert_int_equal(send_segment(f, ack_of(&t, 101, lost)), VERDICT_REWRITE);
    for (uint32_t i = 0; i < 4; i++) { /* nothing of these arrives */
        assert_int_equal(send_large(f, &reply, lost + i * LARGE), VERDICT_REWRITE);
    }
    assert_int_equal(send_large(f, &reply, lost), VERDICT_REWRITE);
    assert_int_equal(send_large(f, &reply, lost), VERDICT_DROP);
    assert_true(COUNTER(f, segments_cut) > 0);
}

static void o6_a_damaged_one_is_not_made_whole(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), reply = established_large(f, &t);
    for (int i = 0; i < 2; i++) {
        send_large(f, &reply, 501);
    }
    struct segment s = large_reply(&reply, 501);
    struct made *m = make_new(&s);
    m->bytes[m->length - 1] ^= 1;
    m->meta.loopback = true;
    struct packet_meta meta = m->meta;
    assert_int_equal(engine_packet(engine_of(f), &meta, m->bytes, m->length, f->world.now), VERDICT_REWRITE);
    assert_false(tcp_checksum_right(m));
    assert_int_equal(f->injected_count, 0);
    free(m);
    f->sent++;
    f->verdicts[VERDICT_REWRITE]++;
}

static void lose_a_flow(struct fixture *f)
{
    struct tuple t = tuple4();
    t.src_port = be16_from_host(fresh_port(f));
    struct tuple reply = established_large(f, &t);
    for (int i = 0; i < 3; i++) {
        send_large(f, &reply, 501);
    }
    fixture_forget_injected(f);
}

static void o6_a_machine_that_takes_none_is_not_asked_again(void **state)
{
    struct fixture *f = *state;
    lose_a_flow(f);
    assert_int_equal(f->world.segments_lost, 0);
    lose_a_flow(f);
    assert_int_equal(f->world.segments_lost, 1);
    struct tuple t = tuple4();
    assert_int_equal(mss_told(f, ROOT, &t, MSS, 0), MSS);
}

static void o6_one_that_arrives_restores_the_trust(void **state)
{
    struct fixture *f = *state;
    lose_a_flow(f);
    struct tuple t = tuple6(), reply = established_large(f, &t);
    send_large(f, &reply, 501);
    send_segment(f, ack_of(&t, 101, 501 + LARGE));
    send_large(f, &reply, 501 + LARGE);
    lose_a_flow(f);
    assert_int_equal(f->world.segments_lost, 0);
}

/* What the program is told by a proxy that got its SYN last, and states what loopback carries. */
static uint16_t mss_answered(struct fixture *f)
{
    struct tuple reply = tuple_reversed(&told_to);
    struct segment s = syn_of(&reply, 500);
    s.flags = TCP_SYN | TCP_ACK;
    s.ack = 101;
    s.tcp_options = 4;
    struct made *m = make_new(&s);
    m->meta.loopback = true;
    memcpy(m->bytes + m->tcp_offset + 20, (uint8_t[]){2, 4, 0xff, 0xd7}, 4);
    seal(m);
    assert_int_equal(send_packet(f, m), VERDICT_REWRITE);
    uint16_t told = wire16(mss_in(m));
    free(m);
    return told;
}

/* S8: a proof has seen that they do not arrive; of the other family it has not. */
static void s8_where_a_proof_has_failed_both_ends_keep_to_what_the_program_says(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 2; round++) {
        engine_set_large_segments(engine_of(f), FAMILY_IP4, round);
        assert_int_equal(COUNTER(f, large_segments), 1);
        for (int i = 0; i < 2; i++) {
            struct tuple t = of_family(i);
            t.src_port = be16_from_host(fresh_port(f));
            assert_int_equal(mss_told(f, ROOT, &t, MSS, 0), i ? 65475 : round ? 65495 : MSS);
            assert_int_equal(mss_answered(f), i || round ? 65495 : MSS);
        }
    }
    engine_set_large_segments(engine_of(f), FAMILY_IP4, false);
    engine_set_large_segments(engine_of(f), FAMILY_IP6, false);
    assert_int_equal(COUNTER(f, large_segments), 0);
}

static void o6_a_proof_does_not_restore_what_connections_have_lost(void **state)
{
    struct fixture *f = *state;
    lose_a_flow(f);
    lose_a_flow(f);
    engine_set_large_segments(engine_of(f), FAMILY_IP4, true);
    assert_int_equal(COUNTER(f, large_segments), 0);
    struct tuple t = tuple4();
    assert_int_equal(mss_told(f, ROOT, &t, MSS, 0), MSS);
}

static void o6_who_does_not_want_them(void **state)
{
    struct engine_config config = fixture_config();
    config.small_segments = true;
    struct fixture *f = fixture_renew(state, &config);
    assert_int_equal(COUNTER(f, large_segments), 0);
    struct tuple t = tuple6();
    assert_int_equal(mss_told(f, ROOT, &t, MSS, 0), MSS);
    assert_int_equal(mss_answered(f), MSS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(o6_a_syn_states_what_loopback_carries),
        WITH_ENGINE(o6_sums_that_the_driver_computes_are_left_to_it),
        WITH_ENGINE(o6_a_syn_without_the_option_gets_none),
        WITH_ENGINE(o6_options_that_lie_change_nothing),
        WITH_ENGINE(o6_a_stranger_and_what_is_large_already_keep_theirs),
        WITH_ENGINE(o6_reflection_keeps_it),
        WITH_ENGINE(o6_a_peer_on_another_machine_keeps_it),
        WITH_ENGINE(o6_what_does_not_arrive_is_cut),
        WITH_ENGINE(o6_what_arrives_is_never_cut),
        WITH_ENGINE(o6_a_limit_in_the_middle_of_a_connection),
        WITH_ENGINE(o6_a_damaged_one_is_not_made_whole),
        WITH_ENGINE(o6_a_machine_that_takes_none_is_not_asked_again),
        WITH_ENGINE(o6_one_that_arrives_restores_the_trust),
        WITH_ENGINE(s8_where_a_proof_has_failed_both_ends_keep_to_what_the_program_says),
        WITH_ENGINE(o6_a_proof_does_not_restore_what_connections_have_lost),
        WITH_ENGINE(o6_who_does_not_want_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
