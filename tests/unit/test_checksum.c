/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The engine's checksums against the plain sum of RFC 1071 in packets.h, which is itself checked against known
 * packets.
 */
#include "packets.h"

#include "engine/checksum.h"

static struct packet packet_over(struct made *m)
{
    struct packet p = {.ip = m->bytes, .tcp = m->bytes + m->tcp_offset, .length = m->length};
    p.tuple = tuple_in(m);
    return p;
}

static void the_reference_knows_published_sums(void **state)
{
    (void)state;
    /* The worked example of RFC 1071, section 3. */
    static const uint8_t rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(reference_sum(rfc, sizeof rfc, 0), 0xddf2);
    /* A much quoted IPv4 header, whose checksum is b861. */
    static const uint8_t ip[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    assert_int_equal(reference_ip_checksum(ip), 0xb861);
    /*
     * One zero byte from 0.0.0.1 to 0.0.0.2, ports 3 and 4: 1+2 addresses, 6+21 pseudo-header, 3+4 ports, 5000
     * offset.
     */
    uint8_t tcp[41] = {[0] = 0x45, [15] = 1, [19] = 2, [21] = 3, [23] = 4, [32] = 0x50};
    assert_int_equal(reference_tcp_checksum(tcp, sizeof tcp, 20), (uint16_t) ~(1 + 2 + 6 + 21 + 3 + 4 + 0x5000));
}

/* Fills the packet's payload, spoils its sums, lets the engine compute them, compares. */
static void check_full(struct made *m, const uint8_t *payload, uint32_t size)
{
    memcpy(m->bytes + m->length - size, payload, size);
    put16(m->bytes + m->tcp_offset + 16, 0xdead);
    bool ip4 = m->bytes[0] >> 4 == 4;
    if (ip4) {
        put16(m->bytes + 10, 0xbeef);
    }
    uint8_t header[40];
    memcpy(header, m->bytes, 40);
    struct packet p = packet_over(m);
    checksum_ip_header(&p);
    checksum_tcp(&p);
    assert_true(ip_checksum_right(m));
    assert_true(tcp_checksum_right(m));
    if (!ip4) {
        assert_memory_equal(header, m->bytes, 40); /* IPv6 has no header checksum to write */
    }
}

static void full_sums_are_right_for_any_payload(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0002};
    static uint8_t random[65535], ones[65535];
    rng_fill(&r, random, sizeof random);
    memset(ones, 0xff, sizeof ones); /* the most carries there can be */
    struct made *m = malloc(sizeof *m);
    for (uint32_t family = FAMILY_IP4; family <= FAMILY_IP6; family += 2) {
        uint32_t limit = family == FAMILY_IP4 ? 65535 - 40 : 65535 - 20;
        for (uint32_t i = 0; i < 600; i++) {
            uint32_t size = i < 260 ? i : i == 599 ? limit : rng_below(&r, limit);
            struct segment s = {.tuple = tuple_random(&r, family), .flags = TCP_ACK, .payload = size};
            s.ip_options = i % 3 == 0 && size + 88 < limit ? 8 * rng_below(&r, 6) : 0;
            make(m, &s);
            check_full(m, random, size);
            check_full(m, ones, size);
        }
    }
    free(m);
}

static void a_difference_turns_the_old_sum_into_the_new_one(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0003};
    for (int i = 0; i < 50000; i++) {
        uint8_t a[64], b[64], field[2];
        uint32_t size = 2 + 2 * rng_below(&r, 31);
        rng_fill(&r, a, size);
        rng_fill(&r, b, size);
        if (i % 4 == 0) { /* sums near zero, where one's complement has two of them */
            memset(a, i % 8 ? 0xff : 0, size);
            a[size - 1] ^= (uint8_t)(i % 3);
        }
        a[0] |= 1; /* the rest of a packet never sums up to plain zero: it has a version and a length */
        b[0] |= 1;
        put16(field, (uint16_t)~reference_sum(a, size, 0));
        uint16_t difference = checksum_difference(a, b, size);
        checksum_adjust(field, difference);
        assert_int_equal(wire16(field), (uint16_t)~reference_sum(b, size, 0));
        checksum_adjust(field, (uint16_t)~difference); /* the complement undoes it */
        assert_int_equal(wire16(field), (uint16_t)~reference_sum(a, size, 0));
    }
}

static void differences_add_up(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0004};
    for (int i = 0; i < 20000; i++) {
        uint8_t a[36], b[36], field[2], both[2];
        rng_fill(&r, a, sizeof a);
        rng_fill(&r, b, sizeof b);
        put16(field, (uint16_t)rng_next(&r));
        memcpy(both, field, 2);
        uint16_t first = checksum_difference(a, b, 32), second = checksum_difference(a + 32, b + 32, 4);
        checksum_adjust(field, first);
        checksum_adjust(field, second);
        checksum_adjust(both, checksum_add(first, second));
        assert_int_equal(wire16(field), wire16(both));
    }
}

static void equal_bytes_make_no_difference(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0005};
    for (uint32_t sum = 0; sum < 0xffff; sum++) { /* not 0xffff: it is 0x0000 written otherwise */
        uint8_t a[16], field[2];
        rng_fill(&r, a, sizeof a);
        put16(field, sum);
        checksum_adjust(field, checksum_difference(a, a, sizeof a));
        assert_int_equal(wire16(field), sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_knows_published_sums),
        cmocka_unit_test(full_sums_are_right_for_any_payload),
        cmocka_unit_test(a_difference_turns_the_old_sum_into_the_new_one),
        cmocka_unit_test(differences_add_up),
        cmocka_unit_test(equal_bytes_make_no_difference),
    };
    return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
