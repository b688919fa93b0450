// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Unit tests of filter.c and field.c: what the driver accepts, and what a test matches. The
// conformance programs check the same machine with what the genuine compiler produces.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "filter.h"

enum { EQ, NEQ, LT, LEQ, GT, GEQ };

#define TEST(f, t, a0)                                                                                                 \
    {                                                                                                                  \
        .field = FIELD_##f, .test = (t), .success = WD_ACCEPT, .failure = WD_REJECT, .arg = { a0 }                     \
    }

// 10.0.0.1:50000 -> 10.0.0.2:80, PSH ACK, TTL 64, "GET /"
static const uint8_t get4[45] = {
    0x45, 0x00, 0x00, 0x2d, 0x12, 0x34, 0x40, 0x00, 0x40, 0x06, 0x00, 0x00, 0x0a, 0x00, 0x00,
    0x01, 0x0a, 0x00, 0x00, 0x02, 0xc3, 0x50, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0xa0, 0xb0,
    0xc0, 0xd0, 0x50, 0x18, 0x20, 0x00, 0xab, 0xcd, 0x00, 0x07, 'G',  'E',  'T',  ' ',  '/',
};

static struct wd_address outbound = {
    .timestamp = -5, .outbound = 1, .loopback = 1, .network = {.if_idx = 7, .sub_if_idx = 3}};

static bool match(struct wd_filter_object object, const struct wd_address *address, const void *data, size_t length)
{
    uint8_t *copy = malloc(length); // exact: the sanitizer sees reads beyond
    struct packet packet;
    struct filter filter;
    bool matches;

    memcpy(copy, data, length);
    assert_true(packet_parse(&packet, copy, length));
    assert_true(filter_load(&filter, &object, sizeof(object), address->layer));
    matches = filter_match(&filter, address, &packet);
    free(copy);
    return matches;
}

static bool match4(struct wd_filter_object object)
{
    return match(object, &outbound, get4, sizeof(get4));
}

static bool loads(struct wd_filter_object object, enum wd_layer layer)
{
    struct filter filter;

    return filter_load(&filter, &object, sizeof(object), layer);
}

#define assert_value(f, v)                                                                                             \
    do {                                                                                                               \
        assert_true(match4((struct wd_filter_object)TEST(f, EQ, v)));                                                  \
        assert_false(match4((struct wd_filter_object)TEST(f, NEQ, v)));                                                \
        assert_true(match4((struct wd_filter_object)TEST(f, LEQ, v)));                                                 \
        assert_false(match4((struct wd_filter_object)TEST(f, LT, v)));                                                 \
        assert_true(match4((struct wd_filter_object)TEST(f, GEQ, v)));                                                 \
        assert_false(match4((struct wd_filter_object)TEST(f, GT, v)));                                                 \
    } while (0)

static void reads_each_ipv4_and_tcp_field(void **state)
{
    (void)state;
    assert_value(ZERO, 0);
    assert_value(INBOUND, 0);
    assert_value(OUTBOUND, 1);
    assert_value(IF_IDX, 7);
    assert_value(SUB_IF_IDX, 3);
    assert_value(IP, 1);
    assert_value(IPV6, 0);
    assert_value(ICMP, 0);
    assert_value(TCP, 1);
    assert_value(UDP, 0);
    assert_value(ICMPV6, 0);
    assert_value(IP_HDR_LENGTH, 5);
    assert_value(IP_TOS, 0);
    assert_value(IP_LENGTH, 45);
    assert_value(IP_ID, 0x1234);
    assert_value(IP_DF, 1);
    assert_value(IP_MF, 0);
    assert_value(IP_FRAG_OFF, 0);
    assert_value(IP_TTL, 64);
    assert_value(IP_PROTOCOL, 6);
    assert_value(IP_CHECKSUM, 0);
    assert_value(TCP_SRC_PORT, 50000);
    assert_value(TCP_DST_PORT, 80);
    assert_value(TCP_SEQ_NUM, 0x01020304);
    assert_value(TCP_ACK_NUM, 0xa0b0c0d0);
    assert_value(TCP_HDR_LENGTH, 5);
    assert_value(TCP_URG, 0);
    assert_value(TCP_ACK, 1);
    assert_value(TCP_PSH, 1);
    assert_value(TCP_RST, 0);
    assert_value(TCP_SYN, 0);
    assert_value(TCP_FIN, 0);
    assert_value(TCP_WINDOW, 0x2000);
    assert_value(TCP_CHECKSUM, 0xabcd);
    assert_value(TCP_URG_PTR, 7);
    assert_value(TCP_PAYLOAD_LENGTH, 5);
    assert_value(LOOPBACK, 1);
    assert_value(IMPOSTOR, 0);
    assert_value(LOCAL_PORT, 50000);
    assert_value(REMOTE_PORT, 80);
    assert_value(PROTOCOL, 6);
    assert_value(EVENT, 0);
    assert_value(LENGTH, 45);
    assert_value(FRAGMENT, 0);
}

static void addresses_are_compared_in_mapped_form(void **state)
{
    struct wd_filter_object source = TEST(IP_SRC_ADDR, EQ, 0x0a000001);
    struct wd_filter_object below = TEST(LOCAL_ADDR, LT, 0x0a000002);
    struct wd_filter_object other = TEST(REMOTE_ADDR, EQ, 0x0a000002);
    struct wd_address inbound = outbound;

    (void)state;
    source.arg[1] = below.arg[1] = other.arg[1] = 0xffff;
    inbound.outbound = 0;
    assert_true(match4(source));
    assert_true(match4(below));
    assert_true(match4(other));
    assert_false(match(other, &inbound, get4, sizeof(get4))); // ends change places
    other.arg[1] = 0;                                         // ::a00:2 is somebody else
    assert_false(match4(other));
}

static void test_of_absent_header_fails(void **state)
{
    struct wd_filter_object ipv6 = TEST(IPV6_SRC_ADDR, NEQ, 1);

    (void)state;
    assert_false(match4((struct wd_filter_object)TEST(UDP_DST_PORT, NEQ, 80)));
    assert_false(match4((struct wd_filter_object)TEST(UDP_DST_PORT, EQ, 80)));
    assert_false(match4((struct wd_filter_object)TEST(IPV6_HOP_LIMIT, GEQ, 0)));
    assert_false(match4((struct wd_filter_object)TEST(ICMP_TYPE, GEQ, 0)));
    assert_false(match4(ipv6));
}

static struct wd_filter_object indexed(enum field field, uint32_t value, int32_t index)
{
    struct wd_filter_object object = TEST(ZERO, EQ, value);

    object.field = field;
    object.arg[1] = (uint32_t)index;
    return object;
}

static void index_fields_count_from_both_ends(void **state)
{
    (void)state;
    assert_true(match4(indexed(FIELD_PACKET8, 0x45, 0)));
    assert_true(match4(indexed(FIELD_PACKET16, 0x1234, 4)));
    assert_true(match4(indexed(FIELD_PACKET32, 0x0a000001, 12)));
    assert_true(match4(indexed(FIELD_PACKET8, '/', -1)));
    assert_true(match4(indexed(FIELD_TCP_PAYLOAD8, 'G', 0)));
    assert_true(match4(indexed(FIELD_TCP_PAYLOAD16, 0x4745, 0)));
    assert_true(match4(indexed(FIELD_TCP_PAYLOAD16, 0x202f, -2)));
    assert_true(match4(indexed(FIELD_TCP_PAYLOAD32, 0x47455420, 0)));
    assert_true(match4(indexed(FIELD_TCP_PAYLOAD32, 0x47455420, -5)));
    assert_false(match4(indexed(FIELD_TCP_PAYLOAD8, '/', 5)));
    assert_false(match4(indexed(FIELD_TCP_PAYLOAD16, 0, 4)));
    assert_false(match4(indexed(FIELD_TCP_PAYLOAD8, 'G', -6)));
    assert_false(match4(indexed(FIELD_UDP_PAYLOAD8, 'G', 0)));
    assert_false(match4(indexed(FIELD_PACKET8, 0, 65575)));
}

static void reads_ipv6_udp_and_icmp(void **state)
{
    uint8_t udp[48] = {0x6a, 0xbc, 0xde, 0xf1, 0, 8, 17, 33};
    uint8_t icmp[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1};
    struct wd_address out6 = {.outbound = 1, .ipv6 = 1};
    struct wd_filter_object destination = TEST(IPV6_DST_ADDR, EQ, 5);

    (void)state;
    udp[24] = 0x20;
    udp[25] = 0x01;
    udp[39] = 5;
    udp[41] = 53;
    udp[45] = 8;
    destination.arg[3] = 0x20010000;
    assert_true(match(destination, &out6, udp, sizeof(udp)));
    assert_true(match((struct wd_filter_object)TEST(IPV6_TRAFFIC_CLASS, EQ, 0xab), &out6, udp, 48));
    assert_true(match((struct wd_filter_object)TEST(IPV6_FLOW_LABEL, EQ, 0xcdef1), &out6, udp, 48));
    assert_true(match((struct wd_filter_object)TEST(IPV6_HOP_LIMIT, EQ, 33), &out6, udp, 48));
    assert_true(match((struct wd_filter_object)TEST(UDP_SRC_PORT, EQ, 53), &out6, udp, 48));
    assert_true(match((struct wd_filter_object)TEST(UDP_LENGTH, EQ, 8), &out6, udp, 48));
    assert_true(match((struct wd_filter_object)TEST(UDP_PAYLOAD_LENGTH, EQ, 0), &out6, udp, 48));

    icmp[20] = 8;
    icmp[27] = 9;
    assert_true(match((struct wd_filter_object)TEST(ICMP_TYPE, EQ, 8), &outbound, icmp, 28));
    assert_true(match((struct wd_filter_object)TEST(ICMP_BODY, EQ, 9), &outbound, icmp, 28));
    assert_true(match((struct wd_filter_object)TEST(LOCAL_PORT, EQ, 8), &outbound, icmp, 28));
    assert_true(match((struct wd_filter_object)TEST(REMOTE_PORT, EQ, 0), &outbound, icmp, 28));
}

static void timestamps_are_signed(void **state)
{
    struct wd_filter_object object = TEST(TIMESTAMP, GT, 6);

    (void)state;
    assert_false(match4(object)); // -5 > 6
    object.negative = 1;
    assert_true(match4(object)); // -5 > -6
    object.arg[0] = 4;
    assert_false(match4(object)); // -5 > -4
}

static void socket_events(void **state)
{
    struct wd_address event = {
        .layer = WD_SOCKET,
        .event = WD_SOCKET_CONNECT,
        .outbound = 1,
        .socket = {.endpoint = 1ull << 40,
                   .pid = 77,
                   .local_addr = {1, 0xffff, 0, 0},
                   .local_port = 1000,
                   .remote_port = 80,
                   .protocol = 6},
    };
    static const struct {
        enum field field;
        uint32_t value;
        bool matches;
    } cases[] = {
        {FIELD_TCP, 1, true},          {FIELD_UDP, 1, false},
        {FIELD_PROCESS_ID, 77, true},  {FIELD_LOCAL_PORT, 1000, true},
        {FIELD_REMOTE_PORT, 80, true}, {FIELD_PROTOCOL, 6, true},
        {FIELD_EVENT, 4, true},        {FIELD_EVENT, 5, false},
        {FIELD_ENDPOINT_ID, 0, false}, {FIELD_IP, 0, true},
        {FIELD_IPV6, 0, true}, // no packet, no header
    };
    struct filter filter;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wd_filter_object object = TEST(ZERO, EQ, cases[i].value);

        object.field = cases[i].field;
        assert_true(filter_load(&filter, &object, sizeof(object), WD_SOCKET));
        assert_int_equal(filter_match(&filter, &event, NULL), cases[i].matches);
    }
}

static void follows_targets(void **state)
{
    // outbound and ip and tcp.DstPort == 80
    struct wd_filter_object objects[3] = {TEST(OUTBOUND, NEQ, 0), TEST(IP, NEQ, 0), TEST(TCP_DST_PORT, EQ, 80)};
    struct filter filter;
    struct packet packet;

    (void)state;
    objects[0].success = 1;
    objects[1].success = 2;
    packet_parse(&packet, get4, sizeof(get4));
    assert_true(filter_load(&filter, objects, sizeof(objects), WD_NETWORK));
    assert_true(filter_match(&filter, &outbound, &packet));
    objects[2].arg[0] = 81;
    assert_true(filter_load(&filter, objects, sizeof(objects), WD_NETWORK));
    assert_false(filter_match(&filter, &outbound, &packet));
}

static void refuses_bad_programs(void **state)
{
    static struct wd_filter_object objects[256];
    struct filter filter;

    (void)state;
    for (int i = 0; i < 256; i++)
        objects[i] = (struct wd_filter_object)TEST(ZERO, EQ, 0);
    assert_false(filter_load(&filter, objects, 0, WD_NETWORK));
    assert_false(filter_load(&filter, objects, 23, WD_NETWORK));
    assert_false(filter_load(&filter, objects, 25, WD_NETWORK));
    assert_true(filter_load(&filter, objects, 255 * 24, WD_NETWORK));
    assert_false(filter_load(&filter, objects, 256 * 24, WD_NETWORK));
    assert_int_equal(filter.count, 0);
    objects[1].success = 1; // itself
    assert_false(filter_load(&filter, objects, 3 * 24, WD_NETWORK));
    objects[1].success = 3; // behind the end
    assert_false(filter_load(&filter, objects, 3 * 24, WD_NETWORK));
    objects[1].success = 2;
    assert_true(filter_load(&filter, objects, 3 * 24, WD_NETWORK));
    objects[1].failure = 0; // back
    assert_false(filter_load(&filter, objects, 3 * 24, WD_NETWORK));
    objects[1].failure = WD_REJECT;
    objects[1].test = 6;
    assert_false(filter_load(&filter, objects, 3 * 24, WD_NETWORK));
    objects[1].test = EQ;
    objects[1].field = FIELD_COUNT;
    assert_false(filter_load(&filter, objects, 3 * 24, WD_NETWORK));
}

static void refuses_values_out_of_range(void **state)
{
    struct wd_filter_object address = TEST(IP_DST_ADDR, EQ, 1);
    struct wd_filter_object time = TEST(TIMESTAMP, EQ, 0);

    (void)state;
    assert_true(loads((struct wd_filter_object)TEST(TCP_DST_PORT, EQ, 65535), WD_NETWORK));
    assert_false(loads((struct wd_filter_object)TEST(TCP_DST_PORT, EQ, 65536), WD_NETWORK));
    assert_false(loads((struct wd_filter_object)TEST(TCP_SYN, EQ, 2), WD_NETWORK));
    assert_false(loads((struct wd_filter_object)TEST(LENGTH, EQ, 19), WD_NETWORK));
    assert_true(loads((struct wd_filter_object)TEST(LENGTH, EQ, 65575), WD_NETWORK));
    assert_false(loads((struct wd_filter_object)TEST(LENGTH, EQ, 65576), WD_NETWORK));
    assert_false(loads((struct wd_filter_object)TEST(EVENT, EQ, WD_SOCKET_BIND), WD_NETWORK));
    assert_true(loads((struct wd_filter_object)TEST(EVENT, EQ, WD_SOCKET_BIND), WD_SOCKET));
    assert_false(loads((struct wd_filter_object)TEST(PROCESS_ID, EQ, 1), WD_NETWORK));
    assert_false(loads((struct wd_filter_object)TEST(TCP_SYN, EQ, 1), WD_SOCKET));
    assert_false(loads((struct wd_filter_object)TEST(PRIORITY, EQ, 1), WD_NETWORK));
    assert_true(loads((struct wd_filter_object)TEST(PRIORITY, EQ, 30000), WD_REFLECT));
    assert_false(loads((struct wd_filter_object)TEST(PRIORITY, EQ, 30001), WD_REFLECT));
    assert_false(loads(address, WD_NETWORK));
    address.arg[1] = 0xffff;
    assert_true(loads(address, WD_NETWORK));
    address.arg[2] = 1;
    assert_false(loads(address, WD_NETWORK));
    assert_true(loads(time, WD_NETWORK));
    time.negative = 1; // minus zero
    assert_false(loads(time, WD_NETWORK));
    assert_true(loads(indexed(FIELD_PACKET8, 255, -65575), WD_NETWORK));
    assert_false(loads(indexed(FIELD_PACKET8, 255, -65576), WD_NETWORK));
    assert_false(loads(indexed(FIELD_PACKET8, 256, 0), WD_NETWORK));
}

static void survives_anything(void **state)
{
    struct wd_filter_object objects[4];
    struct filter filter;
    struct packet packet;
    int loaded = 0;

    (void)state;
    srand(1);
    packet_parse(&packet, get4, sizeof(get4));
    for (int round = 0; round < 300000; round++) {
        for (int i = 0; i < 4; i++) {
            objects[i] = (struct wd_filter_object)TEST(ZERO, rand() % 7, (uint32_t)rand() % 3);
            objects[i].field = (uint32_t)rand() % (FIELD_COUNT + 1);
            objects[i].success = rand() & 1 ? WD_ACCEPT : (uint32_t)rand() % 5;
            objects[i].arg[1] = rand() & 1 ? 0 : 0xffff;
            if (objects[i].field >= FIELD_PACKET8 && objects[i].field <= FIELD_UDP_PAYLOAD32)
                objects[i].arg[1] = (uint32_t)(rand() % 140 - 70);
        }
        if (filter_load(&filter, objects, sizeof(objects), WD_NETWORK)) {
            filter_match(&filter, &outbound, &packet);
            loaded++;
        }
    }
    assert_true(loaded > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_ipv4_and_tcp_field),
        cmocka_unit_test(addresses_are_compared_in_mapped_form),
        cmocka_unit_test(test_of_absent_header_fails),
        cmocka_unit_test(index_fields_count_from_both_ends),
        cmocka_unit_test(reads_ipv6_udp_and_icmp),
        cmocka_unit_test(timestamps_are_signed),
        cmocka_unit_test(socket_events),
        cmocka_unit_test(follows_targets),
        cmocka_unit_test(refuses_bad_programs),
        cmocka_unit_test(refuses_values_out_of_range),
        cmocka_unit_test(survives_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
