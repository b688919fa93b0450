/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rewriting: nothing but addresses, ports and checksums changes (O6), and the checksums come out right. */
#include "packets.h"

#include "engine/rewrite.h"

/* Rewrites the packet in place, as the engine would: parse, then apply. */
static void rewrite(struct made *m, const struct tuple *to, struct rewrite_delta delta)
{
    struct packet p;
    assert_int_equal(packet_parse(m->bytes, m->length, &p), PACKET_TCP);
    struct tuple answer = tuple_reversed(to), now;
    rewrite_apply(&p, &m->meta, &answer, delta);
    now = tuple_in(m);
    assert_true(tuple_equal(&now, to));
}

static struct made *copy_of(const struct made *m)
{
    struct made *copy = malloc(sizeof *copy);
    copy->length = m->length;
    copy->tcp_offset = m->tcp_offset;
    copy->meta = m->meta;
    memcpy(copy->bytes, m->bytes, m->length);
    return copy;
}

static struct segment random_segment(struct rng *r, uint32_t family, uint32_t payload)
{
    struct segment s = {.tuple = tuple_random(r, family), .payload = payload, .flags = (uint8_t)rng_next(r)};
    s.seq = (uint32_t)rng_next(r);
    s.ack = (uint32_t)rng_next(r);
    s.ip_options = rng_below(r, 4) ? 0 : 8 * (1 + rng_below(r, 4));
    s.tcp_options = 4 * rng_below(r, 11);
    return s;
}

/* 0xffff and 0x0000 are the same sum; only a field that came as 0xffff may come back as 0x0000. */
static bool same_sum(const uint8_t *before, const uint8_t *after)
{
    return wire16(before) == wire16(after) || (wire16(before) == 0xffff && wire16(after) == 0);
}

/* One rewrite and its inverse, with the given offload flags. `made` has right sums. */
static void check_there_and_back(struct made *m, const struct tuple *from, const struct tuple *to, bool ip_valid,
                                 bool tcp_valid)
{
    struct made *before = copy_of(m);
    bool ip4 = from->family == FAMILY_IP4;
    if (ip4 && !ip_valid) {
        put16(m->bytes + 10, 0xdead); /* flag unset: the bytes mean nothing */
    }
    if (!tcp_valid) {
        put16(m->bytes + m->tcp_offset + 16, 0xbeef);
    }
    m->meta.ip_checksum_valid = ip_valid;
    m->meta.transport_checksum_valid = tcp_valid;
    struct rewrite_delta delta = rewrite_delta_between(from, to);

    rewrite(m, to, delta);
    struct tuple written = tuple_in(m);
    assert_true(tuple_equal(&written, to));
    assert_true(same_but_for_tuple_and_checksums(before, m));
    assert_int_equal(m->meta.transport_checksum_valid, tcp_valid);
    if (ip4) {
        assert_true(m->meta.ip_checksum_valid);
    }
    if (!tcp_valid) { /* left to the driver */
        assert_int_equal(wire16(m->bytes + m->tcp_offset + 16), 0xbeef);
    } else {
        assert_true(tcp_checksum_right(m));
    }
    assert_true(ip_checksum_right(m));

    rewrite(m, from, rewrite_delta_reversed(delta));
    if (!tcp_valid) {
        put16(m->bytes + m->tcp_offset + 16, wire16(before->bytes + m->tcp_offset + 16));
    }
    assert_memory_equal(m->bytes, before->bytes, before->length);
    free(before);
}

static void o6_sums_are_right_for_every_combination_of_flags_and_the_inverse_restores_the_bytes(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0006};
    struct made *m = malloc(sizeof *m);
    for (uint32_t family = FAMILY_IP4; family <= FAMILY_IP6; family += 2) {
        for (uint32_t i = 0; i < 4000; i++) {
            struct segment s = random_segment(&r, family, i < 400 ? i / 4 : rng_below(&r, 1461));
            struct tuple to = tuple_random(&r, family);
            make(m, &s);
            check_there_and_back(m, &s.tuple, &to, i & 1, i >> 1 & 1);
        }
    }
    free(m);
}

static void o6_packets_up_to_the_largest_are_rewritten(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0007};
    struct made *m = malloc(sizeof *m);
    for (uint32_t family = FAMILY_IP4; family <= FAMILY_IP6; family += 2) {
        uint32_t limit = family == FAMILY_IP4 ? 65535 - 40 : 65535 - 20;
        uint32_t sizes[] = {1461, 8959, 32767, 65000, limit - 1, limit};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (uint32_t flags = 0; flags < 4; flags++) {
                struct segment s = {.tuple = tuple_random(&r, family), .flags = TCP_ACK, .payload = sizes[i]};
                struct tuple to = tuple_random(&r, family);
                make(m, &s);
                check_there_and_back(m, &s.tuple, &to, flags & 1, flags >> 1);
            }
        }
    }
    free(m);
}

static void o6_an_ip6_packet_is_untouched_where_ip4_has_its_header_sum(void **state)
{
    (void)state;
    struct tuple from = tuple_of("2001:db8::1", 50000, "2001:db8::2", 80), to = tuple_of("::1", 50000, "::1", 8080);
    struct segment s = data_of(&from, 1, 2, 20);
    struct made *m = make_new(&s), *before = copy_of(m);
    m->meta.ip_checksum_valid = false;
    rewrite(m, &to, rewrite_delta_between(&from, &to));
    assert_memory_equal(m->bytes, before->bytes, 8);
    assert_true(tcp_checksum_right(m));
    free(before);
    free(m);
}

/* How far a field is from the right sum, in one's complement. */
static uint32_t damage(uint16_t field, uint16_t right)
{
    return ((uint32_t)field + 0xffff - right) % 0xffff;
}

static void o6_a_wrong_sum_stays_wrong_by_as_much(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0008};
    struct made *m = malloc(sizeof *m);
    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t family = i % 2 ? FAMILY_IP4 : FAMILY_IP6;
        struct segment s = random_segment(&r, family, rng_below(&r, 200));
        struct tuple to = tuple_random(&r, family);
        make(m, &s);
        uint8_t *tcp_sum = m->bytes + m->tcp_offset + 16, *ip_sum = m->bytes + 10;
        uint16_t error = (uint16_t)(1 + rng_below(&r, 0xfffe));
        put16(tcp_sum, (uint16_t)(wire16(tcp_sum) ^ error));
        if (family == FAMILY_IP4) {
            put16(ip_sum, (uint16_t)(wire16(ip_sum) ^ error));
        }
        uint8_t came[2][2] = {{ip_sum[0], ip_sum[1]}, {tcp_sum[0], tcp_sum[1]}};
        uint32_t tcp_damage = damage(wire16(tcp_sum), reference_tcp_checksum(m->bytes, m->length, m->tcp_offset));
        uint32_t ip_damage = family == FAMILY_IP4 ? damage(wire16(ip_sum), reference_ip_checksum(m->bytes)) : 0;
        struct rewrite_delta delta = rewrite_delta_between(&s.tuple, &to);
        rewrite(m, &to, delta);
        assert_int_equal(tcp_damage,
                         damage(wire16(tcp_sum), reference_tcp_checksum(m->bytes, m->length, m->tcp_offset)));
        if (family == FAMILY_IP4) {
            assert_int_equal(ip_damage, damage(wire16(ip_sum), reference_ip_checksum(m->bytes)));
        }
        rewrite(m, &s.tuple, rewrite_delta_reversed(delta));
        assert_true(same_sum(came[0], ip_sum) && same_sum(came[1], tcp_sum));
    }
    free(m);
}

static void the_difference_does_not_depend_on_the_packet(void **state)
{
    (void)state;
    struct tuple from = tuple_of("10.0.0.1", 50000, "10.0.0.2", 80), to = tuple_of("127.0.0.1", 50000, "127.0.0.1", 9);
    struct rewrite_delta delta = rewrite_delta_between(&from, &to), back = rewrite_delta_between(&to, &from);
    struct rewrite_delta reversed = rewrite_delta_reversed(delta);
    assert_int_equal(reversed.ip % 0xffff, back.ip % 0xffff); /* the same, whichever zero it is */
    assert_int_equal(reversed.tcp % 0xffff, back.tcp % 0xffff);
    for (uint32_t payload = 0; payload < 50; payload++) {
        struct segment s = data_of(&from, payload * 1000, 2, payload);
        struct made *m = make_new(&s);
        rewrite(m, &to, delta);
        assert_true(ip_checksum_right(m) && tcp_checksum_right(m));
        free(m);
    }
}

static void o6_the_rest_of_the_meta_stays(void **state)
{
    (void)state;
    struct tuple from = tuple_of("10.0.0.1", 50000, "10.0.0.2", 80), to = tuple_of("127.0.0.1", 50000, "127.0.0.1", 9);
    struct segment s = data_of(&from, 1, 2, 3);
    struct made *m = make_new(&s);
    for (int i = 0; i < 8; i++) {
        m->meta.outbound = i & 1;
        m->meta.loopback = i & 2;
        m->meta.impostor = i & 4;
        struct packet_meta before = m->meta;
        rewrite(m, i % 2 ? &from : &to, i % 2 ? rewrite_delta_between(&to, &from) : rewrite_delta_between(&from, &to));
        assert_true(meta_equal(&before, &m->meta));
    }
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(o6_sums_are_right_for_every_combination_of_flags_and_the_inverse_restores_the_bytes),
        cmocka_unit_test(o6_packets_up_to_the_largest_are_rewritten),
        cmocka_unit_test(o6_an_ip6_packet_is_untouched_where_ip4_has_its_header_sum),
        cmocka_unit_test(o6_a_wrong_sum_stays_wrong_by_as_much),
        cmocka_unit_test(the_difference_does_not_depend_on_the_packet),
        cmocka_unit_test(o6_the_rest_of_the_meta_stays),
    };
    return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
