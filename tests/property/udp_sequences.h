/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file udp_sequences.h
 * Sequences of steps of a machine with UDP, against what is known of it: sockets open, send, share nothing but time, and
 * close; events come, or get lost; the proxy answers; errors, fragments, raw bytes and time pass. By seed
 * (test_udp_sequences.c) or by a fuzzer (fuzz/udp.c).
 *
 * What must hold: the counters balance and packets are as udp_fixture.h checks them, after each step; of one socket and
 * destination what leaves is in order; a stranger's datagram is never redirected, and one of the tree never passes
 * unless something was lost or is full, while no event of its socket was lost; an answer gets to the very socket that
 * asked, from the address that it sent to (U1 to U5).
 */
#ifndef TESTS_UDP_SEQUENCES_H
#define TESTS_UDP_SEQUENCES_H

#include "udp_fixture.h"

enum { SOCKETS = 8, PLACES = 4, STEPS = 400, SEQUENCES = 150, STAMP = 8 };

struct udp_socket {
    bool open, doubtful; /* doubtful: an event of it, or of whoever had its port before, was lost */
    uint32_t pid;
    uint64_t endpoint;
    bool told[PLACES];
    uint32_t sent[PLACES], left[PLACES]; /* numbers of datagrams: of the last that was sent, and that has left */
    struct tuple steered[PLACES];        /* family 0: none */
};

static struct udp_model {
    struct udp_fixture *f;
    struct rng r;
    uint64_t seed;
    uint32_t step;
    struct udp_socket sockets[SOCKETS];
} um;

static inline struct tuple place(uint32_t s, uint32_t to)
{
    static const char *const to4[] = {"93.184.216.34", "10.0.0.9", "8.8.8.8", "239.1.2.3"};
    static const uint16_t ports[] = {443, 9000, 53, 5353};
    if (s % 2) {
        return tuple_of("10.0.0.1", (uint16_t)(50000 + s), to4[to], ports[to]);
    }
    return tuple_of("2001:db8::1", (uint16_t)(50000 + s), to == 3 ? "ff02::fb" : "2001:db8:9::9", (uint16_t)(443 + to));
}

static inline bool of_tree(const struct udp_socket *s)
{
    return s->pid == ROOT || s->pid == CHILD;
}

/* A port of the proxy's side is this flow's from now on: that of one that has ended may be used again. */
static inline void forget_steered(uint16_t port_on_the_wire) /* 0: all of them */
{
    for (uint32_t i = 0; i < SOCKETS * PLACES; i++) {
        struct tuple *steered = &um.sockets[i / PLACES].steered[i % PLACES];
        if (!port_on_the_wire || steered->src_port.wire == port_on_the_wire) {
            steered->family = FAMILY_NONE;
        }
    }
}

/* A datagram of a socket has left: as it was, or to the proxy. */
static inline void has_left(const struct made *m)
{
    const uint8_t *payload = m->bytes + m->tcp_offset + 8;
    if (m->length < m->tcp_offset + 8 + STAMP || wire32(payload + 4) != 0x5eed5eed) {
        forget_steered(0); /* no whole datagram of a socket: of raw bytes, which may have any port now */
        return;
    }
    uint32_t s = payload[0] % SOCKETS, to = payload[1] % PLACES, number = wire16(payload + 2);
    struct udp_socket *from = &um.sockets[s];
    struct tuple t = udp_tuple_in(m);
    bool redirected = be16_to_host(t.dst_port) == UDP_PORT;
    assert_true(number > from->left[to]);
    from->left[to] = number;
    if (redirected) {
        struct tuple original = place(s, to);
        assert_int_not_equal(to, 3);
        assert_true(from->doubtful || of_tree(from));
        assert_true(udp_maps(um.f, &t, &original, from->pid) || from->doubtful);
        forget_steered(t.src_port.wire);
        from->steered[to] = t;
    } else {
        bool excused = from->doubtful || to == 3 || UDP_COUNTER(um.f, udp_hold_timeouts) ||
                       UDP_COUNTER(um.f, udp_hold_overflows) || UDP_COUNTER(um.f, udp_table_full) ||
                       UDP_COUNTER(um.f, udp_fragments_passed);
        assert_true(excused || !of_tree(from));
    }
}

static inline void take_kept(void)
{
    for (uint32_t i = 0; i < um.f->kept_count; i++) {
        const struct made *m = um.f->kept[i];
        bool ip4 = m->bytes[0] >> 4 == 4;
        if (m->bytes[ip4 ? 9 : 6] != (ip4 ? 1 : 58)) {
            has_left(m);
        }
    }
    forget_kept(um.f);
}

static inline void open_socket(uint32_t s)
{
    static const uint32_t pids[] = {ROOT, CHILD, STRANGER, AGENT};
    struct udp_socket *u = &um.sockets[s];
    bool lost = rng_below(&um.r, 5) == 0;
    if (u->open) {
        return;
    }
    bool doubtful = u->doubtful;
    *u = (struct udp_socket){.open = true, .pid = pids[rng_below(&um.r, 4)], .endpoint = ++um.f->endpoints};
    u->doubtful = lost || doubtful;
    const char *any = s % 2 ? "0.0.0.0" : "::";
    in_table(um.f, u->pid, any, (uint16_t)(50000 + s));
    if (!lost) {
        binds(um.f, u->pid, any, (uint16_t)(50000 + s), u->endpoint);
    }
}

static inline void close_socket(uint32_t s)
{
    struct udp_socket *u = &um.sockets[s];
    const char *any = s % 2 ? "0.0.0.0" : "::";
    struct tuple gone = bound_at(any, (uint16_t)(50000 + s));
    if (!u->open) {
        return;
    }
    udp_time(um.f, HOLD_MS); /* nothing of it is held any more */
    take_kept();
    u->open = false;
    world_row_remove(&um.f->world.udp, &gone);
    if (rng_below(&um.r, 5)) {
        closes(um.f, u->pid, any, (uint16_t)(50000 + s), u->endpoint);
    } else {
        u->doubtful = true;
    }
}

static inline void stamped(struct made *m, uint32_t s, uint32_t to, uint32_t payload)
{
    struct tuple t = place(s, to);
    make_udp(m, &t, payload + STAMP, 0);
    uint8_t *at = m->bytes + m->tcp_offset + 8;
    at[0] = (uint8_t)s;
    at[1] = (uint8_t)to;
    put16(at + 2, ++um.sockets[s].sent[to]);
    put32(at + 4, 0x5eed5eed);
    seal_udp(m);
}

static inline void socket_sends(uint32_t s, bool in_parts)
{
    static struct made whole, part;
    struct udp_socket *u = &um.sockets[s];
    uint32_t to = rng_below(&um.r, PLACES);
    struct tuple t = place(s, to);
    if (!u->open || u->sent[to] > 60000) {
        return;
    }
    if (!u->told[to]) {
        u->told[to] = true;
        if (rng_below(&um.r, 4)) {
            sends_to(um.f, u->pid, &t, u->endpoint);
        }
    }
    stamped(&whole, s, to, in_parts ? 2000 : rng_below(&um.r, 64));
    for (uint32_t at = 0; in_parts && at < 2016; at += 1000) {
        make_fragment(&part, &whole, u->sent[to], at, 1000);
        enum verdict verdict = send_made(um.f, &part);
        take_kept();
        if (!at && verdict != VERDICT_HOLD) {
            has_left(&part);
        }
    }
    if (!in_parts) {
        enum verdict verdict = send_made(um.f, &whole);
        take_kept(); /* what was held before it leaves before it */
        if (verdict == VERDICT_PASS || verdict == VERDICT_REWRITE) {
            has_left(&whole);
        }
    }
}

static inline void proxy_answers(uint32_t s)
{
    struct udp_socket *u = &um.sockets[s];
    uint32_t to = rng_below(&um.r, PLACES);
    if (!u->steered[to].family) {
        return;
    }
    enum verdict verdict = proxy_sends(um.f, &u->steered[to]);
    if (verdict == VERDICT_REWRITE) {
        struct tuple original = place(s, to), want = tuple_reversed(&original), got = udp_tuple_in(&um.f->last);
        assert_true(u->open || u->doubtful);
        assert_true(tuple_equal(&got, &want) || u->doubtful);
    }
}

static inline void any_bytes(void)
{
    static struct made m;
    stamped(&m, rng_below(&um.r, SOCKETS), 0, rng_below(&um.r, 40));
    put32(m.bytes + m.tcp_offset + 12, 0); /* it has no stamp */
    for (uint32_t i = 0; i < 3; i++) {
        m.bytes[rng_below(&um.r, m.tcp_offset + 8)] = (uint8_t)rng_below(&um.r, 256);
    }
    m.meta.outbound = rng_below(&um.r, 4) != 0;
    m.meta.loopback = rng_below(&um.r, 4) == 0;
    m.meta.ip_checksum_valid = m.bytes[0] >> 4 == 6 || rng_below(&um.r, 2);
    uint8_t *at = guarded_put(&um.f->guard, m.bytes, m.length);
    struct packet_meta meta = m.meta;
    meta.timestamp = ++um.f->world.clock;
    if (engine_datagram(engine_of(um.f), &meta, at, m.length, um.f->world.now) == VERDICT_REWRITE) {
        forget_steered(0);
    }
    um.f->sent++;
    check_udp_balance(um.f);
    take_kept();
}

static inline void tell_unreachable(uint32_t s)
{
    const struct tuple *steered = &um.sockets[s].steered[rng_below(&um.r, PLACES)];
    engine_udp_unreachable(engine_of(um.f), be16_to_host(steered->src_port));
    take_kept();
}

static inline void replace_filter(void)
{
    if (engine_udp_capture_wanted(engine_of(um.f), um.f->world.now)) {
        engine_udp_capture_replaced(engine_of(um.f), rng_below(&um.r, 8) != 0, um.f->world.now);
    }
}

static inline void udp_random_step(void)
{
    static const uint32_t pauses[] = {1, 10, 25, 50, 300, 3000, 12000, 31000};
    uint32_t what = rng_below(&um.r, 32), s = rng_below(&um.r, SOCKETS);
    if (what < 4) {
        open_socket(s);
    } else if (what < 6) {
        close_socket(s);
    } else if (what < 18) {
        socket_sends(s, false);
    } else if (what < 21) {
        socket_sends(s, true);
    } else if (what < 25) {
        proxy_answers(s);
    } else if (what < 27) {
        any_bytes();
    } else if (what < 28) {
        tell_unreachable(s);
    } else if (what < 29) {
        replace_filter();
    } else {
        udp_time(um.f, pauses[rng_below(&um.r, 8)]);
    }
    take_kept();
}

static inline void udp_run_sequence(uint64_t seed, struct rng decisions)
{
    struct engine_config config = udp_config();
    memset(&um, 0, sizeof um);
    um.seed = seed;
    um.r = decisions;
    um.f = udp_fixture_new(&config, WORLD_WITH_TABLES);
    for (um.step = 0; um.step < STEPS && !rng_dry(&um.r); um.step++) {
        udp_random_step();
    }
    engine_stop(engine_of(um.f), rng_below(&um.r, 2), um.f->world.now);
    take_kept();
    check_udp_balance(um.f);
    assert_int_equal(engine_of(um.f)->udp->held.count, 0);
    assert_int_equal(UDP_COUNTER(um.f, udp_flows_live), 0);
    udp_fixture_free(um.f);
    um.f = NULL;
}

#endif
