/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* U4: fragments follow their first; ICMP errors of a flow are translated. */
#include "udp_fixture.h"

enum { PAYLOAD = 3000, PART = 1480 };

static struct made whole, parts[3];

/* Three fragments of one datagram: 1480 + 1480 + 48 bytes. */
static void cut(const struct tuple *t, uint32_t id, bool loopback)
{
    make_udp(&whole, t, PAYLOAD, 0);
    whole.meta.loopback = loopback;
    for (uint32_t i = 0; i < 3; i++) {
        make_fragment(&parts[i], &whole, id, i * PART, PART);
    }
}

static uint32_t id_in(const struct made *m)
{
    return m->bytes[0] >> 4 == 4 ? wire16(m->bytes + 4) : wire32(m->bytes + 44);
}

/* What the receiver puts together of the parts: its sum has to be right. */
static void assert_sum_of_parts(const struct made *const p[3])
{
    static struct made all;
    all.tcp_offset = p[0]->bytes[0] >> 4 == 4 ? 20 : 40;
    memcpy(all.bytes, p[0]->bytes, all.tcp_offset);
    all.length = all.tcp_offset;
    for (int i = 0; i < 3; i++) {
        memcpy(all.bytes + all.length, p[i]->bytes + p[i]->tcp_offset, p[i]->length - p[i]->tcp_offset);
        all.length += p[i]->length - p[i]->tcp_offset;
        assert_int_equal(id_in(p[i]), id_in(p[0]));
        assert_memory_equal(p[i]->bytes + (all.tcp_offset == 20 ? 12 : 8),
                            p[0]->bytes + (all.tcp_offset == 20 ? 12 : 8), all.tcp_offset == 20 ? 8 : 32);
    }
    assert_int_equal(udp_sum(&all), reference_udp_checksum(all.bytes, all.length, all.tcp_offset));
}

static void assert_parts(void)
{
    const struct made *const p[3] = {&parts[0], &parts[1], &parts[2]};
    assert_sum_of_parts(p);
}

static void follow(struct udp_fixture *f, const struct tuple *t)
{
    struct tuple steered = udp_redirected(f, ROOT, t);
    cut(t, 0x4711, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_made(f, &parts[i]), VERDICT_REWRITE);
    }
    assert_parts();
    struct tuple first = udp_tuple_in(&parts[0]), answer = tuple_reversed(&steered);
    assert_true(tuple_equal(&first, &steered));
    cut(&answer, 0x4711, true); /* and the proxy's answer, with the same identification */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_made(f, &parts[i]), VERDICT_REWRITE);
        assert_false(parts[i].meta.outbound);
        assert_int_equal(parts[i].meta.if_index, LAN);
    }
    assert_parts();
    assert_int_equal(UDP_COUNTER(f, udp_fragments_passed), 0);
}

static void u4_fragments_follow(void **state)
{
    struct tuple t = udp4();
    follow(*state, &t);
}

static void u4_fragments_follow_over_ip6(void **state)
{
    struct tuple t = udp6();
    follow(*state, &t);
}

static void u4_a_new_identification_for_each(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple a = udp4(), b = a;
    b.dst.bytes[15] ^= 1;
    udp_redirected(f, ROOT, &a);
    udp_redirected(f, ROOT, &b);
    cut(&a, 7, false);
    static struct made of_a[3];
    memcpy(of_a, parts, sizeof of_a);
    cut(&b, 7, false); /* to another destination, so it may be the same number */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_made(f, &of_a[i]), VERDICT_REWRITE);
        assert_int_equal(send_made(f, &parts[i]), VERDICT_REWRITE);
        assert_int_not_equal(id_in(&of_a[i]), id_in(&parts[i]));
    }
    assert_parts();
    const struct made *const p[3] = {&of_a[0], &of_a[1], &of_a[2]};
    assert_sum_of_parts(p);
}

static void u4_sums_of_fragments_whatever_their_flags(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    udp_redirected(f, ROOT, &t);
    for (int flags = 0; flags < 4; flags++) {
        cut(&t, (uint32_t)flags, false);
        for (int i = 0; i < 3; i++) {
            parts[i].meta.ip_checksum_valid = flags & 1;
            parts[i].meta.transport_checksum_valid = flags >> 1;
            put16(parts[i].bytes + 10, flags & 1 ? wire16(parts[i].bytes + 10) : 0xdead);
            assert_int_equal(send_made(f, &parts[i]), VERDICT_REWRITE);
        }
        assert_parts();
    }
}

static void u4_held_with_their_first(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    cut(&t, 9, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_made(f, &parts[i]), VERDICT_HOLD);
    }
    sends_to(f, ROOT, &t, 1);
    assert_int_equal(f->kept_count, 3);
    const struct made *const p[3] = {f->kept[0], f->kept[1], f->kept[2]};
    f->kept[1]->tcp_offset = f->kept[2]->tcp_offset = 20;
    assert_sum_of_parts(p);
    struct tuple first = udp_tuple_in(f->kept[0]);
    assert_int_equal(be16_to_host(first.dst_port), UDP_PORT);
}

static void u4_the_rest_after_its_first_was_released(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    cut(&t, 9, false);
    assert_int_equal(send_made(f, &parts[0]), VERDICT_HOLD);
    sends_to(f, ROOT, &t, 1);
    assert_int_equal(f->kept_count, 1);
    parts[0] = *f->kept[0];
    assert_int_equal(send_made(f, &parts[1]), VERDICT_REWRITE);
    assert_int_equal(send_made(f, &parts[2]), VERDICT_REWRITE);
    assert_parts();
    cut(&t, 10, false); /* and where nobody was found */
    t.src_port = be16_from_host(50001);
    cut(&t, 11, false);
    assert_int_equal(send_made(f, &parts[0]), VERDICT_HOLD);
    udp_time(f, HOLD_MS);
    assert_int_equal(send_made(f, &parts[1]), VERDICT_PASS);
    assert_int_equal(UDP_COUNTER(f, udp_fragments_passed), 0);
}

static void u4_without_their_first_they_pass(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    udp_redirected(f, ROOT, &t);
    cut(&t, 5, false);
    assert_int_equal(send_made(f, &parts[1]), VERDICT_PASS);
    assert_int_equal(UDP_COUNTER(f, udp_fragments_passed), 1);
    assert_int_equal(send_made(f, &parts[0]), VERDICT_REWRITE);
    udp_time(f, FRAGMENTS_MS);
    assert_int_equal(send_made(f, &parts[2]), VERDICT_PASS); /* too late: the number may be another's */
    assert_int_equal(UDP_COUNTER(f, udp_fragments_passed), 2);
}

static void u4_strangers_fragments_pass(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    sends_to(f, STRANGER, &t, 3);
    cut(&t, 5, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_made(f, &parts[i]), VERDICT_PASS);
    }
    assert_int_equal(UDP_COUNTER(f, udp_fragments_passed), 0);
}

static void u4_more_datagrams_than_are_remembered(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    udp_redirected(f, ROOT, &t);
    for (uint32_t i = 0; i <= FRAGMENTS_MAX; i++) {
        cut(&t, i, false);
        assert_int_equal(send_made(f, &parts[0]), VERDICT_REWRITE);
    }
    assert_int_equal(send_made(f, &parts[1]), VERDICT_REWRITE);
    cut(&t, 0, false);
    assert_int_equal(send_made(f, &parts[1]), VERDICT_PASS);
}

static void u4_left_out_where_strangers_have_many(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), own = t;
    assert_true(engine_of(f)->udp->capture.active.fragments);
    sends_to(f, STRANGER, &t, 3);
    for (uint32_t i = 0; i < 11; i++) {
        cut(&t, i, false);
        for (int k = 0; k < 3; k++) {
            send_made(f, &parts[k]);
        }
    }
    const struct capture_set *set = engine_udp_capture_wanted(engine_of(f), f->world.now);
    assert_non_null(set);
    assert_false(set->fragments);
    engine_udp_capture_replaced(engine_of(f), true, f->world.now);
    own.src_port = be16_from_host(50001);
    udp_redirected(f, ROOT, &own);
    cut(&own, 99, false);
    assert_int_equal(send_made(f, &parts[0]), VERDICT_PASS); /* the others of it are not captured */
    assert_int_equal(UDP_COUNTER(f, udp_fragments_passed), 1);
    set = engine_udp_capture_wanted(engine_of(f), f->world.now);
    assert_non_null(set);
    assert_true(set->fragments);
    engine_udp_capture_replaced(engine_of(f), true, f->world.now);
    cut(&own, 100, false);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(send_made(f, &parts[k]), VERDICT_REWRITE);
    }
}

static void u4_not_while_the_tree_sends_some(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), own = t;
    own.src_port = be16_from_host(50001);
    udp_redirected(f, ROOT, &own);
    sends_to(f, STRANGER, &t, 3);
    cut(&own, 1000, false);
    send_made(f, &parts[0]);
    for (uint32_t i = 0; i < 50; i++) {
        cut(&t, i, false);
        send_made(f, &parts[0]);
        send_made(f, &parts[1]);
    }
    f->world.now += 10000;
    const struct capture_set *set = engine_udp_capture_wanted(engine_of(f), f->world.now);
    assert_non_null(set); /* the stranger's port is left out, */
    assert_true(set->fragments);
    assert_false(port_set_has(&set->outbound, 50000));
    engine_udp_capture_replaced(engine_of(f), true, f->world.now);
}

/* ---- errors */

/* "Destination unreachable" with this code, as a machine sends it that received `quoted`. */
static void make_error(struct made *m, const struct made *quoted, uint8_t code, uint32_t bytes)
{
    struct tuple t = udp_tuple_in(quoted), back = tuple_reversed(&t);
    bool ip4 = t.family == FAMILY_IP4;
    make_udp(m, &back, bytes, 0);
    m->meta.loopback = true;
    m->meta.if_index = 1;
    m->bytes[ip4 ? 9 : 6] = ip4 ? 1 : 58;
    uint8_t *icmp = m->bytes + m->tcp_offset;
    memset(icmp, 0, 8);
    icmp[0] = ip4 ? 3 : 1;
    icmp[1] = code;
    memcpy(icmp + 8, quoted->bytes, bytes);
    seal_ip(m);
}

static uint16_t icmp_sum(const struct made *m)
{
    const uint8_t *ip = m->bytes, *icmp = ip + m->tcp_offset;
    uint32_t size = m->length - m->tcp_offset, sum = 0;
    if (ip[0] >> 4 == 6) {
        uint8_t stated[4] = {0, 0, (uint8_t)(size >> 8), (uint8_t)size};
        sum = reference_sum(stated, 4, reference_sum(ip + 8, 32, 58));
    }
    sum = reference_sum(icmp, 2, sum);
    return (uint16_t)~reference_sum(icmp + 4, size - 4, sum);
}

/* An error from where `t` went, to where it came from, which quotes it. */
static void assert_error(const struct made *m, const struct tuple *t, uint8_t code)
{
    static struct made quoted;
    bool ip4 = t->family == FAMILY_IP4;
    const uint8_t *icmp = m->bytes + m->tcp_offset;
    assert_int_equal(m->bytes[ip4 ? 9 : 6], ip4 ? 1 : 58);
    assert_memory_equal(m->bytes + (ip4 ? 12 : 8), ip4 ? t->dst.bytes + 12 : t->dst.bytes, ip4 ? 4 : 16);
    assert_memory_equal(m->bytes + (ip4 ? 16 : 24), ip4 ? t->src.bytes + 12 : t->src.bytes, ip4 ? 4 : 16);
    assert_true(ip_checksum_right(m));
    assert_int_equal(icmp[0], ip4 ? 3 : 1);
    assert_int_equal(icmp[1], code);
    assert_int_equal(wire16(icmp + 2), icmp_sum(m));
    quoted.tcp_offset = ip4 ? 20 : 40;
    memcpy(quoted.bytes, icmp + 8, quoted.tcp_offset + 8);
    struct tuple in_it = udp_tuple_in(&quoted);
    assert_true(tuple_equal(&in_it, t));
    assert_true(ip_checksum_right(&quoted));
    assert_true(m->meta.ip_checksum_valid);
}

static void error_of_flow(struct udp_fixture *f, const struct tuple *t, uint8_t code)
{
    static struct made sent, error;
    sends_to(f, ROOT, t, 1);
    make_udp(&sent, t, 40, 0);
    uint16_t sum = udp_sum(&sent);
    assert_int_equal(send_made(f, &sent), VERDICT_REWRITE);
    make_error(&error, &sent, code, sent.tcp_offset + 8);
    assert_int_equal(send_made(f, &error), VERDICT_REWRITE);
    assert_error(&error, t, code);
    uint32_t at = error.tcp_offset + 8 + sent.tcp_offset + 6;
    assert_int_equal(wire16(error.bytes + at), sum); /* as the program's own datagram has it */
    assert_false(error.meta.outbound);
    assert_int_equal(error.meta.if_index, LAN);
    assert_int_equal(UDP_COUNTER(f, udp_errors_translated), 1);
    make_error(&error, &sent, code, sent.length); /* all of it quoted */
    assert_int_equal(send_made(f, &error), VERDICT_REWRITE);
    assert_error(&error, t, code);
}

static void u4_errors_are_translated(void **state)
{
    struct tuple t = udp4();
    error_of_flow(*state, &t, 3);
}

static void u4_errors_are_translated_over_ip6(void **state)
{
    struct tuple t = udp6();
    error_of_flow(*state, &t, 4);
}

static void u4_other_errors_pass(void **state)
{
    struct udp_fixture *f = *state;
    static struct made sent, error;
    struct tuple t = udp4(), steered = udp_redirected(f, ROOT, &t);
    make_udp(&sent, &steered, 40, 0);
    for (uint32_t bytes = 0; bytes < 28; bytes++) { /* too little quoted to know of what */
        make_error(&error, &sent, 3, bytes);
        assert_int_equal(send_made(f, &error), VERDICT_PASS);
    }
    make_error(&error, &sent, 3, 28);
    error.meta.loopback = false; /* from elsewhere: nobody there knows of the proxy's port */
    assert_int_equal(send_made(f, &error), VERDICT_PASS);
    make_error(&error, &sent, 3, 28);
    error.bytes[20] = 11; /* time exceeded */
    assert_int_equal(send_made(f, &error), VERDICT_PASS);
    make_error(&error, &sent, 3, 28);
    error.bytes[28 + 9] = 6; /* TCP's */
    assert_int_equal(send_made(f, &error), VERDICT_PASS);
    make_error(&error, &sent, 3, 28);
    error.bytes[28 + 7] = 1; /* a later fragment's */
    assert_int_equal(send_made(f, &error), VERDICT_PASS);
    make_error(&error, &sent, 3, 28);
    error.bytes[28] = 0x4f; /* a header longer than what is there */
    assert_int_equal(send_made(f, &error), VERDICT_PASS);
    make_udp(&sent, &t, 40, 0);
    make_error(&error, &sent, 3, 28);
    error.meta.loopback = true; /* about the datagram as the program sent it: nobody has steered that */
    assert_int_equal(send_made(f, &error), VERDICT_PASS);
    assert_int_equal(UDP_COUNTER(f, udp_errors_translated), 0);
}

static void u4_the_proxy_says_unreachable(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple all[] = {udp4(), udp6()};
    for (int i = 0; i < 2; i++) {
        struct tuple steered = udp_redirected(f, ROOT, &all[i]);
        uint16_t port = be16_to_host(steered.src_port);
        assert_true(engine_udp_unreachable(engine_of(f), port));
        assert_int_equal(f->kept_count, 1);
        assert_error(f->kept[0], &all[i], i ? 4 : 3);
        assert_false(f->kept[0]->meta.outbound);
        assert_int_equal(f->kept[0]->meta.if_index, LAN);
        forget_kept(f);
    }
    assert_int_equal(UDP_COUNTER(f, udp_errors_translated), 2);
    assert_false(engine_udp_unreachable(engine_of(f), 1));
    assert_false(engine_udp_unreachable(engine_of(f), 0));
    udp_time(f, IDLE_MS);
    assert_false(engine_udp_unreachable(engine_of(f), 50000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_UDP(u4_fragments_follow),
        WITH_UDP(u4_fragments_follow_over_ip6),
        WITH_UDP(u4_a_new_identification_for_each),
        WITH_UDP(u4_sums_of_fragments_whatever_their_flags),
        WITH_UDP(u4_held_with_their_first),
        WITH_UDP(u4_the_rest_after_its_first_was_released),
        WITH_UDP(u4_without_their_first_they_pass),
        WITH_UDP(u4_strangers_fragments_pass),
        WITH_UDP(u4_more_datagrams_than_are_remembered),
        WITH_UDP(u4_left_out_where_strangers_have_many),
        WITH_UDP(u4_not_while_the_tree_sends_some),
        WITH_UDP(u4_errors_are_translated),
        WITH_UDP(u4_errors_are_translated_over_ip6),
        WITH_UDP(u4_other_errors_pass),
        WITH_UDP(u4_the_proxy_says_unreachable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
