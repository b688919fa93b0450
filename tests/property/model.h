/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file model.h
 * The model that sequences.h compares the engine with: what each connection is, what must come out for it,
 * and what must be true at all times. It knows the rules of the product and the engine's interface, none of its
 * inner workings.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include "../unit/engine_fixture.h"

enum { SEQUENCES = 2000, STEPS = 250, TICK_MS = 10, EVENT_KEPT_MS = 5000, OPENING_MS = 30000 };
enum { LINGER_RST_MS = 1000, LINGER_FIN_MS = 10000, FEW_FLOWS = 3 };
enum { CONNECTIONS = 14, DIRECT = 2, DECIDE_MS = 200 };

enum phase {
    IDLE,
    HELD,    /* its SYN is inside the engine */
    ASKED,   /* so it is, until somebody decides */
    AWAY,    /* refused or dropped, by decision */
    PASSING, /* not redirected */
    FLOW,    /* through the engine's flow table */
};

struct connection {
    struct tuple tuple, seen; /* seen: as the proxy sees it, once it is a FLOW */
    bool loopback, direct;
    enum phase phase;
    uint32_t isn, pid, known_owner; /* known_owner: what the TCP table says; 0: nothing */
    bool redirect, mapped, event_came, may_retransmit, answered, closing;
    uint8_t fins;
    enum decision answer; /* NONE: none yet */
    uint64_t question, asked_ms;
    uint64_t since, ends; /* time of the SYN; when the flow is over by itself */
    int64_t event_time;   /* the driver's, of its event, whenever that comes */
};

static struct {
    struct fixture *f;
    struct rng r;
    uint64_t seed;
    uint32_t step, next_isn, refused;
    bool deciding; /* connections are decided */
    bool few; /* a small flow table; then no flow closes by itself, as the model does not say which one makes room */
    struct connection all[CONNECTIONS];
} m;

/* How often the interesting things happened, over all sequences: a test that meets none of them proves nothing. */
static struct {
    uint32_t redirected_late, passed_late, substituted, refused, retransmitted, expired, reused;
    uint32_t decided[DECISION_DROP + 1], undecided, given_up;
} met;

static const struct {
    const char *src, *dst;
    bool loopback;
} ends[] = {
    {"10.0.0.1", "93.184.216.34", false},
    {"10.0.0.2", "93.184.216.34", false},
    {"2001:db8::1", "2001:db8::2", false},
    {"127.0.0.1", "127.0.0.1", true},
};

/* A process, and whether its connections are to be redirected. */
static const struct {
    uint32_t pid;
    bool redirect;
} owners[] = {{ROOT, true}, {CHILD, true}, {1008, true}, {STRANGER, false}, {2004, false}, {AGENT, false}, {4, false}};

static inline bool is_member(uint32_t pid)
{
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        if (owners[i].pid == pid) {
            return owners[i].redirect;
        }
    }
    return false;
}

static inline uint32_t owner_of(struct world *w, const struct tuple *tuple)
{
    (void)w;
    for (int i = 0; i < CONNECTIONS; i++) {
        if (tuple_equal(&m.all[i].tuple, tuple)) {
            return m.all[i].known_owner;
        }
    }
    fail_msg("the engine asked for a connection that is not there");
    return 0;
}

static inline void begin(uint64_t seed, struct rng decisions)
{
    struct engine_config config = fixture_config();
    memset(&m, 0, sizeof m);
    m.seed = seed;
    m.r = decisions;
    m.next_isn = (uint32_t)rng_next(&m.r);
    m.few = rng_below(&m.r, 5) == 0;
    m.deciding = rng_below(&m.r, 3) == 0;
    config.decision_timeout_ms = m.deciding ? DECIDE_MS : 0;
    config.max_flows = m.few ? FEW_FLOWS : 64;
    config.seed = seed;
    m.f = fixture_new(&config);
    m.f->world.hooks.owner_of = owner_of;
    process_starts(m.f, 1008, 400, CHILD, 300);
    process_starts(m.f, 2004, 500, STRANGER, 400);
    engine_process(m.f->world.engine, (struct process_id){CHILD, 300});
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &m.all[i];
        uint16_t port = (uint16_t)(50000 + i % 3);
        c->direct = i >= CONNECTIONS - DIRECT;
        const char *src = c->direct ? "127.0.0.1" : ends[i % 4].src, *dst = c->direct ? "127.0.0.1" : ends[i % 4].dst;
        c->tuple = tuple_of(src, port, dst, c->direct ? PROXY_PORT : 443);
        c->loopback = c->direct || ends[i % 4].loopback;
        c->ends = UINT64_MAX;
    }
}

static inline uint32_t flows_now(void)
{
    uint32_t n = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        n += m.all[i].phase == FLOW;
    }
    return n;
}

static inline bool port_in_use(uint16_t port, const struct connection *but)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        if (&m.all[i] != but && m.all[i].phase == FLOW && source_port(&m.all[i].seen) == port) {
            return true;
        }
    }
    return false;
}

/* What a flow's first SYN came out as: the right place, and a source port that nobody else has (O3). */
static inline void check_steering(struct connection *c, const struct made *out)
{
    struct tuple want = c->tuple;
    c->seen = tuple_in(out);
    if (!c->direct) {
        const char *loopback = c->tuple.family == FAMILY_IP4 ? "127.0.0.1" : "::1";
        want = tuple_of(loopback, source_port(&c->tuple), loopback, PROXY_PORT);
    }
    if (port_in_use(source_port(&want), c)) {
        assert_false(port_in_use(source_port(&c->seen), c));
        want.src_port = c->seen.src_port;
        met.substituted++;
    }
    assert_true(tuple_equal(&c->seen, &want));
    assert_true(out->meta.outbound);
    assert_int_equal(maps(m.f, source_port(&c->seen), &c->tuple, c->pid), !c->direct);
    struct destination d;
    if (destinations_find(engine_destinations(m.f->world.engine), source_port(&c->seen), &d)) {
        assert_true(d.decision_id == c->question);
    }
}

static inline void becomes_flow(struct connection *c, const struct made *out)
{
    check_steering(c, out);
    c->phase = FLOW;
    c->mapped = !c->direct;
    c->answered = c->closing = false;
    c->fins = 0;
    c->ends = m.f->world.now + OPENING_MS;
}

/* What the engine has asked about: of connections that are to be redirected alone, and each once. */
static inline void take_questions(void)
{
    struct undecided u;
    while (m.deciding && decisions_take(engine_decisions(m.f->world.engine), &u)) {
        struct connection *c = NULL;
        for (int k = 0; k < CONNECTIONS; k++) {
            c = m.all[k].phase == HELD && tuple_equal(&m.all[k].tuple, &u.tuple) ? &m.all[k] : c;
        }
        assert_non_null(c);
        assert_true(c->redirect && u.pid == c->pid && !c->direct);
        c->phase = ASKED;
        c->answer = DECISION_NONE;
        c->question = u.id;
        c->asked_ms = m.f->world.now;
    }
}

/* Whose held SYN, or whose refusal, this packet is: its number tells. */
static inline struct connection *held_one(const struct made *out, bool rst)
{
    const uint8_t *tcp = out->bytes + out->tcp_offset;
    uint32_t isn = rst ? wire32(tcp + 8) - 1 : wire32(tcp + 4);
    for (int k = 0; k < CONNECTIONS; k++) {
        struct connection *c = &m.all[k];
        if (c->isn == isn && (rst ? c->phase == ASKED || c->phase == AWAY : c->phase == HELD || c->phase == ASKED)) {
            return c;
        }
    }
    fail_msg("it was not held, or has left before");
    return NULL;
}

/* The engine let a held SYN go, unchanged (O2). */
static inline void check_passed(struct connection *c, const struct made *out)
{
    static struct made want;
    struct segment s = syn_of(&c->tuple, c->isn);
    make(&want, &s);
    assert_int_equal(out->length, want.length);
    assert_memory_equal(out->bytes, want.bytes, want.length);
    bool decided = c->answer == DECISION_PASS;
    met.passed_late++;
    m.refused += c->redirect && !decided;
    c->may_retransmit = !c->redirect || decided;
    c->phase = PASSING;
}

/* The engine let a held SYN go, or answered it. */
static inline void take_injected(void)
{
    take_questions();
    for (uint32_t i = 0; i < m.f->injected_count; i++) {
        struct made *out = m.f->injected[i];
        bool rst = out->bytes[out->tcp_offset + 13] & TCP_RST;
        struct connection *c = held_one(out, rst);
        assert_int_equal(out->meta.loopback, c->loopback);
        if (c->phase == ASKED && !c->answer) {
            assert_true(m.f->world.now - c->asked_ms >= DECIDE_MS);
            c->answer = DECISION_ACCEPT;
            met.undecided++;
        } else if (c->phase == HELD) {
            assert_false(c->redirect && m.deciding && !c->direct); /* it would have been asked about */
        }
        assert_int_equal(rst, c->answer == DECISION_REFUSE);
        bool room = !m.few || flows_now() < FEW_FLOWS;
        if (rst) {
            c->phase = AWAY;
        } else if (c->redirect && room && c->answer != DECISION_PASS) {
            becomes_flow(c, out);
            met.redirected_late++;
        } else {
            check_passed(c, out);
        }
    }
    fixture_forget_injected(m.f);
}

/* Time has passed: what was decided is done. */
static inline void time_passed(void)
{
    take_injected();
    for (int k = 0; k < CONNECTIONS; k++) {
        struct connection *c = &m.all[k];
        if (c->phase == ASKED && c->answer) {
            assert_int_equal(c->answer, DECISION_DROP); /* the others are seen */
            c->phase = AWAY;
        }
    }
}

/* Sends the segment and compares what comes out with what is built afresh for `want`. */
static inline void expect_translated(struct segment s, const struct connection *c, const struct tuple *want,
                                     bool outbound)
{
    static struct made fresh;
    m.f->loopback = c->loopback;
    enum verdict verdict = send_segment(m.f, s);
    s.tuple = *want;
    make(&fresh, &s);
    assert_int_equal(m.f->last.length, fresh.length);
    assert_memory_equal(m.f->last.bytes, fresh.bytes, fresh.length);
    assert_int_equal(m.f->last.meta.outbound, outbound);
    if (!c->direct) {
        assert_int_equal(verdict, VERDICT_REWRITE);
    }
}

static inline void event_of(struct connection *c)
{
    m.f->loopback = c->loopback;
    c->redirect = is_member(c->pid);
    c->event_came = true;
    send_event_of(m.f, SOCKET_CONNECT, c->pid, &c->tuple, c->event_time);
    take_injected();
}

static inline void expire_by_clock(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &m.all[i];
        if (c->phase == FLOW && c->ends <= m.f->world.now) {
            assert_true(maps_nothing(m.f, source_port(&c->seen)) || port_in_use(source_port(&c->seen), c));
            c->phase = IDLE;
            met.expired++;
        }
    }
}

static inline void check_always(void)
{
    uint32_t flows = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        const struct connection *c = &m.all[i];
        if (c->phase == HELD) {
            assert_true(m.f->world.now - c->since < HOLD_MS + TICK_MS); /* O2: nothing is held for ever */
        } else if (c->phase == ASKED) {
            assert_true(m.f->world.now - c->asked_ms < DECIDE_MS + TICK_MS);
        } else if (c->phase == FLOW) {
            flows += !c->direct;
            assert_false(port_in_use(source_port(&c->seen), c)); /* O3 */
            assert_int_equal(maps(m.f, source_port(&c->seen), &c->tuple, c->pid), c->mapped);
            assert_int_equal(maps_nothing(m.f, source_port(&c->seen)), !c->mapped);
        }
    }
    assert_int_equal(COUNTER(m.f, flows_live), flows);
    assert_int_equal(m.f->world.flows_begun - m.f->world.flows_ended, flows);
    assert_int_equal(COUNTER(m.f, flow_table_full), m.refused);
}

#endif
