/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file engine_fixture.h
 * An engine in a world (tests/world/world.h) for cmocka: four processes, packets that are sent with all checks,
 * injected packets that are kept.
 *
 * send_packet() is the only way packets get into the engine, and checks at every one of them what must always
 * hold: a packet that is not rewritten stays as it is, byte for byte (O5), unless it was sent in pieces; a rewritten one
 * changes in addresses, ports, checksums and a SYN's MSS only, and its checksums are right (O6); the counters balance (S6); what is held stands
 * in order of deadline.
 */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include "packets.h"
#include "world.h"

#include "engine/state.h"

enum { AGENT = 500, ROOT = 1000, CHILD = 1004, STRANGER = 2000, PROXY_PORT = 8080, INCOMING_PORT = 8081 };
enum { EARLY = 1000, HOLD_MS = 50, INJECTED_MAX = 2048 };

struct fixture {
    struct world world; /* first: hooks get it, and take it for the fixture */
    bool loopback;      /* what the driver says of the packets that are sent from now on */
    struct made last;   /* the packet sent last, as the engine left it */
    uint64_t sent, verdicts[4];
    uint16_t ports_given;

    struct made *injected[INJECTED_MAX];
    bool mapped_when_injected[INJECTED_MAX]; /* the destination map knew the packet's source port */
    uint32_t injected_count;
    struct guarded guard;
};

/* The engine that is under test. */
static inline struct engine *engine_of(const struct fixture *f)
{
    return f->world.engine;
}

static inline void fixture_injected(struct world *w, const struct packet_meta *meta, const uint8_t *data,
                                    uint32_t length)
{
    struct fixture *f = (struct fixture *)w;
    struct destination d;
    struct packet p;
    assert_true(f->injected_count < INJECTED_MAX);
    struct made *m = malloc(sizeof *m);
    assert_non_null(m);
    memcpy(m->bytes, data, length);
    m->length = length;
    m->meta = *meta;
    assert_int_equal(packet_parse(m->bytes, length, &p), PACKET_TCP);
    m->tcp_offset = (uint32_t)(p.tcp - p.ip);
    f->mapped_when_injected[f->injected_count] =
        destinations_find(engine_destinations(w->engine), be16_to_host(p.tuple.src_port), &d);
    f->injected[f->injected_count++] = m;
}

static inline void fixture_flow_event(struct world *w, const struct flow *flow, const struct tuple *original,
                                      bool ended)
{
    (void)w;
    (void)ended;
    assert_int_not_equal(flow->kind, FLOW_DIRECT);
    assert_true(original->family == FAMILY_IP4 || original->family == FAMILY_IP6);
}

static inline void process_starts(struct fixture *f, uint32_t pid, uint64_t created, uint32_t parent,
                                  uint64_t parent_created)
{
    world_process_starts(&f->world, pid, created, parent, parent_created);
}

static inline void process_ends(struct fixture *f, uint32_t pid)
{
    world_process_ends(&f->world, pid);
}

static inline struct engine_config fixture_config(void)
{
    return (struct engine_config){
        .agent_pid = AGENT,
        .proxy_port = PROXY_PORT,
        .hold_timeout_ms = HOLD_MS,
        .max_flows = 256,
        .seed = 0x5eed,
    };
}

static inline void listens(struct fixture *f, uint32_t pid, const char *address, uint16_t port)
{
    struct tuple local = {.src_port = be16_from_host(port)};
    local.src = address_of(address, &local.family);
    engine_listener(f->world.engine, &local, pid);
}

/** AGENT, ROOT with its CHILD, and STRANGER are alive; the clock shows a million. */
static inline struct fixture *fixture_open(const struct engine_config *config, enum world_kind kind)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->guard = guarded_new();
    f->world.hooks = (struct world_hooks){.injected = fixture_injected, .flow_event = fixture_flow_event};
    assert_true(world_open(&f->world, config, kind));
    process_starts(f, AGENT, 100, 4, 1);
    process_starts(f, ROOT, 200, AGENT, 100);
    process_starts(f, CHILD, 300, ROOT, 200);
    process_starts(f, STRANGER, 400, 4, 1);
    engine_process(engine_of(f), (struct process_id){ROOT, 200});
    return f;
}

/** The machine has no TCP table, the proxy listens, and every packet is captured. */
static inline struct fixture *fixture_new(const struct engine_config *config)
{
    struct fixture *f = fixture_open(config, WORLD_WITHOUT_TABLES);
    world_capture_all(engine_of(f));
    listens(f, AGENT, config->reflect ? "0.0.0.0" : "127.0.0.1", config->proxy_port);
    listens(f, AGENT, config->reflect ? "::" : "::1", config->proxy_port);
    return f;
}

static inline void fixture_forget_injected(struct fixture *f)
{
    while (f->injected_count) {
        free(f->injected[--f->injected_count]);
    }
}

static inline void fixture_free(struct fixture *f)
{
    fixture_forget_injected(f);
    world_close(&f->world);
    guarded_free(&f->guard);
    free(f);
}

/* Set-up and tear-down for cmocka. */
static inline int fixture_set_up(void **state)
{
    struct engine_config config = fixture_config();
    *state = fixture_new(&config);
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/** Another configuration than fixture_config(); fixture_tear_down() frees it. */
static inline struct fixture *fixture_renew(void **state, const struct engine_config *config)
{
    fixture_free(*state);
    *state = fixture_new(config);
    return *state;
}

#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

#define COUNTER(f, name) ((uint64_t)atomic_load(&engine_counters((f)->world.engine)->name))

static inline uint32_t held_now(const struct fixture *f)
{
    const struct pending *p = &engine_of(f)->pending;
    uint32_t n = 0;
    for (enum pending_state state = HELD_FOR_OWNER; state <= HELD_FOR_FILTER; state++) {
        uint64_t deadline_ms = 0;
        for (uint32_t id = p->queues[state].head; id != PENDING_NONE; id = p->entries[id].next) {
            assert_true(p->entries[id].deadline_ms >= deadline_ms); /* engine_next_tick_ms() looks at heads only */
            deadline_ms = p->entries[id].deadline_ms;
            n++;
        }
    }
    return n;
}

/** S6: every packet was passed, rewritten or dropped, or is held at this moment. */
static inline void check_balance(const struct fixture *f)
{
    assert_int_equal(COUNTER(f, packets_seen), f->sent);
    assert_int_equal(f->sent, COUNTER(f, packets_passed) + COUNTER(f, packets_rewritten) + COUNTER(f, packets_dropped) +
                                  held_now(f));
    uint64_t held = COUNTER(f, packets_held);
    assert_in_range(f->verdicts[VERDICT_HOLD], held,
                    held + COUNTER(f, capture_waits) + COUNTER(f, decision_waits) + COUNTER(f, table_waits));
}

/** What must be true of a packet that the engine rewrote, given how it was before. Its sums were right if valid. */
static inline void check_rewritten(const struct made *before, const struct made *after)
{
    static struct made lowered;
    lowered = *after;
    restore_mss(before, &lowered);
    assert_true(same_but_for_tuple_and_checksums(before, &lowered));
    assert_true(ip_checksum_right(after));
    assert_true(after->meta.ip_checksum_valid || after->bytes[0] >> 4 == 6);
    assert_int_equal(before->meta.transport_checksum_valid, after->meta.transport_checksum_valid);
    assert_int_equal(before->meta.impostor, after->meta.impostor);
    if (after->meta.transport_checksum_valid) {
        assert_true(tcp_checksum_right(after));
    }
}

/*
 * A SYN that is held for the TCP table alone leaves as soon as that has answered, which is at once unless the world is
 * slow: what the program sees is as if it had not been held.
 */
static inline enum verdict settle_packet(struct fixture *f, struct made *m)
{
    uint32_t injected = f->injected_count, held = held_now(f);
    uint64_t dropped = COUNTER(f, packets_dropped), rewritten = COUNTER(f, packets_rewritten);
    world_settle(&f->world);
    check_balance(f);
    if (held_now(f) == held) {
        return VERDICT_HOLD;
    }
    assert_int_equal(held_now(f), held - 1);
    if (COUNTER(f, packets_dropped) != dropped) {
        return VERDICT_DROP;
    }
    assert_int_equal(f->injected_count, injected + 1);
    struct made *left = f->injected[--f->injected_count];
    if (COUNTER(f, packets_rewritten) == rewritten) {
        assert_memory_equal(left->bytes, m->bytes, m->length);
        free(left);
        return VERDICT_PASS;
    }
    check_rewritten(m, left);
    *m = *left;
    free(left);
    return VERDICT_REWRITE;
}

/** One captured packet. *m becomes what the engine made of it. */
static inline enum verdict send_packet(struct fixture *f, struct made *m)
{
    static struct made before;
    uint8_t *at = guarded_put(&f->guard, m->bytes, m->length);
    struct packet_meta meta = m->meta;
    meta.timestamp = EARLY + ++f->world.clock;
    uint64_t cut = COUNTER(f, segments_cut);
    enum verdict verdict = engine_packet(f->world.engine, &meta, at, m->length, f->world.now);
    if (verdict == VERDICT_REWRITE) {
        before.length = m->length;
        before.tcp_offset = m->tcp_offset;
        before.meta = m->meta;
        memcpy(before.bytes, m->bytes, m->length);
        memcpy(m->bytes, at, m->length);
        m->meta = meta;
        check_rewritten(&before, m);
    } else if (COUNTER(f, segments_cut) == cut) {
        assert_memory_equal(at, m->bytes, m->length);
        assert_true(meta_equal(&meta, &m->meta));
    }
    f->sent++;
    f->verdicts[verdict]++;
    check_balance(f);
    return verdict == VERDICT_HOLD ? settle_packet(f, m) : verdict;
}

/** Builds the segment into f->last and sends it. */
static inline enum verdict send_segment(struct fixture *f, struct segment s)
{
    make(&f->last, &s);
    f->last.meta.loopback = f->loopback;
    return send_packet(f, &f->last);
}

static inline enum verdict send_syn(struct fixture *f, const struct tuple *t, uint32_t isn)
{
    return send_segment(f, syn_of(t, isn));
}

static inline void send_event_of(struct fixture *f, enum socket_event_kind kind, uint32_t pid, const struct tuple *t,
                                 int64_t timestamp)
{
    struct socket_event event = {.kind = kind, .pid = pid, .timestamp = timestamp, .tuple = *t};
    engine_event(f->world.engine, &event, f->world.now);
    world_settle(&f->world);
    check_balance(f);
}

static inline void send_event(struct fixture *f, enum socket_event_kind kind, uint32_t pid, const struct tuple *t)
{
    send_event_of(f, kind, pid, t, EARLY + ++f->world.clock);
}

static inline void connects(struct fixture *f, uint32_t pid, const struct tuple *t)
{
    send_event(f, SOCKET_CONNECT, pid, t);
}

/** The event of a SYN that was sent before: it happened earlier, and comes now. */
static inline void connects_late(struct fixture *f, uint32_t pid, const struct tuple *t)
{
    send_event_of(f, SOCKET_CONNECT, pid, t, EARLY);
}

/** Lets time pass, with one tick at the end. */
static inline void pass_time(struct fixture *f, uint64_t ms)
{
    f->world.now += ms;
    engine_tick(f->world.engine, f->world.now);
    world_settle(&f->world);
    check_balance(f);
}

/** CONNECT by a process and its SYN. Returns what the proxy sees. */
static inline struct tuple redirected(struct fixture *f, uint32_t pid, const struct tuple *t, uint32_t isn)
{
    connects(f, pid, t);
    assert_int_equal(send_syn(f, t, isn), VERDICT_REWRITE);
    return tuple_in(&f->last);
}

/** The rest of a handshake: program's ISN 100, proxy's ISN 500. */
static inline void hand_shake(struct fixture *f, const struct tuple *original, const struct tuple *steered)
{
    struct tuple reply = tuple_reversed(steered);
    assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    assert_int_equal(send_segment(f, ack_of(original, 101, 501)), VERDICT_REWRITE);
}

static inline struct tuple established(struct fixture *f, const struct tuple *original)
{
    struct tuple steered = redirected(f, ROOT, original, 100);
    hand_shake(f, original, &steered);
    return steered;
}

/** A destination as the proxy would look it up. */
static inline bool maps(const struct fixture *f, uint16_t port, const struct tuple *original, uint32_t pid)
{
    struct destination d;
    return destinations_find(engine_destinations(f->world.engine), port, &d) && d.pid == pid &&
           d.family == original->family && ip_addr_equal(&d.address, &original->dst) &&
           d.port == be16_to_host(original->dst_port) && !d.incoming;
}

static inline bool maps_nothing(const struct fixture *f, uint16_t port)
{
    struct destination d;
    return !destinations_find(engine_destinations(f->world.engine), port, &d);
}

static inline uint16_t source_port(const struct tuple *t)
{
    return be16_to_host(t->src_port);
}

/** A port that no connection of this fixture has had. */
static inline uint16_t fresh_port(struct fixture *f)
{
    return (uint16_t)(20000 + f->ports_given++);
}

static inline struct tuple tuple4(void)
{
    return tuple_of("10.0.0.1", 50000, "93.184.216.34", 443);
}

static inline struct tuple tuple6(void)
{
    return tuple_of("2001:db8::1", 50000, "2001:db8:9::9", 443);
}

static inline void assert_tuple(const struct made *m, const struct tuple *want)
{
    struct tuple is = tuple_in(m);
    assert_true(tuple_equal(&is, want));
}

#endif
