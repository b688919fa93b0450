/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* U4: hostile bytes. What does not fit passes, counted, and nothing outside a packet is read (its end is a guard page). */
#include "udp_fixture.h"

#include "engine/datagram.h"

static void u4_lengths_that_lie(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple all[] = {udp4(), udp6()};
    uint64_t malformed = 0;
    for (int i = 0; i < 2; i++) {
        sends_to(f, ROOT, &all[i], 1);
        for (uint32_t stated = 0; stated < 30; stated++) {
            make_udp(&f->last, &all[i], 10, 0);
            put16(f->last.bytes + f->last.tcp_offset + 4, stated);
            bool right = stated == 18;
            assert_int_equal(send_made(f, &f->last), right ? VERDICT_REWRITE : VERDICT_PASS);
            malformed += !right;
        }
    }
    assert_int_equal(UDP_COUNTER(f, udp_packets_malformed), malformed);
}

/* Cut anywhere, with a total length that fits and one that does not. */
static void u4_cut_anywhere(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple all[] = {udp4(), udp6()};
    for (int i = 0; i < 2; i++) {
        sends_to(f, ROOT, &all[i], 1);
        for (uint32_t options = 0; options <= 8; options += 8) {
            make_udp(&f->last, &all[i], 12, options);
            uint32_t whole = f->last.length;
            for (uint32_t length = 1; length < whole; length++) {
                for (int fits = 0; fits < 2; fits++) {
                    make_udp(&f->last, &all[i], 12, options);
                    f->last.length = length;
                    if (fits && length >= 40) {
                        put16(f->last.bytes + (i ? 4 : 2), i ? length - 40 : length);
                    } else if (fits && !i && length >= 20) {
                        put16(f->last.bytes + 2, length);
                    }
                    assert_int_equal(send_made(f, &f->last), VERDICT_PASS);
                }
            }
        }
    }
    assert_true(UDP_COUNTER(f, udp_packets_malformed) > 0);
    assert_int_equal(UDP_COUNTER(f, udp_packets_rewritten), 0);
}

static void u4_other_packets_pass(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), six = udp6();
    sends_to(f, ROOT, &t, 1);
    make_udp(&f->last, &t, 10, 0);
    f->last.bytes[9] = 6;
    assert_int_equal(send_made(f, &f->last), VERDICT_PASS);
    make_udp(&f->last, &six, 10, 8);
    f->last.bytes[41] = 255; /* an extension header longer than the packet */
    assert_int_equal(send_made(f, &f->last), VERDICT_PASS);
    assert_int_equal(UDP_COUNTER(f, udp_packets_malformed), 1);
    make_udp(&f->last, &t, 10, 0);
    f->last.bytes[0] = 0x44; /* a header of 16 bytes */
    assert_int_equal(send_made(f, &f->last), VERDICT_PASS);
    make_udp(&f->last, &t, 10, 0);
    f->last.bytes[0] = 0x5f; /* no IP */
    assert_int_equal(send_made(f, &f->last), VERDICT_PASS);
    assert_int_equal(UDP_COUNTER(f, udp_packets_malformed), 3);
}

static void u4_first_fragments_that_lie(void **state)
{
    static struct made whole, part;
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    sends_to(f, ROOT, &t, 1);
    make_udp(&whole, &t, 3000, 0);
    make_fragment(&part, &whole, 5, 0, 1480);
    put16(part.bytes + 24, 1480); /* all of it would be here already */
    assert_int_equal(send_made(f, &part), VERDICT_PASS);
    make_fragment(&part, &whole, 5, 0, 1480);
    part.length = 27; /* no whole UDP header */
    put16(part.bytes + 2, 27);
    assert_int_equal(send_made(f, &part), VERDICT_PASS);
    assert_int_equal(UDP_COUNTER(f, udp_packets_malformed), 2);
    make_fragment(&part, &whole, 5, 1480, 1480);
    assert_int_equal(send_made(f, &part), VERDICT_PASS); /* its first one was none */
    assert_int_equal(UDP_COUNTER(f, udp_fragments_passed), 1);
    make_fragment(&part, &whole, 6, 2960, 8);
    part.length = 20; /* nothing in it */
    put16(part.bytes + 2, 20);
    assert_int_equal(send_made(f, &part), VERDICT_PASS);
}

/* An IPv6 "atomic" fragment: first and last one at once. */
static void u4_atomic_fragment(void **state)
{
    static struct made whole, part;
    struct udp_fixture *f = *state;
    struct tuple t = udp6();
    sends_to(f, ROOT, &t, 1);
    make_udp(&whole, &t, 300, 0);
    make_fragment(&part, &whole, 5, 0, 1480);
    assert_int_equal(send_made(f, &part), VERDICT_REWRITE);
    assert_int_equal(udp_sum(&part), reference_udp_checksum(part.bytes, part.length, 48));
}

static void u4_parsed(void **state)
{
    static struct made m, part;
    struct datagram d;
    struct tuple all[] = {udp4(), udp6()};
    (void)state;
    for (int i = 0; i < 2; i++) {
        make_udp(&m, &all[i], 3000, (uint32_t)i * 8);
        assert_int_equal(datagram_read(m.bytes, m.length, &d), DATAGRAM_WHOLE);
        struct tuple t = datagram_tuple(&d, 0);
        assert_true(tuple_equal(&t, &all[i]));
        assert_ptr_equal(d.at.udp, m.bytes + m.tcp_offset);
        assert_int_equal(d.payload, 3000);
        assert_null(d.fragment);
        assert_true(d.last);
        make_udp(&m, &all[i], 3000, 0);
        make_fragment(&part, &m, 0x12345, 0, 1480);
        assert_int_equal(datagram_read(part.bytes, part.length, &d), DATAGRAM_FIRST);
        assert_false(d.last);
        assert_int_equal(d.id, i ? 0x12345 : 0x2345);
        make_fragment(&part, &m, 0x12345, 2960, 1480);
        assert_int_equal(datagram_read(part.bytes, part.length, &d), DATAGRAM_LATER);
        assert_true(d.last);
        assert_int_equal(d.payload, 48);
        struct tuple key = datagram_fragment_key(&d, 9);
        assert_int_equal(be16_to_host(key.dst_port), 0x2345);
        assert_int_equal(be16_to_host(key.src_port), i ? 1 : 0);
        assert_int_equal(key.scope, 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_UDP(u4_lengths_that_lie),         WITH_UDP(u4_cut_anywhere),    WITH_UDP(u4_other_packets_pass),
        WITH_UDP(u4_first_fragments_that_lie), WITH_UDP(u4_atomic_fragment), cmocka_unit_test(u4_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
