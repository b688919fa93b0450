/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what is of no flow is decided (udp_choice.c), and then becomes one, passes, is dropped, or waits.
 *
 * Datagrams of one tuple leave in the order in which they came. So what cannot be held (too large, too many) takes those
 * with it that are held before it: all of them pass.
 *
 * Fragments follow their first one (fragments.h), into the line, too.
 */
#include "udp.h"

#include "udp_choice.h"

#include <stdlib.h>

enum { WARN_MS = 60000 };

bool udp_open(struct engine *e)
{
    struct udp *u = e->udp = calloc(1, sizeof *u);
    const struct engine_config *config = &e->config;
    if (!u) {
        return false;
    }
    uint32_t flows = config->max_udp_flows ? config->max_udp_flows : ENGINE_UDP_FLOWS_DEFAULT;
    capture_plan_init(&u->capture, config->capture_all);
    u->capture.always_wide = true;
    u->reading.wanted = true;
    u->destinations = destinations_new();
    u->flows_from = calloc(PORT_COUNT, sizeof *u->flows_from);
    bool ok = u->destinations && u->flows_from;
    ok = flow_table_init(&u->flows, flows, config->seed) && ok;
    flow_table_for_udp(&u->flows, config->udp_idle_ms ? config->udp_idle_ms : ENGINE_UDP_IDLE_MS_DEFAULT);
    ok = listeners_init(&u->sockets) && ok;
    u->sockets.dual = true;
    ok = udp_peers_init(&u->peers, config->seed) && ok;
    ok = fragments_init(&u->fragments, config->seed) && ok;
    return udp_held_init(&u->held, config->seed) && ok;
}

void udp_close(struct engine *e)
{
    struct udp *u = e->udp;
    if (u) {
        destinations_free(u->destinations);
        free(u->flows_from);
        flow_table_free(&u->flows);
        listeners_free(&u->sockets);
        udp_peers_free(&u->peers);
        fragments_free(&u->fragments);
        udp_held_free(&u->held);
        free(u);
        e->udp = NULL;
    }
}

/* ---- what was decided is carried out */

static void note_fate(struct engine *e, const struct arrival *a, enum fragment_fate fate,
                      const struct tuple *held_under)
{
    if (a->d.fragment && !a->d.last) {
        const struct tuple key = datagram_fragment_key(&a->d, a->scope);
        struct fragment_entry entry = {.fate = fate};
        if (held_under) {
            entry.held_under = *held_under;
        }
        fragments_put(&e->udp->fragments, &key, &entry, a->now_ms);
    }
}

__attribute__((noinline)) static enum verdict pass(struct engine *e, const struct arrival *a)
{
    note_fate(e, a, FRAGMENT_PASSES, NULL);
    COUNT(e, udp_packets_passed);
    return VERDICT_PASS;
}

static enum verdict drop(struct engine *e, const struct arrival *a)
{
    note_fate(e, a, FRAGMENT_DROPPED, NULL);
    COUNT(e, udp_packets_dropped);
    return VERDICT_DROP;
}

/* A stranger's packet, or one of nobody: its port, or fragments as such, may be left out of the filter. */
static enum verdict pass_needless(struct engine *e, const struct arrival *a)
{
    struct udp *u = e->udp;
    if (a->d.fragment && ++u->stray_fragments == CAPTURE_HEAVY && !u->wanted_fragments) {
        capture_plan_intrude(&u->capture);
    }
    if (a->kind != DATAGRAM_LATER) {
        capture_plan_needless(&u->capture, a->meta->outbound, (be16){load_raw16(a->d.at.udp)});
    }
    return pass(e, a);
}

static enum verdict without_proxy(struct engine *e, const struct tuple *t, const struct arrival *a)
{
    struct udp *u = e->udp;
    COUNT(e, udp_proxy_not_listening);
    if (e->host.proxy_not_listening && (!u->warned_ms || a->now_ms - u->warned_ms >= WARN_MS)) {
        struct tuple steered = *t;
        u->warned_ms = a->now_ms;
        steered.src = steered.dst = ip_addr_loopback(t->family);
        steered.dst_port = be16_from_host(e->config.udp_port);
        e->host.proxy_not_listening(e->host.context, PROTOCOL_UDP, &steered);
    }
    return e->config.fail_closed ? drop(e, a) : pass(e, a);
}

/* The filter leaves later fragments out: to redirect the first alone would tear the datagram apart. */
__attribute__((noinline)) static bool is_torn(struct engine *e, const struct arrival *a)
{
    struct udp *u = e->udp;
    if (!a->d.fragment || a->d.last || a->meta->loopback) {
        return false;
    }
    u->wanted_fragments++;
    if (u->capture.active.fragments || !u->capture.in_place) {
        return false;
    }
    u->no_fragments = false;
    capture_plan_want(&u->capture, a->now_ms);
    COUNT(e, udp_fragments_passed);
    return true;
}

static enum verdict carry_out(struct engine *e, enum udp_choice choice, const struct tuple *t, struct arrival *a,
                              const struct udp_owner *owner)
{
    switch (choice) {
    case CHOOSE_REDIRECT:
    case CHOOSE_DIRECT: {
        enum flow_kind kind = choice == CHOOSE_DIRECT ? FLOW_DIRECT : FLOW_OUTGOING;
        uint32_t id = is_torn(e, a) ? FLOW_NONE : udp_flows_open(e, a, t, owner, kind);
        if (id == FLOW_NONE) {
            return pass(e, a);
        }
        enum verdict verdict = udp_flows_translate(e, id, LEG_FORWARD, a);
        if (owner->closed) { /* nothing more tells of its end */
            udp_flows_end(e, id, a->meta->timestamp, a->now_ms);
        }
        return verdict;
    }
    case CHOOSE_NO_PROXY:
        return without_proxy(e, t, a);
    case CHOOSE_BLOCK:
        COUNT(e, udp_packets_blocked);
        return drop(e, a);
    case CHOOSE_DROP:
        return drop(e, a);
    default:
        return owner->redirected ? pass(e, a) : pass_needless(e, a);
    }
}

/* ---- and held */

static void release_line(struct engine *e, uint32_t line, uint64_t now_ms);

/* Nobody could find out whose it is, or too many wait. */
static void give_up(struct engine *e, uint32_t line, uint64_t now_ms)
{
    const struct tuple tuple = e->udp->held.map.keys[line];
    udp_sockets_unknown(e, &tuple, now_ms);
    release_line(e, line, now_ms);
}

static enum verdict hold(struct engine *e, const struct tuple *under, enum udp_choice choice, struct arrival *a)
{
    struct udp *u = e->udp;
    uint64_t deadline_ms = a->now_ms + e->config.hold_timeout_ms;
    uint32_t line =
        udp_held_add(&u->held, under, a->meta, a->d.ip, a->d.length, a->kind != DATAGRAM_LATER, deadline_ms);
    if (line != UDP_HELD_NONE) {
        note_fate(e, a, FRAGMENT_HELD, under);
        COUNT(e, udp_packets_held);
        if (choice == WAIT_FOR_PROXY && !u->held.slots[line].asked) {
            u->held.slots[line].asked = true;
            u->reading.wanted = true;
        }
        return VERDICT_HOLD;
    }
    COUNT(e, udp_hold_overflows);
    line = udp_held_find(&u->held, under);
    if (line != UDP_HELD_NONE) {
        give_up(e, line, a->now_ms);
    }
    return pass(e, a);
}

/* Of no flow yet. `final`: it does not wait (any more). */
__attribute__((noinline)) static enum verdict decide(struct engine *e, struct arrival *a, bool final)
{
    struct udp_owner owner;
    const struct tuple t = datagram_tuple(&a->d, a->scope);
    enum udp_choice choice = udp_choice_of(e, &t, a, &owner);
    bool waits = choice == WAIT_FOR_OWNER || choice == WAIT_FOR_PROXY;
    const struct udp_held *h = &e->udp->held;
    if (!final && (waits || (h->count && udp_held_find(h, &t) != UDP_HELD_NONE))) {
        return hold(e, &t, choice, a);
    }
    if (waits) {
        choice = choice == WAIT_FOR_PROXY ? CHOOSE_NO_PROXY : CHOOSE_PASS;
    }
    return carry_out(e, choice, &t, a, &owner);
}

/* A datagram or first fragment. */
static inline enum verdict translate_or_decide(struct engine *e, struct arrival *a, bool final)
{
    enum leg leg;
    uint32_t id = udp_flows_find(e, a, &leg);
    if (id == FLOW_NONE || !udp_flows_still(e, id, leg, a)) {
        return decide(e, a, final);
    }
    if (a->d.fragment && leg == LEG_FORWARD && is_torn(e, a)) {
        return pass(e, a);
    }
    return udp_flows_translate(e, id, leg, a);
}

__attribute__((noinline)) static enum verdict follow(struct engine *e, struct arrival *a)
{
    const struct tuple key = datagram_fragment_key(&a->d, a->scope);
    const struct fragment_entry *first = fragments_find(&e->udp->fragments, &key, a->now_ms);
    switch (first ? first->fate : FRAGMENT_UNKNOWN) {
    case FRAGMENT_REDIRECTED:
        return udp_flows_follow(e, first, a);
    case FRAGMENT_DROPPED:
        return drop(e, a);
    case FRAGMENT_HELD:
        if (udp_held_find(&e->udp->held, &first->held_under) != UDP_HELD_NONE) {
            const struct tuple under = first->held_under;
            return hold(e, &under, WAIT_FOR_OWNER, a);
        }
        break;
    case FRAGMENT_UNKNOWN:
        COUNT(e, udp_fragments_passed);
        break;
    case FRAGMENT_PASSES:
        break;
    }
    return pass_needless(e, a);
}

static enum verdict take(struct engine *e, struct packet_meta *meta, uint8_t *data, uint32_t length, uint64_t now_ms,
                         bool final)
{
    struct arrival a = {.meta = meta, .now_ms = now_ms};
    a.kind = datagram_read(data, length, &a.d);
    switch (a.kind) {
    case DATAGRAM_WHOLE:
    case DATAGRAM_FIRST:
        a.scope = packet_scope(&a.d.at, meta);
        return translate_or_decide(e, &a, final);
    case DATAGRAM_LATER:
        a.scope = packet_scope(&a.d.at, meta);
        return follow(e, &a);
    case DATAGRAM_ERROR:
        return udp_flows_error(e, &a);
    case DATAGRAM_MALFORMED:
        COUNT(e, udp_packets_malformed);
        break;
    case DATAGRAM_OTHER:
        break;
    }
    COUNT(e, udp_packets_passed);
    return VERDICT_PASS;
}

__attribute__((flatten)) enum verdict udp_packet(struct engine *e, struct packet_meta *meta, uint8_t *data,
                                                 uint32_t length, uint64_t now_ms)
{
    return take(e, meta, data, length, now_ms, false);
}

static void release_line(struct engine *e, uint32_t line, uint64_t now_ms)
{
    struct udp_held *h = &e->udp->held;
    udp_held_close(h, line);
    for (uint32_t slot = line; slot != UDP_HELD_NONE; slot = udp_held_next(h, slot)) {
        struct packet_meta meta = h->slots[slot].meta;
        uint8_t *data = udp_held_bytes(h, slot);
        if (take(e, &meta, data, h->slots[slot].length, now_ms, true) != VERDICT_DROP) {
            e->host.inject(e->host.context, &meta, data, h->slots[slot].length);
        }
    }
}

/* What would become of the first one of a line now. */
static enum udp_choice choose_again(struct engine *e, uint32_t line, uint64_t now_ms)
{
    struct udp_owner owner;
    const struct tuple t = e->udp->held.map.keys[line];
    struct packet_meta meta = e->udp->held.slots[line].meta;
    const struct arrival a = {.meta = &meta, .now_ms = now_ms};
    return udp_choice_of(e, &t, &a, &owner);
}

/* At its deadline. */
static void expire(struct engine *e, uint32_t line, enum udp_choice choice, uint64_t now_ms)
{
    if (choice == WAIT_FOR_OWNER) {
        COUNT_BY(e, udp_hold_timeouts, e->udp->held.slots[line].packets);
        give_up(e, line, now_ms);
    } else {
        release_line(e, line, now_ms);
    }
}

void udp_release(struct engine *e, bool all, uint64_t now_ms)
{
    struct udp_held *h = &e->udp->held;
    for (uint32_t line = h->first_line, behind; line != UDP_HELD_NONE; line = behind) {
        enum udp_choice choice = choose_again(e, line, now_ms);
        behind = h->slots[line].line_behind;
        if (all || h->slots[line].deadline_ms <= now_ms) {
            expire(e, line, choice, now_ms);
        } else if (choice < WAIT_FOR_OWNER) {
            release_line(e, line, now_ms);
        }
    }
}

static uint64_t ask_ms(const struct engine *e, const struct udp_slot *line)
{
    return line->deadline_ms - e->config.hold_timeout_ms / 2;
}

uint64_t udp_next_due_ms(const struct engine *e)
{
    const struct udp_held *h = e->udp ? &e->udp->held : NULL;
    if (!h || h->first_line == UDP_HELD_NONE) {
        return UINT64_MAX;
    }
    uint64_t due = h->slots[h->first_line].deadline_ms;
    for (uint32_t line = h->first_line; line != UDP_HELD_NONE; line = h->slots[line].line_behind) {
        if (!h->slots[line].asked) {
            uint64_t ask = ask_ms(e, &h->slots[line]);
            return ask < due ? ask : due;
        }
    }
    return due;
}

void udp_ask(struct engine *e, uint64_t now_ms)
{
    struct udp_held *h = &e->udp->held;
    for (uint32_t line = h->first_line; line != UDP_HELD_NONE; line = h->slots[line].line_behind) {
        if (!h->slots[line].asked && ask_ms(e, &h->slots[line]) <= now_ms) {
            h->slots[line].asked = true;
            e->udp->reading.wanted = true;
        }
    }
}
