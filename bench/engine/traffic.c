/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>

#define SEED 0x5eed0123456789abull /* fixed, so that every run counts the same */

void traffic_open(struct traffic *t, uint32_t family)
{
    struct engine_config config = {
        .agent_pid = AGENT,
        .proxy_port = PROXY_PORT,
        .udp_port = UDP_PORT,
        .hold_timeout_ms = ENGINE_HOLD_TIMEOUT_MS_DEFAULT,
        .scan_interval_ms = ENGINE_SCAN_INTERVAL_MS_DEFAULT,
        .max_flows = ENGINE_FLOWS_DEFAULT,
        .seed = SEED,
    };
    *t = (struct traffic){.family = family};
    if (!world_open(&t->world, &config, WORLD_WITHOUT_TABLES)) {
        fprintf(stderr, "bench_engine: no memory\n");
        exit(1);
    }
    world_process_starts(&t->world, STRANGER, 100, 4, 1);
    world_process_starts(&t->world, ROOT, 100, 4, 1);
    engine_process(t->world.engine, (struct process_id){ROOT, 100});
    struct tuple local = {.src = ip_addr_loopback(family), .src_port = be16_from_host(PROXY_PORT), .family = family};
    engine_listener(t->world.engine, &local, AGENT);
    world_replace_filter(&t->world, true);
}

void traffic_close(struct traffic *t)
{
    world_close(&t->world);
}

static ip_addr address(uint32_t family, uint8_t net, uint32_t i)
{
    uint8_t four[4] = {10, net, (uint8_t)(i >> 8), (uint8_t)i};
    uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, [7] = net, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i};
    return family == FAMILY_IP4 ? ip_addr_from_ip4(four) : ip_addr_from_ip6(six);
}

struct tuple traffic_forward(const struct traffic *t, uint32_t i)
{
    return (struct tuple){
        .src = address(t->family, 1, 1), /* one machine, */
        .dst = address(t->family, 2, i), /* many servers */
        .src_port = be16_from_host((uint16_t)(FIRST_PORT + i)),
        .dst_port = be16_from_host(443),
        .family = t->family,
    };
}

struct tuple traffic_reply(const struct traffic *t, uint32_t i)
{
    return (struct tuple){
        .src = ip_addr_loopback(t->family),
        .dst = ip_addr_loopback(t->family),
        .src_port = be16_from_host(PROXY_PORT),
        .dst_port = be16_from_host((uint16_t)(FIRST_PORT + i)),
        .family = t->family,
    };
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static uint32_t sum16(const uint8_t *at, uint32_t size, uint32_t sum)
{
    for (uint32_t i = 0; i + 1 < size; i += 2) {
        sum += (uint32_t)at[i] << 8 | at[i + 1];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return size % 2 ? sum + ((uint32_t)at[size - 1] << 8) : sum;
}

static void put_sum(uint8_t *at, uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(at, ~sum & 0xffff);
}

void traffic_make(struct traffic *t, const struct tuple *tuple, uint8_t flags, uint32_t payload, bool offloaded)
{
    bool four = t->family == FAMILY_IP4;
    uint32_t header = four ? 20 : 40, segment = 20 + payload;
    uint8_t *ip = t->packet, *tcp = ip + header;
    t->length = header + segment;
    memset(ip, 0, t->length);
    ip[0] = four ? 0x45 : 0x60;
    if (four) {
        put16(ip + 2, t->length);
        ip[8] = 64;
        ip[9] = 6;
        memcpy(ip + 12, tuple->src.bytes + 12, 4);
        memcpy(ip + 16, tuple->dst.bytes + 12, 4);
    } else {
        put16(ip + 4, segment);
        ip[6] = 6;
        ip[7] = 64;
        memcpy(ip + 8, tuple->src.bytes, 16);
        memcpy(ip + 24, tuple->dst.bytes, 16);
    }
    memcpy(tcp, &tuple->src_port, 2);
    memcpy(tcp + 2, &tuple->dst_port, 2);
    put32(tcp + 4, flags & TCP_SYN ? 100 : 101);
    put32(tcp + 8, flags & TCP_ACK ? 101 : 0);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    put16(tcp + 14, 0xffff);
    if (!offloaded) {
        if (four) {
            put_sum(ip + 10, sum16(ip, 20, 0));
        }
        uint32_t pseudo = sum16(ip + (four ? 12 : 8), four ? 8 : 32, 6 + segment);
        put_sum(tcp + 16, sum16(tcp, segment, pseudo));
    }
    t->meta = (struct packet_meta){
        .timestamp = ++t->world.clock,
        .if_index = 7,
        .outbound = true,
        .loopback = tuple->src_port.wire == be16_from_host(PROXY_PORT).wire,
        .ip_checksum_valid = !offloaded,
        .transport_checksum_valid = !offloaded,
    };
}

void traffic_make_udp(struct traffic *t, const struct tuple *tuple, uint32_t payload, bool offloaded)
{
    bool four = t->family == FAMILY_IP4;
    uint32_t header = four ? 20 : 40, size = 8 + payload;
    traffic_make(t, tuple, 0, size < 20 ? 0 : size - 20, offloaded);
    uint8_t *ip = t->packet, *udp = ip + header;
    t->length = header + size;
    put16(ip + (four ? 2 : 4), four ? t->length : size);
    ip[four ? 9 : 6] = 17;
    memset(udp + 4, 0, size - 4);
    put16(udp + 4, size);
    if (!offloaded) {
        if (four) {
            put16(ip + 10, 0);
            put_sum(ip + 10, sum16(ip, 20, 0));
        }
        put_sum(udp + 6, sum16(udp, size, sum16(ip + (four ? 12 : 8), four ? 8 : 32, 17 + size)));
    }
    t->meta.loopback = tuple->src_port.wire == be16_from_host(UDP_PORT).wire;
}

struct socket_event traffic_connect(struct traffic *t, uint32_t i, uint32_t pid)
{
    return (struct socket_event){
        .kind = SOCKET_CONNECT, .pid = pid, .timestamp = ++t->world.clock, .tuple = traffic_forward(t, i)};
}

static void unmeasured_packet(struct traffic *t, const struct tuple *tuple, uint8_t flags)
{
    traffic_make(t, tuple, flags, 0, false);
    enum verdict verdict = engine_packet(t->world.engine, &t->meta, t->packet, t->length, t->world.now);
    if (verdict == VERDICT_HOLD) { /* the first one: its port was not captured */
        world_replace_filter(&t->world, true);
    } else if (verdict != VERDICT_REWRITE) {
        fprintf(stderr, "bench_engine: a packet of the tree is not redirected\n");
        exit(1);
    }
}

void traffic_grow(struct traffic *t, uint32_t flows)
{
    for (; t->flows < flows; t->flows++) {
        struct socket_event event = traffic_connect(t, t->flows, ROOT);
        struct tuple forward = traffic_forward(t, t->flows), reply = traffic_reply(t, t->flows);
        engine_event(t->world.engine, &event, t->world.now);
        unmeasured_packet(t, &forward, TCP_SYN);
        unmeasured_packet(t, &reply, TCP_SYN | TCP_ACK);
        unmeasured_packet(t, &forward, TCP_ACK);
    }
}
