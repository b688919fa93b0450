/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file engine_model.h
 * A hostile world around the engine of fuzz/engine.c, and the model of what the engine owes it.
 *
 * The model knows four things: which first SYNs are held inside the engine, which connections were redirected and how,
 * when each of them is over at the latest (flow.h's table of a flow's life), and what stop has done. It does not know
 * which processes are to be redirected: that is for the models of tests/property. It learns a connection from its first
 * SYN's translation, and from then on says of every packet what must become of it.
 */
#ifndef FUZZ_ENGINE_MODEL_H
#define FUZZ_ENGINE_MODEL_H

#include "fuzz.h"

#include "../tests/unit/engine_fixture.h"

enum { BYTES_MAX = 256, KNOWN_MAX = 64, WAITING_MAX = 64, SOCKETS_MAX = 12, FILTER_WAIT_MS = 5000, LOST_SCANS = 2 };
enum { TABLE_WAIT_MS = 2 * 250 }; /* for its owner, and because of a doubt */

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
    enum decision answer; /* that was given, and may not have been carried out yet */
    uint8_t bytes[BYTES_MAX];
};

/* A redirected connection. */
struct known {
    bool used, announced, closing, open, by_reset, seen, deleted;
    struct tuple original, steered;
    uint32_t isn, pid, missed;
    uint32_t segment; /* what its SYN said, before it was raised (segment_size.h); 0: it was not */
    uint8_t fins;
    uint64_t over; /* when it is over at the latest */
};

static struct world world;

static struct {
    struct engine_config config;
    struct rng r;
    uint64_t sent;
    uint32_t rsts, live;
    bool filter_fixed; /* every packet is captured, and the filter is never replaced */
    bool blocks;       /* a rule has said so: connections may be refused */
    bool stopped, reset, ticking, announced;
    struct tuple syn;   /* of the packet in hand, if it is a first SYN on a known connection's tuple */
    struct tuple begun; /* original tuple of the connection that was announced last, if `announced` */
    uint32_t begun_pid;
    const struct made *whole; /* the packet in hand, if it is a reply that may be cut: */
    struct known *cut;        /* its connection, */
    uint32_t cut_bytes;       /* and what of its payload was sent in pieces */
    struct known known[KNOWN_MAX];
    struct waiting waiting[WAITING_MAX];
} model;

static inline struct waiting *waiting_for(const struct tuple *t)
{
    for (int i = 0; i < WAITING_MAX; i++) {
        if (model.waiting[i].used && tuple_equal(&model.waiting[i].tuple, t)) {
            return &model.waiting[i];
        }
    }
    return NULL;
}

static inline struct known *known_by(const struct tuple *t, enum leg *leg)
{
    for (int i = 0; i < KNOWN_MAX; i++) {
        struct known *k = &model.known[i];
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
        struct known *k = &model.known[i];
        k->used = k->used && (k->announced || flow_find(&world.engine->flows, &k->original, &leg) != FLOW_NONE);
    }
}

/* The engine has translated a first SYN. */
static inline struct known *learn(const struct tuple *original, const struct tuple *steered, uint32_t isn)
{
    struct known *k = NULL;
    enum leg leg;
    forget_direct_ones();
    MUST(!known_by(original, &leg));
    for (int i = 0; i < KNOWN_MAX; i++) {
        MUST(!model.known[i].used || model.known[i].steered.src_port.wire != steered->src_port.wire); /* O3 */
        k = model.known[i].used ? k : &model.known[i];
    }
    MUST(k && steered->src_port.wire);
    *k = (struct known){
        .used = true, .announced = model.announced, .original = *original, .steered = *steered, .isn = isn};
    k->over = world.now + FLOW_OPENING_MS;
    if (model.announced) {
        MUST(tuple_equal(&model.begun, original));
        k->pid = model.begun_pid;
        model.live++;
    } else { /* a direct connection to the proxy: no more than its source port changes */
        struct tuple same = *steered;
        same.src_port = original->src_port;
        MUST(tuple_equal(&same, original));
    }
    model.announced = false;
    return k;
}

/* The life of a flow, as flow.h tells it. */
static inline void live_on(struct known *k, enum leg leg, uint8_t flags)
{
    bool syn = leg == LEG_FORWARD && (flags & TCP_SYN);
    if (syn && !k->open) {
        k->fins = k->closing ? 0 : k->fins;
        k->closing = k->by_reset = false;
        k->over = world.now + FLOW_OPENING_MS;
    } else if (leg == LEG_REPLY && !k->open && !k->closing) {
        k->open = true;
        k->over = UINT64_MAX;
    }
    if (flags & TCP_RST) {
        k->over = k->by_reset ? k->over : world.now + FLOW_LINGER_RST_MS;
        k->closing = k->by_reset = true;
        k->open = false;
    } else if (flags & TCP_FIN) {
        k->fins |= (uint8_t)(1u << leg);
        if (k->fins == 3 && k->open) {
            k->over = world.now + FLOW_LINGER_FIN_MS;
            k->closing = true;
            k->open = false;
        }
    }
}

/* ---- hooks of the world ---- */

static inline void model_path(struct world *w, uint32_t pid, char *out, uint32_t size)
{
    (void)w;
    out[0] = 0;
    if (pid % 8) { /* of the others it is unknown */
        snprintf(out, size, "C:\\tools\\p%u.exe", pid);
    }
}

static inline uint32_t model_owner(struct world *w, const struct tuple *tuple)
{
    MUST(waiting_for(tuple)); /* never asked for any other packet */
    return w->processes[tuple->src_port.wire % 8].self.pid;
}

static inline bool is_held(const struct tuple *t)
{
    uint32_t id = pending_find(&world.engine->pending, t);
    return id != PENDING_NONE && pending_is_held(&world.engine->pending.entries[id]);
}

/* The one that the engine does not hold any more: there is at most one at a time, but for those that were dropped. */
static inline struct waiting *released(bool dropped)
{
    for (int i = 0; i < WAITING_MAX; i++) {
        struct waiting *w = &model.waiting[i];
        if (w->used && dropped == (w->answer == DECISION_DROP) && !is_held(&w->tuple)) {
            return w;
        }
    }
    return NULL;
}

/* A piece of the reply in hand. */
static inline void check_piece(struct made *piece, const struct packet *p)
{
    static struct made alike;
    const struct made *whole = model.whole;
    uint32_t headers = piece->length - p->payload, last = headers + model.cut_bytes + p->payload;
    struct tuple to = tuple_reversed(&model.cut->original);
    uint8_t *tcp = piece->bytes + piece->tcp_offset;
    MUST(tuple_equal(&p->tuple, &to) && piece->tcp_offset == whole->tcp_offset && last <= whole->length);
    MUST(p->payload && p->payload <= model.cut->segment);
    MUST(p->seq == wire32(whole->bytes + whole->tcp_offset + 4) + model.cut_bytes);
    MUST(!memcmp(piece->bytes + headers, whole->bytes + headers + model.cut_bytes, p->payload));
    MUST(piece->meta.ip_checksum_valid && piece->meta.transport_checksum_valid);
    MUST(ip_checksum_right(piece) && tcp_checksum_right(piece));
    MUST(last == whole->length || !(p->flags & (TCP_FIN | TCP_PSH)));
    /* All else of the headers is the whole's. */
    alike = *whole;
    alike.length = piece->length = headers;
    memcpy(alike.bytes + (to.family == FAMILY_IP4 ? 2 : 4), piece->bytes + (to.family == FAMILY_IP4 ? 2 : 4), 2);
    memcpy(alike.bytes + alike.tcp_offset + 4, tcp + 4, 4);
    alike.bytes[alike.tcp_offset + 13] = tcp[13];
    memcpy(alike.bytes + alike.tcp_offset + 18, tcp + 18, 2);
    MUST(same_but_for_tuple_and_checksums(&alike, piece));
    model.cut_bytes += p->payload;
}

static inline void model_injected(struct world *w, const struct packet_meta *meta, const uint8_t *data, uint32_t length)
{
    static struct made out;
    struct packet p;
    (void)w;
    MUST(length <= BYTES_MAX);
    memcpy(out.bytes, data, length);
    MUST(packet_parse(out.bytes, length, &p) == PACKET_TCP);
    out.length = length;
    out.meta = *meta;
    out.tcp_offset = (uint32_t)(p.tcp - p.ip);
    if (model.whole) {
        check_piece(&out, &p);
        return;
    }
    if (p.flags & TCP_RST && length == out.tcp_offset + 20) { /* made by the engine: a reset or a refusal */
        struct tuple to = tuple_reversed(&p.tuple);
        struct waiting *refused = waiting_for(&to);
        MUST(ip_checksum_right(&out) && tcp_checksum_right(&out));
        MUST(meta->ip_checksum_valid && meta->transport_checksum_valid);
        model.rsts++;
        if (refused && p.flags == (TCP_RST | TCP_ACK)) {
            MUST((model.config.fail_closed || model.blocks || refused->answer == DECISION_REFUSE) &&
                 p.ack == refused->isn + 1);
            refused->used = false;
        }
        return;
    }
    struct waiting *held = released(false);
    MUST(held); /* it was held, and leaves once only */
    held->used = false;
    if (tuple_equal(&held->tuple, &p.tuple) && !model.announced) {
        MUST(length == held->length && !memcmp(data, held->bytes, length)); /* O2: unchanged */
        MUST(meta_equal(meta, &held->meta));
    } else {
        static struct made was;
        was.length = held->length;
        was.tcp_offset = out.tcp_offset;
        memcpy(was.bytes, held->bytes, held->length);
        uint32_t segment = restore_mss(&was, &out);
        MUST(!model.stopped && same_but_for_tuple_and_checksums(&was, &out));
        learn(&held->tuple, &p.tuple, p.seq)->segment = segment;
    }
}

static inline void model_sockets_scanned(struct world *w, bool whole)
{
    enum leg leg;
    for (uint32_t i = 0; i < (whole ? w->connected.count : w->connected.count / 2); i++) {
        struct known *k = known_by(&w->connected.rows[i].tuple, &leg);
        if (k) {
            k->seen = true;
        }
    }
    for (int i = 0; whole && i < KNOWN_MAX; i++) {
        struct known *k = &model.known[i];
        k->missed = k->seen || !k->open ? 0 : k->missed + 1;
        k->seen = false;
    }
}

static inline void model_flow_event(struct world *w, const struct flow *flow, const struct tuple *original, bool ended)
{
    enum leg leg;
    (void)w;
    MUST(flow->kind != FLOW_DIRECT);
    if (!ended) {
        MUST(!model.stopped && !model.announced);
        MUST(flow->kind == FLOW_INCOMING || (flow->pid && flow->pid != 4 && flow->pid != AGENT)); /* I3, I4 */
        model.begun = *original;
        model.begun_pid = flow->pid;
        model.announced = true;
        return;
    }
    struct known *k = known_by(original, &leg);
    MUST(k && leg == LEG_FORWARD && k->announced);
    bool full = world.engine->flows.live >= model.config.max_flows;
    bool lost = k->missed >= LOST_SCANS, again = tuple_equal(&model.syn, original);
    MUST(model.stopped || again || (full && k->closing) || (model.ticking && (k->over <= world.now || lost))); /* L1 */
    model.live--;
    k->announced = false;
    k->used = model.stopped && model.reset; /* then it stays, so that its last packets are recognised */
}

static inline void replace_filter(void)
{
    const struct capture_set *wanted = model.filter_fixed ? NULL : engine_capture_wanted(world.engine, world.now);
    if (wanted) {
        MUST(!engine_capture_wanted(world.engine, world.now));
        engine_capture_replaced(world.engine, rng_below(&model.r, 8) != 0, world.now);
    }
}

static inline void begin(const uint8_t *data, size_t size)
{
    memset(&model, 0, sizeof model);
    memset(&world, 0, sizeof world);
    model.r = (struct rng){.bytes = data, .left = size};
    uint32_t how = rng_below(&model.r, 256);
    model.config = (struct engine_config){
        .agent_pid = AGENT,
        .proxy_port = how & 1 ? 0 : PROXY_PORT,
        .incoming_port = how & 2 || how & 1 ? INCOMING_PORT : 0,
        .reflect = how & 4,
        .fail_closed = how & 8,
        .hold_timeout_ms = how & 16 ? 50 : 1000,
        .scan_interval_ms = how & 32 ? 100 : 5000,
        .max_flows = how & 64 ? 2 : 32,
        .seed = 1,
        .decision_timeout_ms = how % 3 ? 0 : 300,
    };
    world.hooks = (struct world_hooks){
        .injected = model_injected,
        .flow_event = model_flow_event,
        .owner_of = model_owner,
        .path_of = model_path,
        .sockets_scanned = model_sockets_scanned,
    };
    MUST(world_open(&world, &model.config, WORLD_WITH_TABLES));
    model.filter_fixed = how & 128;
    if (model.filter_fixed) {
        world_capture_all(world.engine);
    }
    for (uint32_t i = 0; i < 8; i++) {
        struct process_id nobody = {4, 1};
        world.processes[i] = (struct process_facts){.self = {pids[i], 100 + i}, .parent = nobody};
    }
    world.processes[1].parent = world.processes[0].self;
    engine_process(world.engine, world.processes[0].self);
    for (uint32_t i = 0; i < 4; i++) {
        struct tuple local = tuple_of(addresses[i & 1][3], ports[3 + i / 2], addresses[i & 1][3], 0);
        world_row_add(&world.listening, &local, AGENT);
    }
    world_scan_listeners(&world);
    replace_filter();
}

#endif
