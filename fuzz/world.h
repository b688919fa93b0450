/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file world.h
 * The hostile world around the engine of fuzz/engine.c, and the model of what the engine owes it.
 *
 * The model knows four things: which first SYNs are held inside the engine, which connections were redirected and how,
 * when each of them is over at the latest (flow.h's table of a flow's life), and what stop has done. Who is to be
 * redirected it does not know: that is for the models of tests/property. It learns a connection from its first SYN's
 * translation, and from then on says of every packet what must become of it.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "fuzz.h"

#include "../tests/unit/engine_fixture.h"

enum { BYTES_MAX = 256, KNOWN_MAX = 64, WAITING_MAX = 64, SOCKETS_MAX = 12, COVER_MS = 1000, LOST_LOOKS = 2 };

static const char *const addresses[2][4] = {
    {"10.0.0.1", "127.0.0.1", "93.184.216.34", "0.0.0.0"},
    {"2001:db8::1", "::1", "::ffff:10.0.0.1", "::"},
};
static const uint16_t ports[8] = {50000, 50001, 443, PROXY_PORT, INCOMING_PORT, 80, 1024, 0};
static const uint32_t pids[8] = {ROOT, CHILD, STRANGER, AGENT, 2004, 4, 0, 1008};

/* A first SYN that the engine keeps. */
struct waiting {
    bool used;
    struct tuple tuple;
    struct packet_meta meta;
    uint32_t isn, length;
    uint64_t since;
    uint8_t bytes[BYTES_MAX];
};

/* A redirected connection. */
struct known {
    bool used, announced, closing, open, by_reset, seen, deleted;
    struct tuple original, steered;
    uint32_t isn, pid, missed;
    uint8_t fins;
    uint64_t over; /* when it is over at the latest */
};

static struct {
    struct engine *engine;
    struct engine_config config;
    struct rng r;
    uint64_t now, sent;
    int64_t clock;
    struct process_facts processes[8];
    struct tuple listeners[SOCKETS_MAX], sockets[SOCKETS_MAX];
    uint32_t listener_pids[SOCKETS_MAX];
    uint32_t listener_count, socket_count, rsts, live;
    bool tables_fail, stopped, reset, ticking, news;
    struct tuple syn;   /* of the packet in hand, if it is a first SYN on a known connection's tuple */
    struct tuple begun; /* original tuple of the connection that was announced last, if `news` */
    uint32_t begun_pid;
    struct known known[KNOWN_MAX];
    struct waiting waiting[WAITING_MAX];
} w;

static inline struct waiting *waiting_for(const struct tuple *t)
{
    for (int i = 0; i < WAITING_MAX; i++) {
        if (w.waiting[i].used && tuple_equal(&w.waiting[i].tuple, t)) {
            return &w.waiting[i];
        }
    }
    return NULL;
}

static inline struct known *known_by(const struct tuple *t, enum leg *leg)
{
    for (int i = 0; i < KNOWN_MAX; i++) {
        struct known *k = &w.known[i];
        struct tuple reply = tuple_reversed(&k->steered);
        if (k->used && (tuple_equal(&k->original, t) || tuple_equal(&reply, t))) {
            *leg = tuple_equal(&k->original, t) ? LEG_FORWARD : LEG_REPLY;
            return k;
        }
    }
    return NULL;
}

/* Direct connections begin and end without a word to the host: only the engine knows. */
static inline void forget_direct_ones(void)
{
    for (int i = 0; i < KNOWN_MAX; i++) {
        enum leg leg;
        struct known *k = &w.known[i];
        k->used = k->used && (k->announced || flow_find(&w.engine->flows, &k->original, &leg) != FLOW_NONE);
    }
}

/* The engine has translated a first SYN. */
static inline void learn(const struct tuple *original, const struct tuple *steered, uint32_t isn)
{
    struct known *k = NULL;
    enum leg leg;
    forget_direct_ones();
    MUST(!known_by(original, &leg));
    for (int i = 0; i < KNOWN_MAX; i++) {
        MUST(!w.known[i].used || w.known[i].steered.src_port.wire != steered->src_port.wire); /* O3 */
        k = w.known[i].used ? k : &w.known[i];
    }
    MUST(k && steered->src_port.wire);
    *k = (struct known){.used = true, .announced = w.news, .original = *original, .steered = *steered, .isn = isn};
    k->over = w.now + FLOW_OPENING_MS;
    if (w.news) {
        MUST(tuple_equal(&w.begun, original));
        k->pid = w.begun_pid;
        w.live++;
    } else { /* a direct connection to the proxy: no more than its source port changes */
        struct tuple same = *steered;
        same.src_port = original->src_port;
        MUST(tuple_equal(&same, original));
    }
    w.news = false;
}

/* The life of a flow, as flow.h tells it. */
static inline void live_on(struct known *k, enum leg leg, uint8_t flags)
{
    bool syn = leg == LEG_FORWARD && (flags & TCP_SYN);
    if (syn && !k->open) {
        k->fins = k->closing ? 0 : k->fins;
        k->closing = k->by_reset = false;
        k->over = w.now + FLOW_OPENING_MS;
    } else if (leg == LEG_REPLY && !k->open && !k->closing) {
        k->open = true;
        k->over = UINT64_MAX;
    }
    if (flags & TCP_RST) {
        k->over = k->by_reset ? k->over : w.now + FLOW_LINGER_RST_MS;
        k->closing = k->by_reset = true;
        k->open = false;
    } else if (flags & TCP_FIN) {
        k->fins |= (uint8_t)(1u << leg);
        if (k->fins == 3 && k->open) {
            k->over = w.now + FLOW_LINGER_FIN_MS;
            k->closing = true;
            k->open = false;
        }
    }
}

/* ---- the engine's host ---- */

static inline bool world_facts(void *context, uint32_t pid, struct process_facts *out)
{
    (void)context;
    for (size_t i = 0; i < sizeof w.processes / sizeof *w.processes; i++) {
        if (pid && w.processes[i].self.pid == pid) {
            *out = w.processes[i];
            return true;
        }
    }
    return false;
}

static inline void world_path(void *context, uint32_t pid, char *out, uint32_t size)
{
    (void)context;
    if (pid % 8) { /* of the others it is unknown */
        snprintf(out, size, "C:\\tools\\p%u.exe", pid);
    }
}

static inline uint32_t world_owner(void *context, const struct tuple *tuple)
{
    (void)context;
    MUST(waiting_for(tuple)); /* never asked for any other packet */
    return w.processes[tuple->src_port.wire % 8].self.pid;
}

/* The one that the engine does not hold any more: there is at most one at a time. */
static inline struct waiting *let_go(void)
{
    for (int i = 0; i < WAITING_MAX; i++) {
        uint32_t id = w.waiting[i].used ? pending_find(&w.engine->pending, &w.waiting[i].tuple) : PENDING_NONE;
        if (w.waiting[i].used && (id == PENDING_NONE || w.engine->pending.entries[id].state != PENDING_HELD)) {
            return &w.waiting[i];
        }
    }
    return NULL;
}

static inline void world_inject(void *context, const struct packet_meta *meta, const uint8_t *data, uint32_t length)
{
    static struct made out;
    struct packet p;
    (void)context;
    MUST(length <= BYTES_MAX);
    memcpy(out.bytes, data, length);
    MUST(packet_parse(out.bytes, length, &p) == PACKET_TCP);
    out.length = length;
    out.meta = *meta;
    out.tcp_offset = (uint32_t)(p.tcp - p.ip);
    if (p.flags & TCP_RST && length == out.tcp_offset + 20) { /* made by the engine: a reset or a refusal */
        struct tuple to = tuple_reversed(&p.tuple);
        struct waiting *refused = waiting_for(&to);
        MUST(ip_checksum_right(&out) && tcp_checksum_right(&out));
        MUST(meta->ip_checksum_valid && meta->tcp_checksum_valid);
        w.rsts++;
        if (refused && p.flags == (TCP_RST | TCP_ACK)) {
            MUST(w.config.refuse && p.ack == refused->isn + 1);
            refused->used = false;
        }
        return;
    }
    struct waiting *held = let_go();
    MUST(held); /* it was held, and leaves once only */
    held->used = false;
    if (tuple_equal(&held->tuple, &p.tuple) && !w.news) {
        MUST(length == held->length && !memcmp(data, held->bytes, length)); /* O2: unchanged */
        MUST(meta_equal(meta, &held->meta));
    } else {
        static struct made was;
        was.length = held->length;
        was.tcp_offset = out.tcp_offset;
        memcpy(was.bytes, held->bytes, held->length);
        MUST(!w.stopped && same_but_for_tuple_and_checksums(&was, &out));
        learn(&held->tuple, &p.tuple, p.seq);
    }
}

static inline bool world_listeners(void *context)
{
    (void)context;
    for (uint32_t i = 0; i < (w.tables_fail ? w.listener_count / 2 : w.listener_count); i++) {
        engine_listener(w.engine, &w.listeners[i], w.listener_pids[i]);
    }
    return !w.tables_fail;
}

static inline bool world_sockets(void *context)
{
    enum leg leg;
    (void)context;
    for (uint32_t i = 0; i < (w.tables_fail ? w.socket_count / 2 : w.socket_count); i++) {
        engine_socket(w.engine, &w.sockets[i]);
        struct known *k = known_by(&w.sockets[i], &leg);
        if (k) {
            k->seen = true;
        }
    }
    for (int i = 0; !w.tables_fail && i < KNOWN_MAX; i++) {
        struct known *k = &w.known[i];
        k->missed = k->seen || !k->open ? 0 : k->missed + 1;
        k->seen = false;
    }
    return !w.tables_fail;
}

static inline void world_flow_news(void *context, const struct flow *flow, const struct tuple *original, bool ended)
{
    enum leg leg;
    (void)context;
    MUST(flow->kind != FLOW_DIRECT);
    if (!ended) {
        MUST(!w.stopped && !w.news);
        MUST(flow->kind == FLOW_INCOMING || (flow->pid && flow->pid != 4 && flow->pid != AGENT)); /* I3, I4 */
        w.begun = *original;
        w.begun_pid = flow->pid;
        w.news = true;
        return;
    }
    struct known *k = known_by(original, &leg);
    MUST(k && leg == LEG_FORWARD && k->announced);
    bool full = w.engine->flows.live >= w.config.max_flows;
    bool lost = k->missed >= LOST_LOOKS, again = tuple_equal(&w.syn, original);
    MUST(w.stopped || again || (full && k->closing) || (w.ticking && (k->over <= w.now || lost))); /* L1 */
    w.live--;
    k->announced = false;
    k->used = w.stopped && w.reset; /* then it stays, so that its last packets are recognised */
}

static inline void world_proxy_missing(void *context, const struct tuple *steered)
{
    (void)context;
    MUST(steered->family == FAMILY_IP4 || steered->family == FAMILY_IP6);
}

static inline void replace_filter(void)
{
    const struct cover *wanted = engine_cover_wanted(w.engine, w.now);
    if (wanted) {
        MUST(!engine_cover_wanted(w.engine, w.now));
        engine_cover_replaced(w.engine, rng_below(&w.r, 8) != 0, w.now);
    }
}

static inline void begin(const uint8_t *data, size_t size)
{
    static const struct engine_host host = {
        .process_facts = world_facts,
        .process_path = world_path,
        .socket_owner = world_owner,
        .inject = world_inject,
        .list_listeners = world_listeners,
        .list_sockets = world_sockets,
        .flow_news = world_flow_news,
        .proxy_missing = world_proxy_missing,
    };
    memset(&w, 0, sizeof w);
    w.r = (struct rng){.bytes = data, .left = size};
    uint32_t how = rng_below(&w.r, 256);
    w.now = 1000000;
    w.config = (struct engine_config){
        .agent_pid = AGENT,
        .proxy_port = how & 1 ? 0 : PROXY_PORT,
        .incoming_port = how & 2 || how & 1 ? INCOMING_PORT : 0,
        .reflect = how & 4,
        .refuse = how & 8,
        .hold_ms = how & 16 ? 50 : 1000,
        .look_ms = how & 32 ? 100 : 5000,
        .max_flows = how & 64 ? 2 : 32,
        .whole_cover = how & 128,
        .seed = 1,
    };
    w.engine = engine_new(&w.config, &host);
    MUST(w.engine);
    for (uint32_t i = 0; i < 8; i++) {
        struct process_id nobody = {4, 1};
        w.processes[i] = (struct process_facts){.self = {pids[i], 100 + i}, .parent = nobody};
    }
    w.processes[1].parent = w.processes[0].self;
    engine_process(w.engine, w.processes[0].self);
    for (uint32_t i = 0; i < 4; i++) {
        w.listeners[i] = tuple_of(addresses[i & 1][3], ports[3 + i / 2], addresses[i & 1][3], 0);
        w.listener_pids[i] = AGENT;
    }
    w.listener_count = 4;
    engine_look_at_listeners(w.engine, w.now);
    replace_filter();
}

#endif
