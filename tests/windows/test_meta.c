/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The driver's addresses, and what the engine sees of them. */
#include "check.h"
#include "windows/divert.h"

#include <string.h>

static struct divert_address socket_address(uint8_t event, uint8_t flags)
{
    return (struct divert_address){
        .layer = DIVERT_LAYER_SOCKET,
        .event = event,
        .flags = flags,
        .socket = {.process_id = 1234, .local_port = 49152, .remote_port = 443, .protocol = 6},
    };
}

static void converts_socket_events(void)
{
    struct socket_event e;
    struct divert_address a = socket_address(4, DIVERT_OUTBOUND | DIVERT_LOOPBACK);
    a.socket.local_addr[0] = 0x0A000002; /* 10.0.0.2 */
    a.socket.local_addr[1] = 0xffff;
    a.socket.remote_addr[0] = 0x7f000001;
    a.socket.remote_addr[1] = 0xffff;
    CHECK(divert_socket_event(&a, &e));
    CHECK(e.kind == SOCKET_CONNECT && e.pid == 1234 && e.tuple.family == FAMILY_IP4);
    CHECK(be16_to_host(e.tuple.src_port) == 49152 && be16_to_host(e.tuple.dst_port) == 443);
    CHECK(memcmp(e.tuple.src.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\2", 16) == 0);
    ip_addr loopback = ip_addr_loopback(FAMILY_IP4);
    CHECK(ip_addr_equal(&e.tuple.dst, &loopback));

    a = socket_address(5, DIVERT_OUTBOUND); /* LISTEN on 0.0.0.0: all zeros, not mapped */
    CHECK(divert_socket_event(&a, &e) && e.kind == SOCKET_LISTEN && e.tuple.family == FAMILY_IP4);
    CHECK(ip_addr_is_any(&e.tuple.src, FAMILY_IP4) && e.tuple.src.bytes[10] == 0xff);

    a = socket_address(6, DIVERT_IPV6);
    a.socket.local_addr[0] = 5; /* 2001:db8::5 */
    a.socket.local_addr[3] = 0x20010DB8;
    a.socket.remote_addr[0] = 1;
    CHECK(divert_socket_event(&a, &e) && e.kind == SOCKET_ACCEPT && e.tuple.family == FAMILY_IP6);
    CHECK(memcmp(e.tuple.src.bytes, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\5", 16) == 0);
    loopback = ip_addr_loopback(FAMILY_IP6);
    CHECK(ip_addr_equal(&e.tuple.dst, &loopback));

    a = socket_address(3, 0);
    CHECK(divert_socket_event(&a, &e) && e.kind == SOCKET_BIND);
    a = socket_address(7, 0);
    CHECK(divert_socket_event(&a, &e) && e.kind == SOCKET_CLOSE && e.protocol == PROTOCOL_TCP);
    a.socket.protocol = 17;
    CHECK(divert_socket_event(&a, &e) && e.kind == SOCKET_CLOSE && e.protocol == PROTOCOL_UDP);
}

static void leaves_other_events_alone(void)
{
    struct socket_event e;
    struct divert_address a = socket_address(4, 0);
    a.socket.protocol = 1;
    CHECK(!divert_socket_event(&a, &e));
    a.socket.protocol = 255; /* PID 4's raw packets */
    CHECK(!divert_socket_event(&a, &e));
    for (int event = 0; event < 256; event++) {
        a = socket_address((uint8_t)event, 0);
        CHECK(divert_socket_event(&a, &e) == (event >= 3 && event <= 7));
    }
    a = socket_address(4, 0);
    a.layer = DIVERT_LAYER_NETWORK;
    CHECK(!divert_socket_event(&a, &e));
}

static void converts_packet_meta_both_ways(void)
{
    for (int flags = 0; flags < 256; flags++) {
        struct divert_address a, b;
        memset(&a, 0x5a, sizeof a);
        a.flags = (uint8_t)flags;
        a.network.if_index = 7;
        a.network.sub_if_index = 9;
        struct packet_meta m = divert_packet_meta(&a, DIVERT_TCP_CHECKSUM);
        CHECK(m.if_index == 7 && m.sub_if_index == 9 && m.outbound == !!(flags & 2) && m.loopback == !!(flags & 4) &&
              m.impostor == !!(flags & 8) && m.ip_checksum_valid == !!(flags & 0x20) &&
              m.transport_checksum_valid == !!(flags & 0x40));
        b = a;
        divert_apply_meta(&b, &m, DIVERT_TCP_CHECKSUM);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
        m = (struct packet_meta){.if_index = 1, .outbound = true, .ip_checksum_valid = true};
        divert_apply_meta(&b, &m, DIVERT_TCP_CHECKSUM);
        CHECK(b.network.if_index == 1 && b.network.sub_if_index == 0);
        CHECK(b.flags ==
              ((flags & (DIVERT_SNIFFED | DIVERT_IPV6 | DIVERT_UDP_CHECKSUM)) | DIVERT_OUTBOUND | DIVERT_IP_CHECKSUM));
    }
}

int main(void)
{
    RUN(converts_socket_events);
    RUN(leaves_other_events_alone);
    RUN(converts_packet_meta_both_ways);
    return checks_done();
}
