/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what happens to a new connection. Its owner is known from the CONNECT event, which mostly comes
 * first; a SYN that overtakes its event is held (pending.h). If the event stays away for half the hold time, the
 * TCP table is asked, once; at the deadline the SYN passes. So identity is decided exactly once per connection, and
 * never on the way of any other packet.
 */
#include "engine_internal.h"

enum { PID_IDLE = 0, PID_SYSTEM = 4 };

/* Whether connections of this process are redirected (I1-I4). */
static bool owner_redirected(struct engine *e, uint32_t pid)
{
    if (pid == PID_IDLE || pid == PID_SYSTEM || pid == e->config.agent_pid) {
        return false;
    }
    struct process_facts facts;
    if (e->host.process_facts(e->host.context, pid, &facts)) {
        return process_tree_learn(e->tree, &facts);
    }
    return process_tree_knows(e->tree, pid); /* it is gone already: what we knew of it counts */
}

static struct tuple steer(const struct engine *e, const struct packet *p, bool reflect, uint16_t port)
{
    struct tuple t = {.family = p->tuple.family, .src_port = be16_from_host(port)};
    t.dst_port = be16_from_host(e->config.proxy_port);
    t.src = reflect ? p->tuple.dst : ip_addr_loopback(t.family);
    t.dst = reflect ? p->tuple.src : ip_addr_loopback(t.family);
    return t;
}

/* Room in the flow table and a source port that no flow has; closing flows make way. */
static uint16_t make_room(struct engine *e, uint16_t wanted)
{
    uint16_t port = 0;
    while (e->flows.live >= e->flows.capacity || (port = flow_pick_port(&e->flows, wanted)) == 0) {
        uint32_t closing = flow_oldest_closing(&e->flows);
        if (closing == FLOW_NONE) {
            return 0;
        }
        engine_flow_end(e, closing);
    }
    return port;
}

static void publish(struct engine *e, const struct tuple *original, const struct tuple *steered, uint32_t pid)
{
    struct destination d = {
        .peer = steered->src,
        .address = original->dst,
        .family = original->family,
        .port = be16_to_host(original->dst_port),
        .pid = pid,
    };
    destinations_publish(e->destinations, be16_to_host(steered->src_port), &d);
}

/* Opens a flow for this SYN and translates it. */
static enum verdict redirect(struct engine *e, struct packet *p, struct packet_meta *meta, enum flow_kind kind,
                             uint32_t pid, uint64_t now_ms)
{
    uint16_t port = make_room(e, be16_to_host(p->tuple.src_port));
    if (!port) {
        COUNT(e, flows_refused);
        return VERDICT_PASS; /* L3 */
    }
    bool reflect = e->config.reflect && !meta->loopback;
    struct tuple original = p->tuple, steered = steer(e, p, reflect, port);
    if (kind == FLOW_DIRECT) {
        steered = original;
        steered.src_port = be16_from_host(port);
    }
    uint32_t id = flow_open(&e->flows, &original, &steered, now_ms);
    struct flow *f = flow_at(&e->flows, id);
    f->kind = (uint8_t)kind;
    f->isn = p->seq;
    f->pid = pid;
    f->if_index = meta->if_index;
    f->sub_if_index = meta->sub_if_index;
    f->loopback = meta->loopback;
    f->reflected = reflect;
    if (kind != FLOW_DIRECT) {
        COUNT_SET(e, flows_live, ++e->redirected_live);
        COUNT(e, flows_total);
        publish(e, &original, &steered, pid); /* before the SYN leaves: the proxy can never ask too early */
        if (e->host.flow_news) {
            e->host.flow_news(e->host.context, f, &original, false);
        }
    }
    return engine_translate(e, id, LEG_FORWARD, p, meta, now_ms);
}

static enum verdict carry_out(struct engine *e, struct packet *p, struct packet_meta *meta, bool redirected,
                              uint32_t pid, uint64_t now_ms)
{
    return redirected ? redirect(e, p, meta, FLOW_OUTGOING, pid, now_ms) : VERDICT_PASS;
}

static enum verdict hold(struct engine *e, const struct packet *p, const struct packet_meta *meta, uint64_t now_ms)
{
    if (!pending_hold(&e->pending, p, meta, now_ms + e->config.hold_ms)) {
        COUNT(e, hold_refused);
        return VERDICT_PASS;
    }
    COUNT(e, packets_held);
    return VERDICT_HOLD;
}

enum verdict engine_syn(struct engine *e, struct packet *p, struct packet_meta *meta, uint64_t now_ms)
{
    if (!e->config.proxy_port) {
        return VERDICT_PASS;
    }
    if (meta->loopback && be16_to_host(p->tuple.dst_port) == e->config.proxy_port) {
        /* Straight to the proxy (I3): not redirected, but its source port must not be mistaken for a flow's. */
        return ip_addr_is_loopback(&p->tuple.dst, p->tuple.family) ? redirect(e, p, meta, FLOW_DIRECT, 0, now_ms)
                                                                   : VERDICT_PASS;
    }
    if (meta->loopback && listeners_reaches(&e->listeners, &p->tuple, e->config.agent_pid)) {
        return VERDICT_PASS; /* I3 */
    }
    uint32_t id = pending_find(&e->pending, &p->tuple);
    if (id == PENDING_NONE) {
        return hold(e, p, meta, now_ms);
    }
    const struct pending_entry *known = &e->pending.entries[id];
    if (known->has_passed_isn && known->passed_isn == p->seq) {
        return VERDICT_PASS; /* it left unredirected once: its handshake is under way */
    }
    if (known->state == PENDING_DECIDED || (known->state == PENDING_USED && known->isn == p->seq)) {
        pending_use(&e->pending, id, p->seq, now_ms);
        return carry_out(e, p, meta, known->redirect, known->pid, now_ms);
    }
    if (known->state == PENDING_HELD) {
        COUNT(e, packets_dropped); /* a retransmission of what is held, or a new attempt that replaces it */
        if (known->isn == p->seq) {
            return VERDICT_DROP;
        }
    }
    return hold(e, p, meta, now_ms);
}

/* A held SYN leaves, with this verdict. */
static void let_go(struct engine *e, uint32_t id, bool redirected, uint32_t pid, uint64_t now_ms)
{
    struct packet_meta meta = e->pending.entries[id].meta;
    uint32_t length = e->pending.entries[id].length;
    uint8_t *data = pending_release(&e->pending, id, redirected, pid, now_ms);
    struct packet p;
    enum verdict verdict = VERDICT_PASS;
    if (packet_parse(data, length, &p) == PACKET_TCP) {
        verdict = carry_out(e, &p, &meta, redirected, pid, now_ms);
    }
    if (verdict == VERDICT_PASS) {
        COUNT(e, packets_passed);
    }
    e->host.inject(e->host.context, &meta, data, length);
}

/* A held SYN leaves without anybody knowing whose it is. */
static void give_up(struct engine *e, uint32_t id, uint64_t now_ms)
{
    e->pending.entries[id].has_passed_isn = true;
    e->pending.entries[id].passed_isn = e->pending.entries[id].isn;
    COUNT(e, hold_timeouts);
    let_go(e, id, false, 0, now_ms);
}

void engine_connect(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    if (e->stopping) {
        return;
    }
    bool redirected = owner_redirected(e, event->pid);
    uint32_t id = pending_find(&e->pending, &event->tuple);
    if (id != PENDING_NONE && e->pending.entries[id].state == PENDING_HELD) {
        let_go(e, id, redirected, event->pid, now_ms);
    } else {
        pending_decide(&e->pending, &event->tuple, redirected, event->pid, now_ms);
    }
}

void engine_held_tick(struct engine *e, uint64_t now_ms)
{
    uint32_t next;
    for (uint32_t id = e->pending.held.head; id != PENDING_NONE; id = next) {
        struct pending_entry *held = &e->pending.entries[id];
        next = held->next;
        if (held->deadline_ms <= now_ms) {
            give_up(e, id, now_ms);
            continue;
        }
        if (held->owner_asked || held->deadline_ms - e->config.hold_ms / 2 > now_ms) {
            continue;
        }
        held->owner_asked = true;
        uint32_t pid = e->host.socket_owner(e->host.context, &e->pending.map.keys[id]);
        if (pid) {
            let_go(e, id, owner_redirected(e, pid), pid, now_ms);
        }
    }
}

void engine_held_release_all(struct engine *e, uint64_t now_ms)
{
    while (e->pending.held.head != PENDING_NONE) {
        give_up(e, e->pending.held.head, now_ms);
    }
}
