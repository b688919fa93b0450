/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file udp_fixture.h
 * An engine that redirects UDP, in a world, for cmocka; datagrams, fragments and ICMP errors for it.
 *
 * send_made() is the only way packets get into the engine, and checks at every one what must always hold: a packet that
 * is not rewritten stays as it is; a rewritten one changes in addresses, ports, identification and checksums only, and
 * sums that were right are right; the counters balance (S6).
 */
#ifndef TESTS_UDP_FIXTURE_H
#define TESTS_UDP_FIXTURE_H

#include "packets.h"
#include "world.h"

#include "engine/udp_state.h"

enum { AGENT = 500, ROOT = 1000, CHILD = 1004, STRANGER = 2000, PROXY_PORT = 8080, UDP_PORT = 8053 };
enum { HOLD_MS = 50, IDLE_MS = 60000, KEPT_MAX = 1024, LAN = 7 };

struct udp_fixture {
    struct world world; /* first: hooks get it */
    bool loopback;      /* what the driver says of the packets that are sent from now on */
    struct made last;   /* the packet sent last, as the engine left it */
    uint64_t sent;
    uint64_t endpoints;
    struct made *kept[KEPT_MAX]; /* what the engine has injected */
    uint32_t kept_count;
    struct guarded guard;
};

static inline struct engine *engine_of(const struct udp_fixture *f)
{
    return f->world.engine;
}

#define UDP_COUNTER(f, name) ((uint64_t)atomic_load(&engine_counters((f)->world.engine)->name))

/* ---- packets */

static inline uint16_t reference_udp_checksum(const uint8_t *ip, uint32_t length, uint32_t offset)
{
    uint32_t size = length - offset;
    bool ip4 = ip[0] >> 4 == 4;
    uint32_t sum = reference_sum(ip + (ip4 ? 12 : 8), ip4 ? 8 : 32, 17);
    uint8_t stated[4] = {0, 0, (uint8_t)(size >> 8), (uint8_t)size};
    sum = reference_sum(stated, 4, sum);
    sum = reference_sum(ip + offset, 6, sum);
    sum = (uint16_t)~reference_sum(ip + offset + 8, size - 8, sum);
    return sum ? (uint16_t)sum : 0xffff;
}

static inline void seal_ip(struct made *m)
{
    if (m->bytes[0] >> 4 == 4) {
        put16(m->bytes + 10, reference_ip_checksum(m->bytes));
    }
}

static inline void seal_udp(struct made *m)
{
    seal_ip(m);
    put16(m->bytes + m->tcp_offset + 6, reference_udp_checksum(m->bytes, m->length, m->tcp_offset));
}

/** A datagram with so much payload, sums right, captured outbound on interface LAN.3. */
static inline void make_udp(struct made *m, const struct tuple *t, uint32_t payload, uint32_t ip_options)
{
    bool ip4 = t->family == FAMILY_IP4;
    struct segment s = {.tuple = *t};
    m->tcp_offset = (ip4 ? 20 : 40) + ip_options;
    m->length = m->tcp_offset + 8 + payload;
    memset(m->bytes, 0, m->length);
    (ip4 ? write_ip4 : write_ip6)(m->bytes, &s, m->tcp_offset, m->length);
    m->bytes[ip4 ? 9 : ip_options ? 40 : 6] = 17;
    m->bytes[6] = ip4 ? 0 : m->bytes[6]; /* may be fragmented */
    uint8_t *udp = m->bytes + m->tcp_offset;
    memcpy(udp, &t->src_port, 2);
    memcpy(udp + 2, &t->dst_port, 2);
    put16(udp + 4, 8 + payload);
    for (uint32_t i = 0; i < payload; i++) {
        udp[8 + i] = (uint8_t)(i * 7 + 1);
    }
    m->meta = (struct packet_meta){.if_index = LAN,
                                   .sub_if_index = 3,
                                   .outbound = true,
                                   .ip_checksum_valid = true,
                                   .transport_checksum_valid = true};
    seal_udp(m);
}

/** The part of a whole datagram (without options) from `at` on, as a fragment with this identification. */
static inline void make_fragment(struct made *m, const struct made *whole, uint32_t id, uint32_t at, uint32_t size)
{
    bool ip4 = whole->bytes[0] >> 4 == 4;
    uint32_t header = ip4 ? 20 : 48, inside = whole->length - whole->tcp_offset;
    bool last = at + size >= inside;
    size = last ? inside - at : size;
    memset(m->bytes, 0, header);
    memcpy(m->bytes, whole->bytes, ip4 ? 20 : 40);
    memcpy(m->bytes + header, whole->bytes + whole->tcp_offset + at, size);
    m->length = header + size;
    m->tcp_offset = header;
    m->meta = whole->meta;
    if (ip4) {
        put16(m->bytes + 2, m->length);
        put16(m->bytes + 4, id);
        put16(m->bytes + 6, at / 8 | (last ? 0 : 0x2000));
        seal_ip(m);
    } else {
        put16(m->bytes + 4, m->length - 40);
        m->bytes[6] = 44;
        m->bytes[40] = 17;
        put16(m->bytes + 42, at | !last);
        put32(m->bytes + 44, id);
    }
}

static inline struct tuple udp_tuple_in(const struct made *m)
{
    const uint8_t *ip = m->bytes;
    struct tuple t = {.family = ip[0] >> 4};
    t.src = t.family == FAMILY_IP4 ? ip_addr_from_ip4(ip + 12) : ip_addr_from_ip6(ip + 8);
    t.dst = t.family == FAMILY_IP4 ? ip_addr_from_ip4(ip + 16) : ip_addr_from_ip6(ip + 24);
    memcpy(&t.src_port, ip + m->tcp_offset, 2);
    memcpy(&t.dst_port, ip + m->tcp_offset + 2, 2);
    return t;
}

static inline uint16_t udp_sum(const struct made *m)
{
    return wire16(m->bytes + m->tcp_offset + 6);
}

/* ---- the fixture */

static inline void udp_injected(struct world *w, const struct packet_meta *meta, const uint8_t *data, uint32_t length)
{
    struct udp_fixture *f = (struct udp_fixture *)w;
    struct datagram d;
    static uint8_t copy[PACKET_MAX];
    assert_true(f->kept_count < KEPT_MAX);
    struct made *m = malloc(sizeof *m);
    assert_non_null(m);
    memcpy(m->bytes, data, length);
    memcpy(copy, data, length);
    m->length = length;
    m->meta = *meta;
    enum datagram_kind kind = datagram_read(copy, length, &d);
    m->tcp_offset = kind == DATAGRAM_ERROR ? (uint32_t)(d.icmp - copy) : (uint32_t)(d.at.udp - copy);
    f->kept[f->kept_count++] = m;
}

static inline void forget_kept(struct udp_fixture *f)
{
    while (f->kept_count) {
        free(f->kept[--f->kept_count]);
    }
}

static inline struct tuple bound_at(const char *address, uint16_t port)
{
    struct tuple t;
    memset(&t, 0, sizeof t);
    t.src = address_of(address, &t.family);
    t.src_port = be16_from_host(port);
    return t;
}

/** The UDP table has this socket, once it is read again. */
static inline void in_table(struct udp_fixture *f, uint32_t pid, const char *address, uint16_t port)
{
    struct tuple t = bound_at(address, port);
    world_row_add(&f->world.udp, &t, pid);
}

static inline struct engine_config udp_config(void)
{
    return (struct engine_config){.agent_pid = AGENT,
                                  .proxy_port = PROXY_PORT,
                                  .udp_port = UDP_PORT,
                                  .udp_idle_ms = IDLE_MS,
                                  .hold_timeout_ms = HOLD_MS,
                                  .scan_interval_ms = 30000,
                                  .max_flows = 64,
                                  .max_udp_flows = 64,
                                  .seed = 0x5eed};
}

/** The agent receives at the proxy's port, and the UDP table has been read. */
static inline struct udp_fixture *udp_fixture_new(const struct engine_config *config, enum world_kind kind)
{
    struct udp_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->guard = guarded_new();
    f->world.hooks = (struct world_hooks){.injected = udp_injected};
    assert_true(world_open(&f->world, config, kind));
    world_process_starts(&f->world, AGENT, 100, 4, 1);
    world_process_starts(&f->world, ROOT, 200, AGENT, 100);
    world_process_starts(&f->world, CHILD, 300, ROOT, 200);
    world_process_starts(&f->world, STRANGER, 400, 4, 1);
    engine_process(engine_of(f), (struct process_id){ROOT, 200});
    in_table(f, AGENT, "127.0.0.1", UDP_PORT);
    in_table(f, AGENT, "::1", UDP_PORT);
    world_settle(&f->world);
    if (engine_udp_capture_wanted(engine_of(f), f->world.now)) {
        engine_udp_capture_replaced(engine_of(f), true, f->world.now);
    }
    return f;
}

static inline int udp_set_up(void **state)
{
    struct engine_config config = udp_config();
    *state = udp_fixture_new(&config, WORLD_WITH_TABLES);
    return 0;
}

static inline void udp_fixture_free(struct udp_fixture *f)
{
    forget_kept(f);
    world_close(&f->world);
    guarded_free(&f->guard);
    free(f);
}

static inline int udp_tear_down(void **state)
{
    udp_fixture_free(*state);
    return 0;
}

static inline struct udp_fixture *udp_renew(void **state, const struct engine_config *config, enum world_kind kind)
{
    udp_fixture_free(*state);
    return *state = udp_fixture_new(config, kind);
}

#define WITH_UDP(test) cmocka_unit_test_setup_teardown(test, udp_set_up, udp_tear_down)

/** S6 */
static inline void check_udp_balance(const struct udp_fixture *f)
{
    assert_int_equal(UDP_COUNTER(f, udp_packets_seen), f->sent);
    assert_int_equal(f->sent, UDP_COUNTER(f, udp_packets_passed) + UDP_COUNTER(f, udp_packets_rewritten) +
                                  UDP_COUNTER(f, udp_packets_dropped) + engine_of(f)->udp->held.count);
}

/* What may differ in a rewritten packet is made the same; it is no ICMP error. */
static inline void check_only_tuple(const struct made *before, const struct made *after)
{
    static struct made like;
    bool ip4 = before->bytes[0] >> 4 == 4;
    const uint32_t id_at = ip4 ? 4 : 44, id_size = ip4 ? 2 : 4;
    bool fragment = ip4 ? wire16(before->bytes + 6) & 0x3fff : before->bytes[6] == 44;
    bool has_header = !fragment || (ip4 ? !(wire16(before->bytes + 6) & 0x1fff) : !(wire16(before->bytes + 42) >> 3));
    assert_int_equal(before->length, after->length);
    like = *after;
    memcpy(like.bytes + (ip4 ? 12 : 8), before->bytes + (ip4 ? 12 : 8), ip4 ? 8 : 32);
    if (ip4) {
        memcpy(like.bytes + 10, before->bytes + 10, 2);
    }
    if (fragment) {
        memcpy(like.bytes + id_at, before->bytes + id_at, id_size);
    }
    if (has_header) {
        memcpy(like.bytes + before->tcp_offset, before->bytes + before->tcp_offset, 4);
        memcpy(like.bytes + before->tcp_offset + 6, before->bytes + before->tcp_offset + 6, 2);
    }
    assert_memory_equal(like.bytes, before->bytes, before->length);
    assert_true(ip_checksum_right(after));
    bool summed = !fragment && before->meta.transport_checksum_valid && udp_sum(before);
    if (summed && udp_sum(before) == reference_udp_checksum(before->bytes, before->length, before->tcp_offset)) {
        assert_int_equal(udp_sum(after), reference_udp_checksum(after->bytes, after->length, after->tcp_offset));
    }
    assert_int_equal(before->meta.transport_checksum_valid, after->meta.transport_checksum_valid);
}

/** One captured packet. *m becomes what the engine made of it. */
static inline enum verdict send_made(struct udp_fixture *f, struct made *m)
{
    static struct made before;
    uint8_t *at = guarded_put(&f->guard, m->bytes, m->length);
    struct packet_meta meta = m->meta;
    bool error = m->bytes[0] >> 4 == 4 ? m->bytes[9] == 1 : m->bytes[6] == 58;
    meta.timestamp = meta.timestamp ? meta.timestamp : ++f->world.clock;
    m->meta.timestamp = meta.timestamp;
    enum verdict verdict = engine_datagram(engine_of(f), &meta, at, m->length, f->world.now);
    f->sent++;
    if (verdict == VERDICT_REWRITE) {
        before = *m;
        memcpy(m->bytes, at, m->length);
        m->meta = meta;
        if (!error) {
            check_only_tuple(&before, m);
        }
    } else {
        assert_memory_equal(at, m->bytes, m->length);
        assert_true(meta_equal(&meta, &m->meta));
    }
    check_udp_balance(f);
    return verdict;
}

static inline enum verdict send_udp_of(struct udp_fixture *f, const struct tuple *t, uint32_t payload)
{
    make_udp(&f->last, t, payload, 0);
    f->last.meta.loopback = f->loopback;
    return send_made(f, &f->last);
}

static inline enum verdict send_udp(struct udp_fixture *f, const struct tuple *t)
{
    return send_udp_of(f, t, 100);
}

/** What the proxy sends to a peer. */
static inline enum verdict proxy_sends(struct udp_fixture *f, const struct tuple *steered)
{
    struct tuple reply = tuple_reversed(steered);
    make_udp(&f->last, &reply, 50, 0);
    f->last.meta.loopback = true;
    f->last.meta.if_index = 1;
    return send_made(f, &f->last);
}

static inline struct socket_event udp_event(struct udp_fixture *f, enum socket_event_kind kind, uint32_t pid,
                                            const struct tuple *t, uint64_t endpoint)
{
    return (struct socket_event){.kind = kind,
                                 .protocol = PROTOCOL_UDP,
                                 .pid = pid,
                                 .timestamp = ++f->world.clock,
                                 .endpoint = endpoint,
                                 .tuple = *t};
}

static inline void udp_tell(struct udp_fixture *f, enum socket_event_kind kind, uint32_t pid, const struct tuple *t,
                            uint64_t endpoint)
{
    struct socket_event event = udp_event(f, kind, pid, t, endpoint);
    engine_event(engine_of(f), &event, f->world.now);
    world_settle(&f->world);
    check_udp_balance(f);
}

static inline void binds(struct udp_fixture *f, uint32_t pid, const char *address, uint16_t port, uint64_t endpoint)
{
    struct tuple t = bound_at(address, port);
    udp_tell(f, SOCKET_BIND, pid, &t, endpoint);
}

static inline void sends_to(struct udp_fixture *f, uint32_t pid, const struct tuple *t, uint64_t endpoint)
{
    udp_tell(f, SOCKET_CONNECT, pid, t, endpoint);
}

static inline void closes(struct udp_fixture *f, uint32_t pid, const char *address, uint16_t port, uint64_t endpoint)
{
    struct tuple t = bound_at(address, port);
    udp_tell(f, SOCKET_CLOSE, pid, &t, endpoint);
}

static inline void udp_time(struct udp_fixture *f, uint64_t ms)
{
    f->world.now += ms;
    engine_tick(engine_of(f), f->world.now);
    world_settle(&f->world);
    check_udp_balance(f);
}

/** A datagram of a process, redirected. Returns what the proxy sees. */
static inline struct tuple udp_redirected(struct udp_fixture *f, uint32_t pid, const struct tuple *t)
{
    sends_to(f, pid, t, ++f->endpoints);
    assert_int_equal(send_udp(f, t), VERDICT_REWRITE);
    return udp_tuple_in(&f->last);
}

static inline bool udp_maps(const struct udp_fixture *f, const struct tuple *steered, const struct tuple *original,
                            uint32_t pid)
{
    struct destination d;
    return destinations_find(engine_udp_destinations(engine_of(f)), be16_to_host(steered->src_port), &d) &&
           d.pid == pid && d.family == original->family && ip_addr_equal(&d.address, &original->dst) &&
           d.port == be16_to_host(original->dst_port);
}

static inline bool udp_maps_nothing(const struct udp_fixture *f, const struct tuple *steered)
{
    struct destination d;
    return !destinations_find(engine_udp_destinations(engine_of(f)), be16_to_host(steered->src_port), &d);
}

static inline struct tuple udp4(void)
{
    return tuple_of("10.0.0.1", 50000, "93.184.216.34", 443);
}

static inline struct tuple udp6(void)
{
    return tuple_of("2001:db8::1", 50000, "2001:db8:9::9", 443);
}

#endif
