/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The whole engine in a hostile world: packets with any flags, numbers and metadata, raw bytes, events in any order and
 * of any content, processes that come, go and give their pid away, listeners, rules, deletions, a TCP table that lies,
 * a driver whose filter cannot be replaced, and stop. Against the model of world.h.
 *
 * What must hold after each step: a packet passes as it was, byte for byte, or is translated as its connection was from
 * its first SYN on, or is held, or dropped by a stated rule; what is held leaves once, in time (O2); no flow is lost,
 * and none outlives its end (L1); a lookup finds exactly the live ones (L2, O3); the counters add up (S6).
 */
#include "world.h"

#include "windows/divert.h"

enum { STEPS_MAX = 400, TICK_MS = 250 };

static uint64_t counter(const _Atomic uint64_t *c)
{
    return atomic_load(c);
}

#define COUNTED(name) counter(&engine_counters(w.engine)->name)

static struct tuple any_tuple(void)
{
    uint32_t which = rng_below(&w.r, 256), family = which & 1;
    const char *src = addresses[family][which >> 1 & 3], *dst = addresses[family][which >> 3 & 3];
    uint32_t both = rng_below(&w.r, 64);
    return tuple_of(src, ports[both & 7], dst, ports[both >> 3]);
}

/* One that the engine has met, or any. */
static struct tuple likely_tuple(void)
{
    uint32_t which = rng_below(&w.r, 128);
    const struct known *k = &w.known[which >> 2 & 7];
    if (which >> 5 == 0 || !k->used) {
        return any_tuple();
    }
    return which & 1 ? k->original : tuple_reversed(&k->steered);
}

static uint32_t anyone_waits(void)
{
    uint32_t n = 0;
    for (int i = 0; i < WAITING_MAX; i++) {
        n += w.waiting[i].used;
    }
    return n;
}

static void check_lookups(void)
{
    for (int i = 0; i < KNOWN_MAX; i++) {
        const struct known *k = &w.known[i];
        struct destination d;
        if (!k->used) {
            continue;
        }
        bool found = destinations_find(engine_destinations(w.engine), be16_to_host(k->steered.src_port), &d);
        MUST(found == (k->announced && !k->deleted && !w.stopped));
        MUST(!found || (d.pid == k->pid && d.port == be16_to_host(k->original.dst_port) &&
                        d.family == k->original.family && ip_addr_equal(&d.address, &k->original.dst)));
    }
}

static void check_always(void)
{
    uint32_t held = anyone_waits();
    MUST(!w.news && !(w.stopped && held));
    MUST(COUNTED(packets_seen) == w.sent);
    MUST(w.sent == COUNTED(packets_passed) + COUNTED(packets_rewritten) + COUNTED(packets_dropped) + held);
    MUST(COUNTED(flows_live) == w.live);
    check_lookups();
}

static void hold(const struct packet *p, const struct made *before)
{
    struct waiting *slot = NULL;
    for (int i = 0; !slot && i < WAITING_MAX; i++) {
        slot = w.waiting[i].used ? NULL : &w.waiting[i];
    }
    MUST(slot);
    *slot = (struct waiting){true, p->tuple, before->meta, p->seq, before->length, w.now, {0}};
    memcpy(slot->bytes, before->bytes, before->length);
}

/* What must have become of a first SYN that is no known connection's. */
static void check_first_syn(enum verdict verdict, const struct packet *p, const struct made *before,
                            const struct made *after, uint32_t rsts)
{
    struct waiting *held = waiting_for(&p->tuple);
    bool again = held && held->isn == p->seq;
    struct tuple steered = tuple_in(after);
    if (held && !again) {
        held->used = false; /* a new attempt on the tuple replaces it; that is counted as a drop */
    }
    MUST(!again || verdict == VERDICT_DROP);
    switch (verdict) {
    case VERDICT_HOLD:
        hold(p, before);
        break;
    case VERDICT_REWRITE:
        learn(&p->tuple, &steered, p->seq);
        break;
    case VERDICT_DROP:
        MUST(again || (w.config.refuse && w.rsts == rsts + 1));
        break;
    case VERDICT_PASS:
        break;
    }
}

static void check_packet(enum verdict verdict, const struct packet *p, const struct made *before,
                         const struct made *after, uint32_t rsts)
{
    enum leg leg;
    struct known *k = known_by(&p->tuple, &leg);
    bool first = (p->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
    if (k && !w.reset) {
        struct tuple want = leg == LEG_FORWARD ? k->steered : tuple_reversed(&k->original), is = tuple_in(after);
        MUST(!(first && leg == LEG_FORWARD && p->seq != k->isn) || w.stopped);
        MUST(verdict == VERDICT_REWRITE && tuple_equal(&is, &want));
        live_on(k, leg, p->flags);
    } else if (k) { /* stop has reset it: what still comes of it is dropped */
        MUST(verdict == VERDICT_DROP);
    } else if (first && !w.stopped) {
        check_first_syn(verdict, p, before, after, rsts);
    } else {
        MUST(verdict == VERDICT_PASS);
    }
}

/* One packet, in memory of exactly its size. */
static void sends(const uint8_t *bytes, uint32_t length, struct packet_meta meta)
{
    static struct made before, after;
    uint8_t *data = exact_copy(bytes, length);
    struct packet p;
    enum leg leg;
    bool tcp = packet_parse(data, length, &p) == PACKET_TCP;
    before.length = after.length = length;
    before.tcp_offset = after.tcp_offset = tcp ? (uint32_t)(p.tcp - p.ip) : 0;
    before.meta = meta;
    memcpy(before.bytes, bytes, length);
    forget_direct_ones();
    struct known *k = tcp ? known_by(&p.tuple, &leg) : NULL;
    if (k && leg == LEG_FORWARD && (p.flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && p.seq != k->isn) {
        w.syn = p.tuple; /* a new connection on an old tuple (L1) */
        k->used = k->announced && !w.reset;
    }
    uint32_t rsts = w.rsts;
    w.sent++;
    enum verdict verdict = engine_packet(w.engine, &meta, data, length, w.now);
    forget_direct_ones();
    memcpy(after.bytes, data, length);
    after.meta = meta;
    if (verdict == VERDICT_REWRITE) {
        MUST(tcp && same_but_for_tuple_and_checksums(&before, &after));
        MUST(meta.ip_checksum_valid && meta.tcp_checksum_valid == before.meta.tcp_checksum_valid);
    } else {
        MUST(!memcmp(data, bytes, length) && meta_equal(&meta, &before.meta)); /* O5 */
    }
    if (tcp) {
        packet_parse(before.bytes, length, &p);
        check_packet(verdict, &p, &before, &after, rsts);
    } else {
        MUST(verdict == VERDICT_PASS);
    }
    free(data);
}

static struct packet_meta any_meta(void)
{
    uint32_t bits = rng_below(&w.r, 256);
    return (struct packet_meta){
        .timestamp = EARLY + (bits & 32 ? 0 : ++w.clock),
        .if_index = bits & 64 ? 7 : 8,
        .outbound = !(bits & 1),
        .loopback = bits & 2,
        .impostor = bits & 4,
        .ip_checksum_valid = !(bits & 8),
        .tcp_checksum_valid = !(bits & 16),
    };
}

static void step_segment(void)
{
    static const uint8_t kinds[8] = {TCP_SYN,           TCP_SYN,           TCP_SYN | TCP_ACK, TCP_ACK,
                                     TCP_FIN | TCP_ACK, TCP_RST | TCP_ACK, TCP_RST,           TCP_SYN | TCP_FIN};
    static const uint32_t numbers[4] = {100, 101, 0xffffffff, 0x80000000};
    static struct made m;
    uint32_t how = rng_below(&w.r, 256);
    struct segment s = {
        .tuple = likely_tuple(),
        .flags = kinds[how & 7],
        .seq = numbers[how >> 3 & 3],
        .ack = numbers[how >> 5 & 3],
        .payload = how >> 7 ? 33 : 0,
        .ip_options = how == 255 ? 8 : 0,
    };
    make(&m, &s);
    sends(m.bytes, m.length, any_meta());
}

static void step_raw(void)
{
    uint8_t bytes[BYTES_MAX];
    uint32_t length = rng_below(&w.r, 120);
    rng_fill(&w.r, bytes, length);
    sends(bytes, length, any_meta());
}

static void step_event(void)
{
    uint32_t how = rng_below(&w.r, 256);
    struct socket_event event = {
        .kind = how & 4 ? (enum socket_event_kind)(how >> 3 & 3) + 1 : SOCKET_CONNECT,
        .pid = pids[rng_below(&w.r, 8)],
        .timestamp = how >> 5 == 0   ? 0
                     : how >> 5 == 1 ? EARLY
                                     : EARLY + ++w.clock,
        .tuple = likely_tuple(),
        .loopback = how & 1,
    };
    if (event.kind == SOCKET_LISTEN || (event.kind == SOCKET_CLOSE && how & 2)) {
        memset(&event.tuple.dst, 0, sizeof event.tuple.dst);
        event.tuple.dst_port.wire = 0;
    }
    engine_event(w.engine, &event, w.now);
}

static void step_raw_event(void)
{
    struct divert_address a;
    struct socket_event event;
    rng_fill(&w.r, &a, sizeof a);
    a.layer = DIVERT_LAYER_SOCKET;
    a.event = 3 + a.event % 5;
    a.socket.protocol = 6;
    if (divert_socket_event(&a, &event)) {
        engine_event(w.engine, &event, w.now);
    }
}

static void step_time(void)
{
    uint32_t how = rng_below(&w.r, 256);
    uint32_t ms = how < 128 ? how : how < 250 ? (how - 128) * 100 : 35000;
    w.now += anyone_waits() && ms > TICK_MS ? TICK_MS : ms;
    w.ticking = true;
    engine_tick(w.engine, w.now);
    for (int i = 0; i < KNOWN_MAX && !w.stopped; i++) {
        MUST(!w.known[i].announced || (w.known[i].over > w.now && w.known[i].missed < LOST_LOOKS));
    }
    forget_direct_ones();
    w.ticking = false;
    for (int i = 0; i < WAITING_MAX; i++) { /* O2: nothing is held for ever */
        MUST(!w.waiting[i].used || w.now - w.waiting[i].since < w.config.hold_ms + COVER_MS + TICK_MS);
    }
    MUST(w.stopped || engine_next_tick_ms(w.engine, w.now) <= TICK_MS);
    if (!w.stopped) {
        replace_filter();
    }
}

static void step_process(void)
{
    uint32_t how = rng_below(&w.r, 256);
    struct process_facts *p = &w.processes[how & 7];
    struct process_id id = {pids[how & 7], p->self.pid ? p->self.created : 0};
    switch (how >> 3 & 3) {
    case 0:
        engine_process(w.engine, id);
        break;
    case 1:
        engine_process_exited(w.engine, id, w.now);
        break;
    case 2: /* its pid goes to another process, a child of anyone */
        p->self = (struct process_id){pids[how & 7], w.now + how};
        p->parent = w.processes[how >> 5].self;
        p->in_tree = rng_below(&w.r, 4) == 0;
        break;
    case 3:
        p->self.pid = 0;
        break;
    }
}

static void step_tables(void)
{
    uint32_t how = rng_below(&w.r, 256);
    uint32_t *count = how & 1 ? &w.listener_count : &w.socket_count;
    struct tuple *rows = how & 1 ? w.listeners : w.sockets;
    w.tables_fail = (how & 6) == 6;
    if (how & 8 && *count < SOCKETS_MAX) {
        rows[*count] = likely_tuple();
        if (how & 1) {
            memset(&rows[*count].dst, 0, sizeof rows->dst);
            rows[*count].dst_port.wire = 0;
            w.listener_pids[*count] = pids[how >> 5];
        }
        ++*count;
    } else if (*count) {
        rows[how >> 4 & 7] = rows[--*count];
    }
    if (how & 16) {
        engine_look_at_listeners(w.engine, w.now);
    }
}

static void step_rules(void)
{
    static const char *const patterns[4] = {"p1004.exe", "*tools*", "p2*", NULL};
    uint32_t how = rng_below(&w.r, 256);
    struct rules *rules = how & 3 ? rules_new() : NULL;
    for (uint32_t i = 0; i < (how & 3); i++, how >>= 3) {
        MUST(rules_add(rules, how & 4, patterns[how >> 3 & 3], patterns[how >> 3 & 3] ? 0 : pids[how >> 5 & 7]));
    }
    engine_set_rules(w.engine, rules);
}

static void step_delete(void)
{
    struct known *k = &w.known[rng_below(&w.r, 8)];
    if (k->used && !w.stopped) {
        uint16_t port = be16_to_host(k->steered.src_port);
        bool there = k->announced && !k->deleted;
        MUST(destinations_delete(engine_destinations(w.engine), port, NULL, NULL) == there);
        k->deleted = true;
    }
}

static void step_stop(void)
{
    if (rng_below(&w.r, 8) || w.stopped) {
        return;
    }
    bool reset = rng_below(&w.r, 2);
    w.stopped = true;
    w.reset = reset;
    engine_stop(w.engine, reset, w.now);
    forget_direct_ones();
    MUST(w.live == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const steps[16])(void) = {
        step_segment, step_segment,   step_segment, step_segment, step_segment, step_segment, step_event, step_event,
        step_event,   step_raw_event, step_raw,     step_time,    step_process, step_tables,  step_rules, step_delete,
    };
    if (!size) {
        return -1;
    }
    assertions_abort();
    begin(data, size);
    for (int i = 0; i < STEPS_MAX && !rng_dry(&w.r); i++) {
        uint32_t which = rng_below(&w.r, 256);
        memset(&w.syn, 0, sizeof w.syn);
        (which == 255 ? step_stop : which >= 224 ? step_time : steps[which & 15])();
        check_always();
    }
    engine_free(w.engine);
    return 0;
}
