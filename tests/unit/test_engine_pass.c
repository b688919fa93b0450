/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What is none of our business leaves as it came (O5), and the counters say what happened (S6). send_packet()
 * compares the bytes and the balance at every packet.
 */
#include "engine_fixture.h"

static void o5_packets_of_unknown_connections_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple ours = tuple4(), theirs[] = {tuple4(), tuple6(), tuple4()};
    established(f, &ours);
    theirs[0].dst_port = be16_from_host(444); /* one port away from a flow */
    theirs[2] = tuple_reversed(&ours);        /* the real peer's packets, not the proxy's */
    for (int i = 0; i < 3; i++) {
        for (uint32_t flags = 0; flags < 256; flags++) {
            struct segment s = {.tuple = theirs[i], .seq = 1, .ack = 2, .flags = (uint8_t)flags, .payload = flags};
            if ((flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN) {
                assert_int_equal(send_segment(f, s), VERDICT_PASS);
            }
        }
    }
}

static void o5_whatever_the_driver_says_of_them(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple6();
    for (uint32_t i = 0; i < 32; i++) {
        struct segment s = data_of(&t, 1, 2, 10);
        make(&f->last, &s);
        f->last.meta = (struct packet_meta){
            .if_index = i,
            .sub_if_index = i,
            .outbound = i & 1,
            .loopback = i & 2,
            .impostor = i & 4,
            .ip_checksum_valid = i & 8,
            .transport_checksum_valid = i & 16,
        };
        put16(f->last.bytes + f->last.tcp_offset + 16, 0xdead);
        assert_int_equal(send_packet(f, &f->last), VERDICT_PASS);
    }
}

static void o5_malformed_packets_and_other_protocols_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple ours[] = {tuple4(), tuple6()};
    ours[1].src_port = be16_from_host(50001);
    for (int i = 0; i < 2; i++) {
        established(f, &ours[i]);
        struct segment s = data_of(&ours[i], 101, 501, 40);
        make(&f->last, &s);
        uint32_t whole = f->last.length;
        for (uint32_t length = 0; length < whole; length++) {
            f->last.length = length;
            assert_int_equal(send_packet(f, &f->last), VERDICT_PASS);
        }
        assert_int_equal(COUNTER(f, packets_malformed), (uint64_t)whole + (i ? 80 : 0));
        f->last.length = whole;
        f->last.bytes[i ? 6 : 9] = 17;
        assert_int_equal(send_packet(f, &f->last), VERDICT_PASS);
        f->last.bytes[i ? 6 : 9] = 6;
        if (i == 0) {
            f->last.bytes[6] = 0x20; /* a fragment of our own connection */
            assert_int_equal(send_packet(f, &f->last), VERDICT_PASS);
            f->last.bytes[6] = 0x40;
        }
        assert_int_equal(send_packet(f, &f->last), VERDICT_REWRITE);
    }
}

static void o5_random_bytes_pass(void **state)
{
    struct fixture *f = *state;
    struct rng r = {.state = 0x5eed0050};
    struct tuple ours = tuple4();
    established(f, &ours);
    for (int i = 0; i < 20000; i++) {
        f->last.length = rng_below(&r, 120);
        rng_fill(&r, f->last.bytes, f->last.length);
        f->last.meta =
            (struct packet_meta){.outbound = true, .transport_checksum_valid = true, .ip_checksum_valid = true};
        if (i % 2) {
            f->last.bytes[0] = 0x45;
            put16(f->last.bytes + 2, f->last.length);
        }
        assert_int_equal(send_packet(f, &f->last), VERDICT_PASS);
    }
}

static void o5_a_connection_that_was_open_before_start_passes(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    connects(f, ROOT, &t); /* even of the tree: its SYN was not seen, so it cannot be moved */
    assert_int_equal(send_segment(f, data_of(&t, 101, 501, 10)), VERDICT_PASS);
    assert_int_equal(send_segment(f, fin_of(&t, 111, 501)), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flows_total), 0);
}

static void o6_damage_is_not_hidden(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    established(f, &t);
    struct segment s = data_of(&t, 101, 501, 100);
    make(&f->last, &s);
    f->last.bytes[60] ^= 0x10; /* in the payload, after the sum was made */
    struct packet_meta meta = f->last.meta;
    uint8_t *at = guarded_put(&f->guard, f->last.bytes, f->last.length);
    assert_int_equal(engine_packet(f->world.engine, &meta, at, f->last.length, f->world.now), VERDICT_REWRITE);
    memcpy(f->last.bytes, at, f->last.length);
    assert_true(meta.transport_checksum_valid);
    assert_true(ip_checksum_right(&f->last));
    assert_false(tcp_checksum_right(&f->last));
    f->last.bytes[60] ^= 0x10;
    assert_true(tcp_checksum_right(&f->last)); /* it is the same damage */
}

static void s6_counters_tell_what_happened(void **state)
{
    struct fixture *f = *state;
    struct tuple a = tuple4(), b = tuple6(), c = tuple_of("10.0.0.1", 40000, "10.0.0.9", 80);
    b.src_port = be16_from_host(50001);
    established(f, &a);                                                /* 3 rewritten, 1 event */
    assert_int_equal(send_syn(f, &b, 1), VERDICT_HOLD);                /* held */
    assert_int_equal(send_syn(f, &b, 1), VERDICT_DROP);                /* dropped */
    connects(f, ROOT, &b);                                             /* the held one is rewritten */
    assert_int_equal(send_syn(f, &c, 1), VERDICT_HOLD);                /* held */
    assert_int_equal(send_syn(f, &c, 2), VERDICT_HOLD);                /* held; the first one is dropped */
    pass_time(f, HOLD_MS);                                             /* passed */
    assert_int_equal(send_segment(f, ack_of(&c, 2, 3)), VERDICT_PASS); /* passed */
    assert_int_equal(COUNTER(f, packets_seen), 8);
    assert_int_equal(COUNTER(f, packets_rewritten), 4);
    assert_int_equal(COUNTER(f, packets_passed), 2);
    assert_int_equal(COUNTER(f, packets_dropped), 2);
    assert_int_equal(COUNTER(f, packets_held), 3);
    assert_int_equal(COUNTER(f, hold_timeouts), 1);
    assert_int_equal(COUNTER(f, events_seen), 2);
    assert_int_equal(COUNTER(f, flows_total), 2);
    assert_int_equal(COUNTER(f, flows_live), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(o5_packets_of_unknown_connections_pass),
        WITH_ENGINE(o5_whatever_the_driver_says_of_them),
        WITH_ENGINE(o5_malformed_packets_and_other_protocols_pass),
        WITH_ENGINE(o5_random_bytes_pass),
        WITH_ENGINE(o5_a_connection_that_was_open_before_start_passes),
        WITH_ENGINE(o6_damage_is_not_hidden),
        WITH_ENGINE(s6_counters_tell_what_happened),
    };
    return cmocka_run_group_tests_name("engine: passing", tests, NULL, NULL);
}
