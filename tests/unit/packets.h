/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file packets.h
 * Packets for tests: builders for both families, an independent checksum, and memory that ends at a guard page.
 *
 * Nothing here calls the code under test. The checksum is the sum of RFC 1071 written down word by word, the
 * header is found again by walking the bytes: slow, plain, and of other make than the engine's.
 */
#ifndef TESTS_PACKETS_H
#define TESTS_PACKETS_H

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/packet.h"

/**
 * Where a test's decisions come from: numbers that are the same in every run with the same seed (xorshift64*), or,
 * while `bytes` is set, the input that a fuzzer thought of. It has come to its end when rng_dry() says so; then all is
 * 0.
 */
struct rng {
    uint64_t state;
    const uint8_t *bytes; /* NULL: the seed counts */
    size_t left;
};

static inline struct rng rng_seeded(uint64_t seed)
{
    return (struct rng){.state = seed * 0x9e3779b97f4a7c15 | 1};
}

static inline bool rng_dry(const struct rng *r)
{
    return r->bytes && !r->left;
}

/* A number of `size` bytes from the input. */
static inline uint32_t rng_take(struct rng *r, uint32_t size)
{
    uint32_t n = 0;
    for (; size && r->left; size--, r->left--) {
        n = n << 8 | *r->bytes++;
    }
    return n;
}

static inline uint64_t rng_next(struct rng *r)
{
    if (r->bytes) {
        return rng_take(r, 4);
    }
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * 0x2545f4914f6cdd1d;
}

/** 0..limit-1 */
static inline uint32_t rng_below(struct rng *r, uint32_t limit)
{
    if (r->bytes) { /* no more bytes than needed: that is what lets a fuzzer change one decision at a time */
        return rng_take(r, limit <= 1 ? 0 : limit <= 256 ? 1 : limit <= 65536 ? 2 : 4) % limit;
    }
    return (uint32_t)(rng_next(r) >> 33) % limit;
}

static inline void rng_fill(struct rng *r, void *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)out)[i] = (uint8_t)(r->bytes ? rng_take(r, 1) : rng_next(r) >> 40);
    }
}

static inline ip_addr address_of(const char *text, uint32_t *family)
{
    uint8_t bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1) {
        *family = FAMILY_IP4;
        return ip_addr_from_ip4(bytes);
    }
    assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
    *family = FAMILY_IP6;
    return ip_addr_from_ip6(bytes);
}

/** A tuple from addresses as text; both of one family. */
static inline struct tuple tuple_of(const char *src, uint16_t src_port, const char *dst, uint16_t dst_port)
{
    struct tuple t;
    uint32_t family;
    memset(&t, 0, sizeof t);
    t.src = address_of(src, &t.family);
    t.dst = address_of(dst, &family);
    assert_int_equal(family, t.family);
    t.src_port = be16_from_host(src_port);
    t.dst_port = be16_from_host(dst_port);
    return t;
}

enum { TUPLE_BYTES = 36 };

/** Source, destination (16 bytes each; IPv4 takes the first 4) and both ports, as they stand in packets. */
static inline struct tuple tuple_from(const uint8_t bytes[TUPLE_BYTES], uint32_t family)
{
    struct tuple t = {.family = family};
    t.src = family == FAMILY_IP4 ? ip_addr_from_ip4(bytes) : ip_addr_from_ip6(bytes);
    t.dst = family == FAMILY_IP4 ? ip_addr_from_ip4(bytes + 16) : ip_addr_from_ip6(bytes + 16);
    memcpy(&t.src_port, bytes + 32, 2);
    memcpy(&t.dst_port, bytes + 34, 2);
    return t;
}

static inline struct tuple tuple_random(struct rng *r, uint32_t family)
{
    uint8_t bytes[TUPLE_BYTES];
    rng_fill(r, bytes, sizeof bytes);
    return tuple_from(bytes, family);
}

/** What a TCP segment is to be. */
struct segment {
    struct tuple tuple;
    uint32_t seq, ack;
    uint8_t flags;
    uint32_t payload;     /* bytes */
    uint32_t ip_options;  /* bytes: multiple of 4 up to 40 in IPv4; of 8 in IPv6 (a destination options header) */
    uint32_t tcp_options; /* bytes: multiple of 4 up to 40 */
};

/** A whole packet, with what a driver would say of it. */
struct made {
    uint32_t length, tcp_offset;
    struct packet_meta meta;
    uint8_t bytes[PACKET_MAX];
};

/** One's complement sum of a byte string, as RFC 1071 puts it, on top of `sum`. */
static inline uint32_t reference_sum(const uint8_t *p, uint32_t size, uint32_t sum)
{
    for (uint32_t i = 0; i < size; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        if (sum > 0xffff) {
            sum -= 0xffff;
        }
    }
    return sum;
}

/** The IPv4 header checksum as it should stand in the packet. */
static inline uint16_t reference_ip_checksum(const uint8_t *ip)
{
    uint8_t header[60];
    uint32_t size = (uint32_t)(ip[0] & 15) * 4;
    memcpy(header, ip, size);
    header[10] = header[11] = 0;
    return (uint16_t)~reference_sum(header, size, 0);
}

/** The TCP checksum as it should stand in the packet. */
static inline uint16_t reference_tcp_checksum(const uint8_t *ip, uint32_t length, uint32_t tcp_offset)
{
    uint32_t segment = length - tcp_offset;
    uint8_t pseudo[40] = {0};
    uint32_t size;
    if (ip[0] >> 4 == 4) {
        memcpy(pseudo, ip + 12, 8);
        pseudo[9] = 6;
        pseudo[10] = (uint8_t)(segment >> 8);
        pseudo[11] = (uint8_t)segment;
        size = 12;
    } else {
        memcpy(pseudo, ip + 8, 32);
        pseudo[33] = (uint8_t)(segment >> 16);
        pseudo[34] = (uint8_t)(segment >> 8);
        pseudo[35] = (uint8_t)segment;
        pseudo[39] = 6;
        size = 40;
    }
    uint32_t sum = reference_sum(pseudo, size, 0);
    sum = reference_sum(ip + tcp_offset, 16, sum);
    return (uint16_t)~reference_sum(ip + tcp_offset + 18, segment - 18, sum); /* without the field itself */
}

static inline uint16_t wire16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire32(const uint8_t *p)
{
    return (uint32_t)wire16(p) << 16 | wire16(p + 2);
}

static inline void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

static inline bool ip_checksum_right(const struct made *m)
{
    return m->bytes[0] >> 4 != 4 || wire16(m->bytes + 10) == reference_ip_checksum(m->bytes);
}

static inline bool tcp_checksum_right(const struct made *m)
{
    return wire16(m->bytes + m->tcp_offset + 16) == reference_tcp_checksum(m->bytes, m->length, m->tcp_offset);
}

/** Writes both checksums. */
static inline void seal(struct made *m)
{
    if (m->bytes[0] >> 4 == 4) {
        put16(m->bytes + 10, reference_ip_checksum(m->bytes));
    }
    put16(m->bytes + m->tcp_offset + 16, reference_tcp_checksum(m->bytes, m->length, m->tcp_offset));
}

static inline void write_ip4(uint8_t *ip, const struct segment *s, uint32_t header, uint32_t length)
{
    ip[0] = (uint8_t)(0x40 | header / 4);
    put16(ip + 2, length);
    put16(ip + 4, 0x1234); /* identification */
    ip[6] = 0x40;
    ip[8] = 117;
    ip[9] = 6;
    memcpy(ip + 12, s->tuple.src.bytes + 12, 4);
    memcpy(ip + 16, s->tuple.dst.bytes + 12, 4);
    memset(ip + 20, 1, header - 20); /* no-operation options */
}

static inline void write_ip6(uint8_t *ip, const struct segment *s, uint32_t header, uint32_t length)
{
    put32(ip, 0x6ab12345); /* traffic class and flow label */
    put16(ip + 4, length - 40);
    ip[6] = 6;
    ip[7] = 117;
    memcpy(ip + 8, s->tuple.src.bytes, 16);
    memcpy(ip + 24, s->tuple.dst.bytes, 16);
    if (header > 40) {
        ip[6] = 60; /* destination options: one PadN */
        ip[40] = 6;
        ip[41] = (uint8_t)((header - 40) / 8 - 1);
        ip[42] = 1;
        ip[43] = (uint8_t)(header - 44);
    }
}

/** Builds the segment, checksums right and their flags "valid", captured outbound on interface 7.3. */
static inline void make(struct made *m, const struct segment *s)
{
    bool ip4 = s->tuple.family == FAMILY_IP4;
    m->tcp_offset = (ip4 ? 20 : 40) + s->ip_options;
    m->length = m->tcp_offset + 20 + s->tcp_options + s->payload;
    assert_true(m->length - (ip4 ? 0 : 40) <= 65535);
    memset(m->bytes, 0, m->length);
    (ip4 ? write_ip4 : write_ip6)(m->bytes, s, m->tcp_offset, m->length);
    uint8_t *tcp = m->bytes + m->tcp_offset;
    memcpy(tcp, &s->tuple.src_port, 2);
    memcpy(tcp + 2, &s->tuple.dst_port, 2);
    put32(tcp + 4, s->seq);
    put32(tcp + 8, s->ack);
    tcp[12] = (uint8_t)((20 + s->tcp_options) / 4 << 4);
    tcp[13] = s->flags;
    put16(tcp + 14, 0xfaf0); /* window */
    memset(tcp + 20, 1, s->tcp_options);
    for (uint32_t i = 0; i < s->payload; i++) {
        tcp[20 + s->tcp_options + i] = (uint8_t)(i * 7 + s->seq);
    }
    seal(m);
    m->meta = (struct packet_meta){
        .if_index = 7,
        .sub_if_index = 3,
        .outbound = true,
        .ip_checksum_valid = true,
        .transport_checksum_valid = true,
    };
}

static inline struct made *make_new(const struct segment *s)
{
    struct made *m = malloc(sizeof *m);
    assert_non_null(m);
    make(m, s);
    return m;
}

static inline struct segment syn_of(const struct tuple *t, uint32_t isn)
{
    return (struct segment){.tuple = *t, .seq = isn, .flags = TCP_SYN, .tcp_options = 12};
}

/** The tuple's own address and port answer a SYN: `t` is the answer's tuple. */
static inline struct segment syn_ack_of(const struct tuple *t, uint32_t isn, uint32_t ack)
{
    return (struct segment){.tuple = *t, .seq = isn, .ack = ack, .flags = TCP_SYN | TCP_ACK, .tcp_options = 12};
}

static inline struct segment data_of(const struct tuple *t, uint32_t seq, uint32_t ack, uint32_t payload)
{
    return (struct segment){.tuple = *t, .seq = seq, .ack = ack, .flags = TCP_ACK | TCP_PSH, .payload = payload};
}

static inline struct segment ack_of(const struct tuple *t, uint32_t seq, uint32_t ack)
{
    return (struct segment){.tuple = *t, .seq = seq, .ack = ack, .flags = TCP_ACK};
}

static inline struct segment fin_of(const struct tuple *t, uint32_t seq, uint32_t ack)
{
    return (struct segment){.tuple = *t, .seq = seq, .ack = ack, .flags = TCP_FIN | TCP_ACK};
}

static inline struct segment rst_of(const struct tuple *t, uint32_t seq, uint32_t ack)
{
    return (struct segment){.tuple = *t, .seq = seq, .ack = ack, .flags = TCP_RST | TCP_ACK};
}

/** The 4-tuple that stands in the packet, read by this file's own means. */
static inline struct tuple tuple_in(const struct made *m)
{
    bool ip4 = m->bytes[0] >> 4 == 4;
    const uint8_t *b = m->bytes;
    struct tuple t;
    memset(&t, 0, sizeof t);
    t.family = ip4 ? FAMILY_IP4 : FAMILY_IP6;
    t.src = ip4 ? ip_addr_from_ip4(b + 12) : ip_addr_from_ip6(b + 8);
    t.dst = ip4 ? ip_addr_from_ip4(b + 16) : ip_addr_from_ip6(b + 24);
    memcpy(&t.src_port, b + m->tcp_offset, 2);
    memcpy(&t.dst_port, b + m->tcp_offset + 2, 2);
    return t;
}

/** The value of the MSS option, found by reading option after option; NULL: there is none. */
static inline uint8_t *mss_in(struct made *m)
{
    uint8_t *tcp = m->bytes + m->tcp_offset;
    uint32_t end = (uint32_t)(tcp[12] >> 4) * 4;
    for (uint32_t i = 20, size; i < end && tcp[i]; i += size) {
        size = tcp[i] == 1 ? 1 : i + 1 < end ? tcp[i + 1] : 0;
        if (size == 0 || (size == 1 && tcp[i] != 1) || i + size > end) {
            return NULL;
        }
        if (tcp[i] == 2) {
            return size == 4 ? tcp + i + 2 : NULL;
        }
    }
    return NULL;
}

/**
 * Undoes the one other change that is allowed: a first SYN may state the largest segments of loopback, a SYN-ACK smaller
 * ones than the proxy did. Returns what it stated before; 0: it was not changed.
 */
static inline uint32_t restore_mss(const struct made *before, struct made *after)
{
    uint8_t flags = after->bytes[after->tcp_offset + 13];
    uint8_t *mss = flags & TCP_SYN ? mss_in(after) : NULL;
    const uint8_t *was = mss ? before->bytes + (mss - after->bytes) : NULL;
    uint32_t largest = after->bytes[0] >> 4 == 4 ? 65495 : 65475;
    bool raised = mss && wire16(mss) == largest && wire16(was) < largest;
    bool lowered = mss && flags & TCP_ACK && wire16(mss) && wire16(mss) < wire16(was);
    if (raised || lowered) {
        memcpy(mss, was, 2);
        return wire16(mss);
    }
    return 0;
}

/** Whether the packets differ in nothing but addresses, ports and checksums (O6). */
static inline bool same_but_for_tuple_and_checksums(const struct made *a, const struct made *b)
{
    if (a->length != b->length || a->bytes[0] >> 4 != b->bytes[0] >> 4) {
        return false;
    }
    bool ip4 = a->bytes[0] >> 4 == 4;
    uint32_t tcp = a->tcp_offset;
    for (uint32_t i = 0; i < a->length; i++) {
        bool address = ip4 ? i >= 12 && i < 20 : i >= 8 && i < 40;
        bool checksum = (ip4 && (i == 10 || i == 11)) || i == tcp + 16 || i == tcp + 17;
        bool port = i >= tcp && i < tcp + 4;
        if (!address && !checksum && !port && a->bytes[i] != b->bytes[i]) {
            return false;
        }
    }
    return true;
}

/**
 * Memory that ends where an inaccessible page begins, so that a read behind it is a crash, with or without
 * sanitizers.
 */
struct guarded {
    uint8_t *map;
    size_t page, usable;
};

static inline struct guarded guarded_new(void)
{
    struct guarded g = {.page = (size_t)sysconf(_SC_PAGESIZE)};
    g.usable = (PACKET_MAX + 1024 + g.page - 1) / g.page * g.page;
    int zero = open("/dev/zero", O_RDWR); /* C11 alone knows no MAP_ANONYMOUS */
    assert_true(zero >= 0);
    void *map = mmap(NULL, g.usable + g.page, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    close(zero);
    g.map = map;
    assert_int_equal(mprotect(g.map + g.usable, g.page, PROT_NONE), 0);
    return g;
}

static inline void guarded_free(struct guarded *g)
{
    munmap(g->map, g->usable + g->page);
}

/** Copies the bytes so that they end at the guard page. */
static inline uint8_t *guarded_put(struct guarded *g, const void *bytes, size_t size)
{
    uint8_t *at = g->map + g->usable - size;
    memcpy(at, bytes, size);
    return at;
}

static inline bool meta_equal(const struct packet_meta *a, const struct packet_meta *b)
{
    return a->if_index == b->if_index && a->sub_if_index == b->sub_if_index && a->outbound == b->outbound &&
           a->loopback == b->loopback && a->impostor == b->impostor && a->ip_checksum_valid == b->ip_checksum_valid &&
           a->transport_checksum_valid == b->transport_checksum_valid;
}

#endif
