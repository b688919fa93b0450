/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Parsing: what is a TCP segment, what is not, and that no byte behind the packet is ever looked at. */
#include "packets.h"

static struct guarded guard;

/* Parses the bytes from memory that ends with them, and checks that parsing changed none of them. */
static enum packet_kind parse_bytes(const uint8_t *bytes, uint32_t length, struct packet *out)
{
    uint8_t *at = guarded_put(&guard, bytes, length);
    enum packet_kind kind = packet_parse(at, length, out);
    assert_memory_equal(at, bytes, length);
    return kind;
}

static enum packet_kind parse(const struct made *m, struct packet *out)
{
    return parse_bytes(m->bytes, m->length, out);
}

static void expect_kind(const struct made *m, enum packet_kind kind)
{
    struct packet p;
    assert_int_equal(parse(m, &p), kind);
}

static struct tuple tuple4(void)
{
    return tuple_of("10.1.2.3", 49152, "93.184.216.34", 443);
}

static struct tuple tuple6(void)
{
    return tuple_of("2001:db8::5", 49152, "2001:db8:1::9", 443);
}

static void expect_facts(const struct segment *s)
{
    struct made *m = make_new(s);
    struct packet p;
    assert_int_equal(parse(m, &p), PACKET_TCP);
    assert_true(tuple_equal(&p.tuple, &s->tuple));
    assert_int_equal(p.length, m->length);
    assert_int_equal(p.payload, s->payload);
    assert_int_equal(p.seq, s->seq);
    assert_int_equal(p.ack, s->ack);
    assert_int_equal(p.flags, s->flags);
    assert_int_equal(p.tcp - p.ip, m->tcp_offset);
    free(m);
}

static void segments_of_both_families_are_parsed(void **state)
{
    (void)state;
    struct tuple tuples[] = {tuple4(), tuple6()};
    for (int i = 0; i < 2; i++) {
        uint32_t limit = i ? 65535 - 20 : 65535 - 40; /* of payload */
        uint32_t payloads[] = {0, 1, 2, 1460, 9000, limit};
        for (size_t k = 0; k < sizeof payloads / sizeof *payloads; k++) {
            struct segment s = data_of(&tuples[i], 0xfffffff0, 0x80000001, payloads[k]);
            expect_facts(&s);
        }
        for (uint32_t flags = 0; flags < 256; flags++) {
            struct segment s = {.tuple = tuples[i], .seq = 1, .ack = 2, .flags = (uint8_t)flags};
            expect_facts(&s);
        }
    }
}

static void options_and_extension_headers_are_skipped(void **state)
{
    (void)state;
    for (uint32_t tcp_options = 0; tcp_options <= 40; tcp_options += 4) {
        for (uint32_t ip_options = 0; ip_options <= 40; ip_options += 4) {
            struct segment s = {.tuple = tuple4(), .flags = TCP_SYN, .payload = 5};
            s.ip_options = ip_options;
            s.tcp_options = tcp_options;
            expect_facts(&s);
        }
        for (uint32_t ip_options = 0; ip_options <= 2048; ip_options += ip_options < 64 ? 8 : 248) {
            struct segment s = {.tuple = tuple6(), .flags = TCP_SYN, .payload = 5};
            s.ip_options = ip_options;
            s.tcp_options = tcp_options;
            expect_facts(&s);
        }
    }
}

/* Hop-by-hop, destination options and routing in front of TCP, 8 bytes each. */
static struct made *chained_extensions(void)
{
    struct segment s = {.tuple = tuple6(), .flags = TCP_SYN, .seq = 77, .ip_options = 24};
    struct made *m = make_new(&s);
    m->bytes[6] = 0;
    memset(m->bytes + 40, 0, 24);
    m->bytes[40] = 60;
    m->bytes[48] = 43;
    m->bytes[56] = 6;
    return m;
}

static void chained_extension_headers_are_skipped(void **state)
{
    (void)state;
    struct made *m = chained_extensions();
    struct packet p;
    assert_int_equal(parse(m, &p), PACKET_TCP);
    assert_int_equal(p.tcp - p.ip, 64);
    assert_int_equal(p.seq, 77);
    free(m);
}

static void an_extension_header_that_lies_is_malformed(void **state)
{
    (void)state;
    for (uint32_t at = 40; at < 64; at += 8) {
        struct made *m = chained_extensions();
        m->bytes[at + 1] = 255;
        expect_kind(m, PACKET_MALFORMED);
        free(m);
    }
}

/* Says what a packet is that was cut to `length` bytes with its headers knowing it. */
static enum packet_kind kind_when_shortened(const struct made *m, uint32_t length)
{
    return length < m->tcp_offset + (uint32_t)(m->bytes[m->tcp_offset + 12] >> 4) * 4 ? PACKET_MALFORMED : PACKET_TCP;
}

static void check_truncations(const struct segment *s)
{
    struct made *m = make_new(s);
    bool ip4 = s->tuple.family == FAMILY_IP4;
    uint32_t minimum = ip4 ? 20 : 40, full = m->length;
    struct packet p;
    for (uint32_t length = 0; length < full; length++) {
        assert_int_equal(parse_bytes(m->bytes, length, &p), PACKET_MALFORMED); /* the header still claims more */
        assert_int_equal(packet_length(guarded_put(&guard, m->bytes, length), length), 0);
    }
    for (uint32_t length = minimum; length <= full; length++) {
        m->length = length;
        put16(m->bytes + (ip4 ? 2 : 4), ip4 ? length : length - 40);
        enum packet_kind kind = parse(m, &p);
        assert_int_equal(kind, kind_when_shortened(m, length));
        if (kind == PACKET_TCP) {
            assert_int_equal(p.payload, s->payload - (full - length));
        }
    }
    free(m);
}

static void every_truncation_is_caught_without_reading_past_the_end(void **state)
{
    (void)state;
    struct tuple tuples[] = {tuple4(), tuple6()};
    for (int i = 0; i < 2; i++) {
        struct segment s = {.tuple = tuples[i], .flags = TCP_ACK, .payload = 37};
        check_truncations(&s);
        s.ip_options = 24;
        s.tcp_options = 12;
        check_truncations(&s);
    }
    struct made *m = chained_extensions();
    struct packet p;
    for (uint32_t length = 40; length < m->length; length++) {
        put16(m->bytes + 4, length - 40);
        assert_int_equal(parse_bytes(m->bytes, length, &p), PACKET_MALFORMED);
    }
    free(m);
}

static void bytes_behind_the_packet_make_it_malformed(void **state)
{
    (void)state;
    struct tuple tuples[] = {tuple4(), tuple6()};
    for (int i = 0; i < 2; i++) {
        struct segment s = data_of(&tuples[i], 1, 2, 10);
        struct made *m = make_new(&s);
        m->bytes[m->length] = 0;
        m->length++;
        expect_kind(m, PACKET_MALFORMED);
        assert_int_equal(packet_length(m->bytes, m->length), m->length - 1); /* a batch goes on after it */
        free(m);
    }
}

static void o6_a_fragment_never_counts_as_tcp(void **state)
{
    (void)state;
    static const uint16_t fragment_fields[] = {0x2000, 0x0001, 0x1fff, 0x2001, 0x3fff, 0x6000};
    struct tuple t4 = tuple4(), t6 = tuple6();
    struct segment s = data_of(&t4, 1, 2, 64);
    struct made *m = make_new(&s);
    for (size_t i = 0; i < sizeof fragment_fields / sizeof *fragment_fields; i++) {
        put16(m->bytes + 6, fragment_fields[i]);
        expect_kind(m, PACKET_OTHER);
    }
    put16(m->bytes + 6, 0x0000);
    expect_kind(m, PACKET_TCP);
    put16(m->bytes + 6, 0x4000); /* "don't fragment" is no fragment */
    expect_kind(m, PACKET_TCP);
    free(m);

    s = data_of(&t6, 1, 2, 64);
    s.ip_options = 8;
    m = make_new(&s);
    m->bytes[6] = 44; /* a fragment header in place of the options */
    expect_kind(m, PACKET_OTHER);
    free(m);
}

static void other_protocols_are_other(void **state)
{
    (void)state;
    struct tuple tuples[] = {tuple4(), tuple6()};
    static const uint8_t protocols[] = {1, 17, 50, 51, 58, 59, 132, 255};
    for (int i = 0; i < 2; i++) {
        struct segment s = data_of(&tuples[i], 1, 2, 3);
        struct made *m = make_new(&s);
        for (size_t k = 0; k < sizeof protocols; k++) {
            m->bytes[i ? 6 : 9] = protocols[k];
            expect_kind(m, PACKET_OTHER);
        }
        free(m);
    }
}

static void wrong_versions_are_malformed(void **state)
{
    (void)state;
    struct tuple t = tuple4();
    struct segment s = data_of(&t, 1, 2, 40);
    struct made *m = make_new(&s);
    for (uint32_t version = 0; version < 16; version++) {
        m->bytes[0] = (uint8_t)(version << 4 | 5);
        expect_kind(m, version == 4 ? PACKET_TCP : PACKET_MALFORMED);
    }
    free(m);
}

static void header_lengths_that_lie_are_malformed(void **state)
{
    (void)state;
    struct tuple tuples[] = {tuple4(), tuple6()};
    for (int i = 0; i < 2; i++) {
        struct segment s = data_of(&tuples[i], 1, 2, 8);
        struct made *m = make_new(&s);
        for (uint32_t offset = 0; offset < 16; offset++) {
            m->bytes[m->tcp_offset + 12] = (uint8_t)(offset << 4);
            expect_kind(m, offset >= 5 && offset <= 7 ? PACKET_TCP : PACKET_MALFORMED);
        }
        free(m);
    }
    struct segment s = data_of(&tuples[0], 1, 2, 0);
    struct made *m = make_new(&s);
    for (uint32_t words = 0; words < 16; words++) {
        m->bytes[0] = (uint8_t)(0x40 | words);
        expect_kind(m, words == 5 ? PACKET_TCP : PACKET_MALFORMED);
    }
    m->bytes[0] = 0x45;
    for (uint32_t total = 0; total < 20; total++) {
        put16(m->bytes + 2, total);
        expect_kind(m, PACKET_MALFORMED);
        assert_int_equal(packet_length(m->bytes, m->length), 0);
    }
    free(m);
}

static void a_mapped_ip6_address_is_no_ip4_address(void **state)
{
    (void)state;
    struct tuple mapped = tuple_of("::ffff:10.1.2.3", 49152, "::ffff:93.184.216.34", 443), t4 = tuple4();
    struct segment s = data_of(&mapped, 1, 2, 3);
    struct made *m = make_new(&s);
    struct packet p;
    assert_int_equal(parse(m, &p), PACKET_TCP);
    assert_int_equal(p.tuple.family, FAMILY_IP6);
    assert_false(tuple_equal(&p.tuple, &t4));
    free(m);
}

static void random_bytes_never_lead_outside(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0001};
    uint8_t bytes[256];
    uint32_t found = 0;
    for (int i = 0; i < 200000; i++) {
        uint32_t length = rng_below(&r, 160);
        rng_fill(&r, bytes, length);
        /* Mostly plausible: otherwise nothing gets past the first test. */
        bool ip4 = rng_below(&r, 2) == 0;
        bytes[0] = (uint8_t)(ip4 ? 0x40 | (5 + rng_below(&r, 3)) : 0x60);
        put16(bytes + (ip4 ? 2 : 4), ip4 ? length : length - 40);
        bytes[ip4 ? 9 : 6] = ip4 || rng_below(&r, 2) ? 6 : (uint8_t)(rng_below(&r, 2) ? 0 : 60);
        bytes[6] = ip4 ? 0x40 : bytes[6];
        bytes[7] = ip4 ? 0 : bytes[7];
        struct packet p;
        if (parse_bytes(bytes, length, &p) == PACKET_TCP) {
            found++;
            assert_in_range(p.tcp - p.ip, ip4 ? 20 : 40, length - 20);
            assert_in_range(p.payload, 0, length - (uint32_t)(p.tcp - p.ip) - 20);
        }
    }
    assert_true(found > 1000);
}

static int set_up(void **state)
{
    (void)state;
    guard = guarded_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guarded_free(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_of_both_families_are_parsed),
        cmocka_unit_test(options_and_extension_headers_are_skipped),
        cmocka_unit_test(chained_extension_headers_are_skipped),
        cmocka_unit_test(an_extension_header_that_lies_is_malformed),
        cmocka_unit_test(every_truncation_is_caught_without_reading_past_the_end),
        cmocka_unit_test(bytes_behind_the_packet_make_it_malformed),
        cmocka_unit_test(o6_a_fragment_never_counts_as_tcp),
        cmocka_unit_test(other_protocols_are_other),
        cmocka_unit_test(wrong_versions_are_malformed),
        cmocka_unit_test(header_lengths_that_lie_are_malformed),
        cmocka_unit_test(a_mapped_ip6_address_is_no_ip4_address),
        cmocka_unit_test(random_bytes_never_lead_outside),
    };
    return cmocka_run_group_tests_name("packet", tests, set_up, tear_down);
}
