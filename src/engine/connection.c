/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what happens to a new connection.
 *
 *   from another machine                    the port it goes to decides: a listener of the tree, or not    (N1, N2)
 *   to the proxy itself, or to the agent    passes                                                         (I3)
 *   all others                              the owner decides                                              (O1, O2)
 *
 * The owner is known from the CONNECT event, which mostly comes first; a SYN that overtakes its event is held
 * (pending.h). If the event stays away for half the hold time, the TCP table is asked, once; at the deadline the SYN
 * passes. So identity is decided exactly once per connection, and never on the way of any other packet.
 *
 * A SYN that is to be redirected, but whose port the driver's filter does not divert yet, is held too, until the filter has
 * been replaced (cover.h).
 */
#include "engine_internal.h"

enum { COVER_WAIT_MS = 1000 };

static bool agent_listens(struct engine *e, const struct attempt *a)
{
    const struct listener *l = engine_listener_of(e, &a->packet->tuple, a->now_ms);
    return l && l->pid == e->config.agent_pid;
}

static const struct listener *tree_listener(struct engine *e, const struct attempt *a)
{
    const struct listener *l = e->config.incoming_port ? engine_listener_of(e, &a->packet->tuple, a->now_ms) : NULL;
    return l && l->in_tree ? l : NULL;
}

/* Straight to a port of the proxy: not redirected (I3), but its source port must not be mistaken for a flow's. */
static bool is_direct(struct engine *e, const struct attempt *a)
{
    const struct tuple *t = &a->packet->tuple;
    uint16_t port = be16_to_host(t->dst_port);
    bool here = a->meta->loopback || !a->meta->outbound;
    if (!here || !port || (port != e->config.proxy_port && port != e->config.incoming_port)) {
        return false;
    }
    ip_addr loopback = ip_addr_loopback(t->family);
    return ip_addr_equal(&t->dst, &loopback) || agent_listens(e, a);
}

/* To whose listener it goes decides. */
static enum verdict lead_to_listener(struct engine *e, const struct attempt *a)
{
    const struct listener *l = tree_listener(e, a);
    return l ? engine_redirect(e, a, FLOW_INCOMING, l->pid) : VERDICT_PASS;
}

/* The owner is known, or known to be unknown. */
static enum verdict carry_out(struct engine *e, const struct attempt *a)
{
    bool agent = a->pid == e->config.agent_pid;
    const struct listener *l = a->meta->loopback && a->pid && !agent ? tree_listener(e, a) : NULL;
    if (l) {
        return engine_redirect(e, a, FLOW_INCOMING, l->pid); /* also if the tree opened it (N4) */
    }
    if (a->redirected && e->config.proxy_port) {
        return engine_redirect(e, a, FLOW_OUTGOING, a->pid);
    }
    return VERDICT_PASS;
}

static enum verdict hold(struct engine *e, const struct attempt *a)
{
    if (!pending_hold(&e->pending, a->packet, a->meta, a->now_ms + e->config.hold_ms)) {
        COUNT(e, hold_refused);
        return VERDICT_PASS;
    }
    return VERDICT_HOLD;
}

static enum verdict hold_for_owner(struct engine *e, const struct attempt *a)
{
    enum verdict verdict = hold(e, a);
    if (verdict == VERDICT_HOLD) {
        COUNT(e, packets_held);
    }
    return verdict;
}

/* Marks a held SYN: all is known about it, and it waits for the driver's filter. */
static void wait_for_cover(struct engine *e, uint32_t id, bool redirected, uint32_t pid, uint64_t now_ms)
{
    struct pending_entry *held = &e->pending.entries[id];
    if (!held->awaits_cover) {
        held->awaits_cover = held->owner_asked = true;
        held->deadline_ms = now_ms + COVER_WAIT_MS;
        COUNT(e, cover_waits);
    }
    held->redirect = redirected;
    held->pid = pid;
    if (held->meta.outbound) {
        cover_flow(&e->cover, now_ms);
    }
    cover_want(&e->cover, now_ms);
}

static enum verdict hold_for_cover(struct engine *e, const struct attempt *a)
{
    enum verdict verdict = hold(e, a);
    if (verdict == VERDICT_HOLD) {
        wait_for_cover(e, pending_find(&e->pending, &a->packet->tuple), a->redirected, a->pid, a->now_ms);
    }
    return verdict;
}

/* A SYN whose owner decides: the verdict is there already, or it has to wait. `id`: what is pending under its tuple. */
static enum verdict meet_owner(struct engine *e, struct attempt *a, uint32_t id)
{
    if (id == PENDING_NONE) {
        return hold_for_owner(e, a);
    }
    struct pending_entry *known = &e->pending.entries[id];
    uint32_t isn = a->packet->seq;
    if (known->state == PENDING_USED && known->isn != isn) {
        return hold_for_owner(e, a); /* a new connection on an old tuple: its own event is yet to come */
    }
    pending_use(&e->pending, id, isn, a->meta->timestamp, a->now_ms);
    a->pid = known->pid;
    a->redirected = known->redirect;
    enum verdict verdict = carry_out(e, a);
    if (verdict == VERDICT_HOLD) {
        return hold_for_cover(e, a);
    }
    known->redirect = verdict != VERDICT_PASS; /* once it has left as it came, its handshake is under way */
    return verdict;
}

/* A SYN from another machine: whose listener it goes to decides, at once. */
static enum verdict meet_listener(struct engine *e, const struct attempt *a, uint32_t id)
{
    uint32_t isn = a->packet->seq;
    const struct pending_entry *known =
        id != PENDING_NONE && e->pending.entries[id].isn == isn ? &e->pending.entries[id] : NULL;
    bool passed = known && !known->redirect;
    enum verdict verdict = passed ? VERDICT_PASS : lead_to_listener(e, a);
    if (verdict == VERDICT_HOLD) {
        return hold_for_cover(e, a);
    }
    if (verdict == VERDICT_PASS && listeners_find(&e->listeners, &a->packet->tuple)) {
        /* Somebody answers it: were it led to the proxy when it is sent again, two would. */
        id = pending_decide(&e->pending, &a->packet->tuple, false, 0, a->now_ms);
        pending_use(&e->pending, id, isn, a->meta->timestamp, a->now_ms);
    }
    return verdict;
}

enum verdict engine_syn(struct engine *e, struct packet *p, struct packet_meta *meta, uint64_t now_ms)
{
    struct attempt a = {.packet = p, .meta = meta, .now_ms = now_ms};
    uint32_t id = pending_find(&e->pending, &p->tuple);
    if (id != PENDING_NONE && e->pending.entries[id].state == PENDING_HELD) {
        COUNT(e, packets_dropped); /* a retransmission of what is held, or a new attempt that replaces it */
        if (e->pending.entries[id].isn == p->seq) {
            return VERDICT_DROP;
        }
        pending_release(&e->pending, id, false, 0, now_ms);
    }
    if (meta->outbound) {
        cover_syn(&e->cover, be16_to_host(p->tuple.src_port));
    }
    if (is_direct(e, &a)) {
        enum verdict verdict = engine_redirect(e, &a, FLOW_DIRECT, 0);
        return verdict == VERDICT_HOLD ? hold_for_cover(e, &a) : verdict;
    }
    if (!meta->outbound) {
        return meet_listener(e, &a, id);
    }
    if (meta->loopback && agent_listens(e, &a)) {
        return VERDICT_PASS;
    }
    if (!e->config.proxy_port && !(meta->loopback && tree_listener(e, &a))) {
        return VERDICT_PASS; /* only incoming is on, and this is none */
    }
    return meet_owner(e, &a, id);
}

/* ---- held SYNs ---- */

static void leave(struct engine *e, uint32_t id, enum verdict verdict, struct packet_meta *meta, uint32_t pid,
                  uint64_t now_ms)
{
    uint32_t length = e->pending.entries[id].length;
    /* So with its retransmissions. */
    uint8_t *data = pending_release(&e->pending, id, verdict != VERDICT_PASS, pid, now_ms);
    if (verdict == VERDICT_PASS) {
        COUNT(e, packets_passed);
    }
    if (verdict != VERDICT_DROP) {
        e->host.inject(e->host.context, meta, data, length);
    }
}

/* The owner of a held SYN is known now: it leaves, unless the driver's filter has to be replaced first. */
static void let_go(struct engine *e, uint32_t id, bool redirected, uint32_t pid, uint64_t now_ms)
{
    struct packet_meta meta = e->pending.entries[id].meta;
    struct packet p;
    enum verdict verdict = VERDICT_PASS;
    if (packet_parse(pending_bytes(&e->pending, id), e->pending.entries[id].length, &p) == PACKET_TCP) {
        struct attempt a = {&p, &meta, pid, redirected, now_ms};
        verdict = is_direct(e, &a) ? engine_redirect(e, &a, FLOW_DIRECT, 0)
                  : !meta.outbound ? lead_to_listener(e, &a)
                                   : carry_out(e, &a);
    }
    if (verdict == VERDICT_HOLD) {
        wait_for_cover(e, id, redirected, pid, now_ms);
    } else {
        leave(e, id, verdict, &meta, pid, now_ms);
    }
}

/* A held SYN leaves as it came: nobody knows whose it is, or the driver's filter could not be replaced. */
static void give_up(struct engine *e, uint32_t id, uint64_t now_ms)
{
    struct packet_meta meta = e->pending.entries[id].meta;
    COUNT(e, hold_timeouts);
    leave(e, id, VERDICT_PASS, &meta, 0, now_ms);
}

void engine_connect(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    if (e->stopping) {
        return;
    }
    uint32_t id = pending_find(&e->pending, &event->tuple);
    const struct pending_entry *known = id != PENDING_NONE ? &e->pending.entries[id] : NULL;
    if (known && event->timestamp && event->timestamp <= known->syn_time) {
        return; /* too late, or a second one: its SYN has left, and must not be redirected in mid-handshake */
    }
    bool redirected = engine_owner_redirected(e, event->pid);
    if (known && known->state == PENDING_HELD) {
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
        uint32_t pid = 0;
        if (!held->owner_asked && held->deadline_ms - e->config.hold_ms / 2 <= now_ms) {
            held->owner_asked = true;
            pid = e->host.socket_owner(e->host.context, &e->pending.map.keys[id]);
        }
        if (pid) {
            let_go(e, id, engine_owner_redirected(e, pid), pid, now_ms);
        } else if (held->deadline_ms <= now_ms) {
            give_up(e, id, now_ms);
        }
    }
}

void engine_held_retry(struct engine *e, bool covered, uint64_t now_ms)
{
    uint32_t next;
    for (uint32_t id = e->pending.held.head; id != PENDING_NONE; id = next) {
        const struct pending_entry *held = &e->pending.entries[id];
        next = held->next;
        if (held->awaits_cover && covered) {
            let_go(e, id, held->redirect, held->pid, now_ms); /* the listener it is for may be gone meanwhile */
        } else if (held->awaits_cover) {
            give_up(e, id, now_ms);
        }
    }
}

void engine_held_release_all(struct engine *e, uint64_t now_ms)
{
    while (e->pending.held.head != PENDING_NONE) {
        give_up(e, e->pending.held.head, now_ms);
    }
}
