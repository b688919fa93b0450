/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Unit tests of packet.c: parsing of well-formed and broken packets, checksums against sums that
 * were computed by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "packet.h"

/* A SYN 10.0.0.1:50000 -> 10.0.0.2:80, sums right. */
static const uint8_t syn4[40] = {
    0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x40, 0x00, 0x40, 0x06, 0x26, 0xcd, 0x0a, 0x00,
    0x00, 0x01, 0x0a, 0x00, 0x00, 0x02, 0xc3, 0x50, 0x00, 0x50, 0x00, 0x00, 0x00, 0x01,
    0x00, 0x00, 0x00, 0x00, 0x50, 0x02, 0xff, 0xff, 0xd8, 0x3e, 0x00, 0x00,
};

/* The caller's bytes exactly, on the heap: the sanitizer sees every read beyond them. */
static uint8_t *exact(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length);

    memcpy(copy, bytes, length);
    return copy;
}

static void parses_tcp_over_ipv4(void **state)
{
    uint8_t *data = exact(syn4, sizeof(syn4));
    struct packet packet;
    uint32_t address[4];

    (void)state;
    assert_true(packet_parse(&packet, data, sizeof(syn4)));
    assert_ptr_equal(packet.ip, data);
    assert_null(packet.ipv6);
    assert_ptr_equal(packet.tcp, data + 20);
    assert_int_equal(packet.payload_length, 0);
    assert_int_equal(packet_port(&packet, true), 50000);
    assert_int_equal(packet_port(&packet, false), 80);
    packet_address(&packet, true, address);
    assert_int_equal(address[0], 0x0a000001);
    assert_int_equal(address[1], 0xffff);
    assert_true(packet_checksums_right(&packet, SUM_ALL));
    free(data);
}

static void refuses_wrong_lengths(void **state)
{
    struct packet packet;

    (void)state;
    for (size_t length = 0; length < sizeof(syn4); length++) {
        uint8_t *data = exact(syn4, length);

        assert_false(packet_parse(&packet, data, length));
        free(data);
    }
    uint8_t longer[41] = {0};
    memcpy(longer, syn4, sizeof(syn4));
    assert_false(packet_parse(&packet, longer, sizeof(longer)));
}

static void refuses_bad_version_and_header_length(void **state)
{
    uint8_t data[40];
    struct packet packet;

    (void)state;
    memcpy(data, syn4, sizeof(data));
    data[0] = 0x55;
    assert_false(packet_parse(&packet, data, sizeof(data)));
    data[0] = 0x44;
    assert_false(packet_parse(&packet, data, sizeof(data)));
    data[0] = 0x4f; /* 60 bytes of header in 40 */
    assert_false(packet_parse(&packet, data, sizeof(data)));
}

static void skips_ipv6_extension_headers(void **state)
{
    /* hop-by-hop (8), destination options (16), TCP (20) */
    uint8_t data[40 + 8 + 16 + 20] = {0x60, 0, 0, 0, 0, 44, 0, 64};
    struct packet packet;

    (void)state;
    data[40] = 60;
    data[48] = 6;
    data[49] = 1;
    data[64 + 12] = 0x50;
    assert_true(packet_parse(&packet, data, sizeof(data)));
    assert_ptr_equal(packet.tcp, data + 64);
    assert_int_equal(packet.protocol, 6);

    data[6] = 50; /* ESP hides what follows */
    assert_true(packet_parse(&packet, data, sizeof(data)));
    assert_null(packet.tcp);
}

static void later_fragment_has_no_ports(void **state)
{
    uint8_t data[40];
    struct packet packet;

    (void)state;
    memcpy(data, syn4, sizeof(data));
    data[6] = 0x20; /* more fragments: the first */
    assert_true(packet_parse(&packet, data, sizeof(data)));
    assert_true(packet.fragment);
    assert_non_null(packet.tcp);
    data[7] = 0x01;
    assert_true(packet_parse(&packet, data, sizeof(data)));
    assert_null(packet.tcp);
    assert_null(packet.transport);
}

static void later_ipv6_fragment_has_no_ports(void **state)
{
    uint8_t data[40 + 8 + 20] = {0x60, 0, 0, 0, 0, 28, 44, 64};
    struct packet packet;

    (void)state;
    data[40] = 6;
    data[43] = 1; /* more fragments: the first */
    data[48 + 12] = 0x50;
    assert_true(packet_parse(&packet, data, sizeof(data)));
    assert_true(packet.fragment);
    assert_ptr_equal(packet.tcp, data + 48);
    data[42] = 1;
    assert_true(packet_parse(&packet, data, sizeof(data)));
    assert_int_equal(packet.protocol, 6);
    assert_null(packet.tcp);
}

static void notices_each_wrong_sum(void **state)
{
    uint8_t data[40];
    struct packet packet;

    (void)state;
    memcpy(data, syn4, sizeof(data));
    data[10] ^= 1;
    packet_parse(&packet, data, sizeof(data));
    assert_false(packet_checksums_right(&packet, SUM_IP));
    assert_true(packet_checksums_right(&packet, SUM_TCP | SUM_UDP));
    data[10] ^= 1;
    data[37] ^= 1;
    assert_true(packet_checksums_right(&packet, SUM_IP | SUM_UDP));
    assert_false(packet_checksums_right(&packet, SUM_TCP));
}

static void computes_the_sums(void **state)
{
    uint8_t data[40];

    (void)state;
    memcpy(data, syn4, sizeof(data));
    data[10] = data[36] = 0xaa;
    packet_set_checksums(data, sizeof(data), SUM_TCP);
    assert_int_equal(data[10], 0xaa);
    assert_memory_equal(data + 36, syn4 + 36, 2);
    packet_set_checksums(data, sizeof(data), SUM_ALL);
    assert_memory_equal(data, syn4, sizeof(data));
}

static void partial_sum_is_completed_by_adding_the_rest(void **state)
{
    uint8_t data[40];
    struct packet packet;
    uint32_t sum = 0;

    (void)state;
    memcpy(data, syn4, sizeof(data));
    packet_set_partial_checksums(data, sizeof(data), SUM_ALL);
    packet_parse(&packet, data, sizeof(data));
    assert_int_equal(read16(data + 10), 0);
    assert_false(packet_checksums_right(&packet, SUM_TCP));
    for (int at = 20; at < 40; at += 2) { /* what a network card does */
        sum += read16(data + at);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    assert_int_equal(~sum & 0xffff, read16(syn4 + 36));
}

static void odd_lengths_and_udp(void **state)
{
    uint8_t data[20 + 8 + 3] = {0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17};
    struct packet packet;

    (void)state;
    data[15] = data[19] = 1;
    data[25] = 11;
    memcpy(data + 28, "abc", 3);
    packet_set_checksums(data, sizeof(data), SUM_ALL);
    assert_true(packet_parse(&packet, data, sizeof(data)));
    assert_int_equal(packet.payload_length, 3);
    assert_true(packet_checksums_right(&packet, SUM_ALL));
    data[30] ^= 0x40;
    assert_false(packet_checksums_right(&packet, SUM_UDP));
    data[26] = data[27] = 0; /* no sum is not a wrong sum in IPv4 */
    assert_true(packet_checksums_right(&packet, SUM_UDP));
}

static void survives_anything(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 200000; round++) {
        size_t length = (size_t)(rand() % 120);
        uint8_t *data = malloc(length ? length : 1);
        struct packet packet;

        for (size_t i = 0; i < length; i++) {
            data[i] = (uint8_t)rand();
        }
        if (length >= 20) { /* make it likely to be accepted */
            data[0] = rand() & 1 ? 0x45 + rand() % 6 : 0x60;
            if (data[0] >> 4 == 4) {
                data[2] = 0;
                data[3] = (uint8_t)length;
                data[9] = rand() & 1 ? 6 : data[9];
            } else {
                data[4] = 0;
                data[5] = (uint8_t)(length - 40);
                data[6] = rand() & 1 ? 44 : data[6];
            }
        }
        if (packet_parse(&packet, data, length)) {
            packet_checksums_right(&packet, SUM_ALL);
            packet_set_partial_checksums(data, length, SUM_ALL);
            packet_set_checksums(data, length, SUM_ALL);
            assert_true(packet_checksums_right(&packet, SUM_ALL));
        }
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_tcp_over_ipv4),
        cmocka_unit_test(refuses_wrong_lengths),
        cmocka_unit_test(refuses_bad_version_and_header_length),
        cmocka_unit_test(skips_ipv6_extension_headers),
        cmocka_unit_test(later_fragment_has_no_ports),
        cmocka_unit_test(later_ipv6_fragment_has_no_ports),
        cmocka_unit_test(notices_each_wrong_sum),
        cmocka_unit_test(computes_the_sums),
        cmocka_unit_test(partial_sum_is_completed_by_adding_the_rest),
        cmocka_unit_test(odd_lengths_and_udp),
        cmocka_unit_test(survives_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
