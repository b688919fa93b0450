/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The whole engine in a hostile world: packets with any flags, numbers and metadata, raw bytes, events in any order and
 * of any content, processes that come, go and give their pid away, listeners, rules, deletions, a TCP table that lies,
 * a driver whose filter cannot be replaced, and stop. Against the model of engine_model.h.
 *
 * What must hold after each step: a packet passes as it was, byte for byte, or is translated as its connection was from
 * its first SYN on, or is held, or dropped by a stated rule; what is held leaves once, in time (O2); no flow is lost,
 * and none outlives its end (L1); a lookup finds exactly the live ones (L2, O3); the counters add up (S6).
 */
#include "engine_model.h"

#include "windows/divert.h"

enum { STEPS_MAX = 400, TICK_MS = 250 };

#define COUNTED(name) ((uint64_t)atomic_load(&engine_counters(world.engine)->name))

static struct tuple any_tuple(void)
{
    uint32_t which = rng_below(&model.r, 256), family = which & 1;
    const char *src = addresses[family][which >> 1 & 3], *dst = addresses[family][which >> 3 & 3];
    uint32_t both = rng_below(&model.r, 64);
    return tuple_of(src, ports[both & 7], dst, ports[both >> 3]);
}

/* One that the engine has met, or any. */
static struct tuple likely_tuple(void)
{
    uint32_t which = rng_below(&model.r, 128);
    const struct known *k = &model.known[which >> 2 & 7];
    if (which >> 5 == 0 || !k->used) {
        return any_tuple();
    }
    return which & 1 ? k->original : tuple_reversed(&k->steered);
}

static uint32_t anyone_waits(void)
{
    uint32_t n = 0;
    for (int i = 0; i < WAITING_MAX; i++) {
        n += model.waiting[i].used;
    }
    return n;
}

static void check_lookups(void)
{
    for (int i = 0; i < KNOWN_MAX; i++) {
        const struct known *k = &model.known[i];
        struct destination d;
        if (!k->used) {
            continue;
        }
        bool found = destinations_find(engine_destinations(world.engine), be16_to_host(k->steered.src_port), &d);
        MUST(found == (k->announced && !k->deleted && !model.stopped));
        MUST(!found || (d.pid == k->pid && d.port == be16_to_host(k->original.dst_port) &&
                        d.family == k->original.family && ip_addr_equal(&d.address, &k->original.dst)));
    }
}

static void check_always(void)
{
    uint32_t held = anyone_waits();
    MUST(!model.announced && !(model.stopped && held));
    MUST(COUNTED(packets_seen) == model.sent);
    MUST(model.sent == COUNTED(packets_passed) + COUNTED(packets_rewritten) + COUNTED(packets_dropped) + held);
    MUST(COUNTED(flows_live) == model.live);
    MUST(!world.warned || world.warned_of.family == FAMILY_IP4 || world.warned_of.family == FAMILY_IP6);
    check_lookups();
}

static void hold(const struct packet *p, const struct made *before)
{
    struct waiting *slot = NULL;
    for (int i = 0; !slot && i < WAITING_MAX; i++) {
        slot = model.waiting[i].used ? NULL : &model.waiting[i];
    }
    MUST(slot);
    *slot = (struct waiting){true, p->tuple, before->meta, p->seq, before->length, world.now, DECISION_NONE, {0}};
    memcpy(slot->bytes, before->bytes, before->length);
}

/* Whether it is the SYN, sent again, of a connection that was refused or dropped by decision. */
static bool is_turned_away(const struct packet *p)
{
    const struct pending *pending = &world.engine->pending;
    uint32_t id = pending_find(pending, &p->tuple);
    return id != PENDING_NONE && pending->entries[id].isn == p->seq &&
           (pending->entries[id].decision == DECISION_REFUSE || pending->entries[id].decision == DECISION_DROP);
}

/* What must have become of a first SYN that is no known connection's. */
static void check_first_syn(enum verdict verdict, const struct packet *p, const struct made *before,
                            const struct made *after, uint32_t rsts, uint32_t segment)
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
        learn(&p->tuple, &steered, p->seq)->segment = segment;
        break;
    case VERDICT_DROP:
        MUST(again || ((model.config.fail_closed || model.blocks) && model.rsts == rsts + 1) || is_turned_away(p));
        break;
    case VERDICT_PASS:
        break;
    }
}

static void check_packet(enum verdict verdict, const struct packet *p, const struct made *before,
                         const struct made *after, uint32_t rsts, uint32_t segment)
{
    enum leg leg;
    struct known *k = known_by(&p->tuple, &leg);
    bool first = (p->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
    if (k && model.cut_bytes) { /* sent in pieces, all of it */
        MUST(verdict == VERDICT_DROP && model.cut_bytes == p->payload);
        live_on(k, leg, p->flags);
    } else if (k && !model.reset) {
        struct tuple want = leg == LEG_FORWARD ? k->steered : tuple_reversed(&k->original), is = tuple_in(after);
        MUST(!(first && leg == LEG_FORWARD && p->seq != k->isn) || model.stopped);
        MUST(verdict == VERDICT_REWRITE && tuple_equal(&is, &want));
        live_on(k, leg, p->flags);
    } else if (k) { /* stop has reset it: what still comes of it is dropped */
        MUST(verdict == VERDICT_DROP);
    } else if (first && !model.stopped) {
        check_first_syn(verdict, p, before, after, rsts, segment);
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
        model.syn = p.tuple; /* a new connection on an old tuple (L1) */
        k->used = k->announced && !model.reset;
    }
    bool may_be_cut = k && k->used && leg == LEG_REPLY && k->segment && p.payload > k->segment;
    model.whole = may_be_cut ? &before : NULL;
    model.cut = k;
    model.cut_bytes = 0;
    uint32_t rsts = model.rsts, segment = 0;
    model.sent++;
    enum verdict verdict = engine_packet(world.engine, &meta, data, length, world.now);
    model.whole = NULL;
    forget_direct_ones();
    memcpy(after.bytes, data, length);
    after.meta = meta;
    if (verdict == VERDICT_REWRITE) {
        segment = restore_mss(&before, &after);
        MUST(tcp && same_but_for_tuple_and_checksums(&before, &after));
        MUST(meta.ip_checksum_valid && meta.transport_checksum_valid == before.meta.transport_checksum_valid);
    } else if (!model.cut_bytes) {
        MUST(!memcmp(data, bytes, length) && meta_equal(&meta, &before.meta)); /* O5 */
    }
    if (tcp) {
        packet_parse(before.bytes, length, &p);
        check_packet(verdict, &p, &before, &after, rsts, segment);
    } else {
        MUST(verdict == VERDICT_PASS);
    }
    free(data);
}

static struct packet_meta any_meta(void)
{
    uint32_t bits = rng_below(&model.r, 256);
    return (struct packet_meta){
        .timestamp = EARLY + (bits & 32 ? 0 : ++world.clock),
        .if_index = bits & 64 ? 7 : 8,
        .outbound = !(bits & 1),
        .loopback = bits & 2,
        .impostor = bits & 4,
        .ip_checksum_valid = !(bits & 8),
        .transport_checksum_valid = !(bits & 16),
    };
}

static void step_segment(void)
{
    static const uint8_t kinds[8] = {TCP_SYN,           TCP_SYN,           TCP_SYN | TCP_ACK, TCP_ACK,
                                     TCP_FIN | TCP_ACK, TCP_RST | TCP_ACK, TCP_RST,           TCP_SYN | TCP_FIN};
    static const uint32_t numbers[4] = {100, 101, 0xffffffff, 0x80000000};
    static struct made m;
    uint32_t how = rng_below(&model.r, 256);
    struct segment s = {
        .tuple = likely_tuple(),
        .flags = kinds[how & 7],
        .seq = numbers[how >> 3 & 3],
        .ack = numbers[how >> 5 & 3],
        .payload = how >> 7 ? 33 : 0,
        .ip_options = how == 255 ? 8 : 0,
    };
    bool states_mss = (how & 7) == 1;
    s.tcp_options = states_mss ? 4 : 0;
    make(&m, &s);
    if (states_mss) {
        memcpy(m.bytes + m.tcp_offset + 20, "\2\4\0\20", 4);    /* 16 bytes, so that a payload can be larger */
        m.bytes[m.tcp_offset + 22] = s.flags & TCP_ACK ? 1 : 0; /* a SYN-ACK that may be lowered */
        seal(&m);
    }
    sends(m.bytes, m.length, any_meta());
}

static void step_raw(void)
{
    uint8_t bytes[BYTES_MAX];
    uint32_t length = rng_below(&model.r, 120);
    rng_fill(&model.r, bytes, length);
    sends(bytes, length, any_meta());
}

static void step_event(void)
{
    uint32_t how = rng_below(&model.r, 256);
    struct socket_event event = {
        .kind = how & 4 ? (enum socket_event_kind)(how >> 3 & 3) + 1 : SOCKET_CONNECT,
        .pid = pids[rng_below(&model.r, 8)],
        .timestamp = how >> 5 == 0   ? 0
                     : how >> 5 == 1 ? EARLY
                                     : EARLY + ++world.clock,
        .tuple = likely_tuple(),
    };
    if (event.kind == SOCKET_LISTEN || (event.kind == SOCKET_CLOSE && how & 2)) {
        memset(&event.tuple.dst, 0, sizeof event.tuple.dst);
        event.tuple.dst_port.wire = 0;
    }
    struct waiting *waits = waiting_for(&event.tuple);
    engine_event(world.engine, &event, world.now);
    if (event.kind == SOCKET_CLOSE && waits && !is_held(&event.tuple)) {
        waits->used = false; /* its program has given up */
    }
}

static void step_raw_event(void)
{
    struct divert_address a;
    struct socket_event event;
    rng_fill(&model.r, &a, sizeof a);
    a.layer = DIVERT_LAYER_SOCKET;
    a.event = 3 + a.event % 5;
    a.socket.protocol = 6;
    if (divert_socket_event(&a, &event)) {
        engine_event(world.engine, &event, world.now);
    }
}

static void step_time(void)
{
    uint32_t how = rng_below(&model.r, 256);
    uint32_t ms = how < 128 ? how : how < 250 ? (how - 128) * 100 : 35000;
    world.now += anyone_waits() && ms > TICK_MS ? TICK_MS : ms;
    model.ticking = true;
    engine_tick(world.engine, world.now);
    world_settle(&world);
    for (struct waiting *dropped; (dropped = released(true)) != NULL;) {
        dropped->used = false;
        dropped->answer = DECISION_NONE;
    }
    for (int i = 0; i < KNOWN_MAX && !model.stopped; i++) {
        MUST(!model.known[i].announced || (model.known[i].over > world.now && model.known[i].missed < LOST_SCANS));
    }
    forget_direct_ones();
    model.ticking = false;
    for (int i = 0; i < WAITING_MAX; i++) { /* O2: nothing is held for ever */
        MUST(!model.waiting[i].used ||
             world.now - model.waiting[i].since < model.config.hold_timeout_ms + TABLE_WAIT_MS + FILTER_WAIT_MS +
                                                      TICK_MS + model.config.decision_timeout_ms);
    }
    MUST(model.stopped || engine_next_tick_ms(world.engine, world.now) <= TICK_MS);
    if (!model.stopped) {
        replace_filter();
    }
}

static void step_process(void)
{
    uint32_t how = rng_below(&model.r, 256);
    struct process_facts *p = &world.processes[how & 7];
    struct process_id id = {pids[how & 7], p->self.pid ? p->self.created : 0};
    switch (how >> 3 & 3) {
    case 0:
        engine_process(world.engine, id);
        break;
    case 1:
        engine_process_exited(world.engine, id, 0, world.now);
        break;
    case 2: /* its pid goes to another process, a child of anyone */
        p->self = (struct process_id){pids[how & 7], world.now + how};
        p->parent = world.processes[how >> 5].self;
        p->in_tree = rng_below(&model.r, 4) == 0;
        break;
    case 3:
        p->self.pid = 0;
        break;
    }
}

static void step_tables(void)
{
    uint32_t how = rng_below(&model.r, 256);
    struct world_table *t = how & 1 ? &world.listening : &world.connected;
    world.listening.fails = world.connected.fails = (how & 6) == 6;
    if (how & 8 && t->count < SOCKETS_MAX) {
        struct tuple row = likely_tuple();
        if (how & 1) {
            memset(&row.dst, 0, sizeof row.dst);
            row.dst_port.wire = 0;
        }
        world_row_add(t, &row, how & 1 ? pids[how >> 5] : 0);
    } else if (t->count) {
        t->rows[how >> 4 & 7] = t->rows[--t->count];
    }
    world.slow = (how & 0xa0) == 0xa0; /* then a reading ends some steps later, or never */
    model.ticking = true;
    if (how & 16) {
        world_scan_listeners(&world);
    } else if (how & 64) {
        world_table_answers(&world);
    }
    model.ticking = false;
    forget_direct_ones();
}

static void step_rules(void)
{
    static const char *const patterns[4] = {"p1004.exe", "*tools*", "p2*", NULL};
    uint32_t how = rng_below(&model.r, 256);
    struct rules *rules = how & 3 ? rules_new() : NULL;
    for (uint32_t i = 0; i < (how & 3); i++, how >>= 3) {
        const char *pattern = patterns[how >> 3 & 3];
        const struct rule rule = {.action = how & 4     ? RULE_REDIRECT
                                            : how & 128 ? RULE_BLOCK
                                                        : RULE_PASS,
                                  .program = pattern,
                                  .pid = pattern ? 0 : pids[how >> 5 & 7],
                                  .first_port = how & 16 ? 1 : 0,
                                  .last_port = how & 16 ? 1024 : 0};
        model.blocks |= rule.action == RULE_BLOCK;
        MUST(!rules_add(rules, &rule));
    }
    engine_set_rules(world.engine, rules);
}

/* Somebody takes a connection and decides, or does not; or decides about one that was never there. */
static void step_decide(void)
{
    struct decisions *decisions = engine_decisions(world.engine);
    uint32_t how = rng_below(&model.r, 16);
    struct undecided u;
    if (!decisions || !decisions_take(decisions, &u)) {
        MUST(!decisions || !decisions_decide(decisions, rng_next(&model.r), DECISION_ACCEPT));
        return;
    }
    struct waiting *w = waiting_for(&u.tuple);
    MUST(w && w->answer == DECISION_NONE && !model.stopped && u.pid && u.pid != 4 && u.pid != AGENT);
    if (how < 12) {
        w->answer = (enum decision)(1 + how % DECISION_DROP);
        MUST(decisions_decide(decisions, u.id, w->answer));
        MUST(!decisions_decide(decisions, u.id, DECISION_ACCEPT));
    }
}

static void step_delete(void)
{
    struct known *k = &model.known[rng_below(&model.r, 8)];
    if (k->used && !model.stopped) {
        uint16_t port = be16_to_host(k->steered.src_port);
        bool there = k->announced && !k->deleted;
        MUST(destinations_delete(engine_destinations(world.engine), port, NULL, NULL) == there);
        k->deleted = true;
    }
}

static void step_stop(void)
{
    if (rng_below(&model.r, 8) || model.stopped) {
        return;
    }
    bool reset = rng_below(&model.r, 2);
    model.stopped = true;
    model.reset = reset;
    for (int i = 0; i < WAITING_MAX; i++) {
        model.waiting[i].answer = DECISION_NONE; /* what was not carried out yet passes */
    }
    engine_stop(world.engine, reset, world.now);
    forget_direct_ones();
    MUST(model.live == 0);
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
    for (int i = 0; i < STEPS_MAX && !rng_dry(&model.r); i++) {
        uint32_t which = rng_below(&model.r, 256);
        memset(&model.syn, 0, sizeof model.syn);
        bool deciding = model.config.decision_timeout_ms && which < 224 && (which & 15) == 15 && which & 48;
        (which == 255 ? step_stop : which >= 224 ? step_time : deciding ? step_decide : steps[which & 15])();
        check_always();
    }
    engine_free(world.engine);
    return 0;
}
