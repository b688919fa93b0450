/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what happens to a new connection.
 *
 *   the library's own                       is led to where it said, unseen by all that follows            (S8)
 *   neither from nor to this machine        passes: it is only forwarded
 *   from another machine                    the port it goes to decides: a listener of the tree, or not    (N1, N2)
 *   to the proxy itself, or to the agent    passes                                                         (I3)
 *   of a process to a listener of its own   passes: it may compare the ports of both ends                  (O8)
 *   all others                              the owner decides                                              (O1, O2)
 *
 * The owner is known from the CONNECT event, which mostly comes first; a SYN that overtakes its event is held (held.h).
 * So identity is decided exactly once per connection, and never for any other packet.
 *
 * Where others decide about connections (decisions.h), a SYN that is to be redirected is held until they have. Then it
 * is redirected, or passes, or is answered with RST, or not at all; its retransmissions fare as it did.
 *
 * A SYN that is to be redirected, but whose port the driver's filter does not capture yet, is held too, until the
 * filter has been replaced (capture_plan.h).
 */
#include "connection.h"

#include "held.h"
#include "others.h"
#include "redirect.h"
#include "sockets.h"

/*
 * Neither end that it should have is an address of this machine, which routes for others: no socket here has it. An
 * owner that is known already counts more than the addresses, which may have changed a moment ago.
 */
static bool is_forwarded(const struct engine *e, const struct attempt *a, uint32_t id)
{
    const struct tuple *t = &a->packet->tuple;
    if (!e->own || a->meta->loopback || (a->meta->outbound && id != PENDING_NONE)) {
        return false;
    }
    return !own_addresses_has(e->own, a->meta->outbound ? &t->src : &t->dst, t->family);
}

static bool agent_listens(struct engine *e, const struct attempt *a)
{
    const struct listener *l = sockets_listener_of(e, &a->packet->tuple, a->now_ms);
    return l && sockets_is_agent(e, l->pid, a->now_ms);
}

static const struct listener *tree_listener(struct engine *e, const struct attempt *a)
{
    const struct listener *l = e->config.incoming_port ? sockets_listener_of(e, &a->packet->tuple, a->now_ms) : NULL;
    return l && l->in_tree && !sockets_is_agent(e, l->pid, a->now_ms) ? l : NULL;
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

/* Whose listener it goes to decides. */
static enum verdict carry_out_incoming(struct engine *e, struct attempt *a)
{
    const struct listener *l = tree_listener(e, a);
    return l ? redirect_syn(e, a, FLOW_INCOMING, l->pid) : VERDICT_PASS;
}

/* The owner is known, or known to be unknown. */
static enum verdict carry_out(struct engine *e, struct attempt *a)
{
    bool within = a->meta->loopback && a->pid && a->pid != e->config.agent_pid;
    if (within && e->config.proxy_port) {
        a->redirected = sockets_redirects_to(e, &a->packet->tuple, a->pid, a->redirected, a->now_ms);
    }
    bool outgoing = a->redirected && e->config.proxy_port;
    bool incoming = within && tree_listener(e, a);
    if (within && (incoming || outgoing) && sockets_is_own_listener(e, &a->packet->tuple, a->pid, a->now_ms)) {
        COUNT(e, self_connections);
        return VERDICT_PASS;
    }
    const struct listener *l = within ? tree_listener(e, a) : NULL; /* anew: the TCP table may have been read */
    if (l && !sockets_is_agent(e, a->pid, a->now_ms)) {
        if (others_agent(e, a->pid)) {
            return VERDICT_PASS; /* the program is to get it (O7) */
        }
        return redirect_syn(e, a, FLOW_INCOMING, l->pid); /* also if the tree opened it (N4) */
    }
    return outgoing ? redirect_syn(e, a, FLOW_OUTGOING, a->pid) : VERDICT_PASS;
}

/* What was decided about a SYN that is not redirected. */
static enum verdict turn_away(struct engine *e, enum decision decision, const struct packet *syn,
                              const struct packet_meta *meta)
{
    switch (decision) {
    case DECISION_REFUSE:
        return redirect_refuse(e, syn, meta);
    case DECISION_DROP:
        COUNT(e, packets_dropped);
        return VERDICT_DROP;
    default:
        return VERDICT_PASS;
    }
}

/* A SYN whose owner decides: the verdict is there already, or it has to wait. `id`: what is pending under its tuple. */
static enum verdict decide_by_owner(struct engine *e, struct attempt *a, uint32_t id)
{
    if (id == PENDING_NONE) {
        return held_for_owner(e, a);
    }
    struct pending_entry *known = &e->pending.entries[id];
    uint32_t isn = a->packet->seq;
    if (known->state == PENDING_USED && known->isn != isn) {
        return held_for_owner(e, a); /* a new connection on an old tuple: its own event is yet to come */
    }
    pending_use(&e->pending, id, isn, a->meta->timestamp, a->now_ms);
    if (known->decision > DECISION_ACCEPT) {
        return turn_away(e, known->decision, a->packet, a->meta);
    }
    a->pid = known->pid;
    a->redirected = known->redirect;
    a->decision_id = known->decision_id;
    a->decided = known->decision == DECISION_ACCEPT;
    enum verdict verdict = carry_out(e, a);
    if (verdict == VERDICT_HOLD) {
        return held_for_redirection(e, a);
    }
    known->redirect = verdict != VERDICT_PASS; /* once it has left as it came, its handshake is under way */
    return verdict;
}

/* A SYN from another machine: whose listener it goes to decides, at once. */
static enum verdict decide_by_listener(struct engine *e, struct attempt *a, uint32_t id)
{
    uint32_t isn = a->packet->seq;
    const struct pending_entry *known =
        id != PENDING_NONE && e->pending.entries[id].isn == isn ? &e->pending.entries[id] : NULL;
    bool passed = known && !known->redirect;
    enum verdict verdict = passed ? VERDICT_PASS : carry_out_incoming(e, a);
    if (verdict == VERDICT_HOLD) {
        return held_for_redirection(e, a);
    }
    if (verdict == VERDICT_PASS && listeners_find(&e->listeners, &a->packet->tuple)) {
        /* It will be answered: if it went to the proxy when it is sent again, there would be two answers. */
        id = pending_decide(&e->pending, &a->packet->tuple, false, 0, a->now_ms);
        pending_use(&e->pending, id, isn, a->meta->timestamp, a->now_ms);
    }
    return verdict;
}

enum verdict connection_syn(struct engine *e, struct packet *p, struct packet_meta *meta, uint64_t now_ms)
{
    struct attempt a = {.packet = p, .meta = meta, .now_ms = now_ms};
    bool led;
    uint32_t proof = proofs_of_syn(&e->proofs, &p->tuple, &led);
    if (led) {
        proofs_mark(&e->proofs, proof, PROOF_LED);
    } else if (proof != PROOF_NONE) {
        return redirect_proof(e, &a, proof);
    }
    uint32_t id = pending_find(&e->pending, &p->tuple);
    if (id != PENDING_NONE && pending_is_held(&e->pending.entries[id])) {
        if (e->pending.entries[id].isn == p->seq) {
            COUNT(e, packets_dropped); /* a retransmission of what is held */
            return VERDICT_DROP;
        }
        held_forget(e, id, now_ms); /* a new attempt replaces it */
    }
    if (is_forwarded(e, &a, id)) {
        COUNT(e, syns_forwarded);
        return VERDICT_PASS;
    }
    if (meta->outbound) {
        capture_plan_syn(&e->capture, be16_to_host(p->tuple.src_port));
        if (id != PENDING_NONE && e->pending.entries[id].state == PENDING_DECIDED) {
            pending_use(&e->pending, id, p->seq, meta->timestamp, now_ms); /* its SYN has come, whatever it becomes */
        }
    }
    if (is_direct(e, &a)) {
        enum verdict verdict = redirect_syn(e, &a, FLOW_DIRECT, 0);
        return verdict == VERDICT_HOLD ? held_for_redirection(e, &a) : verdict;
    }
    if (id == PENDING_NONE && others_lead(e, &a)) {
        return VERDICT_PASS;
    }
    if (!meta->outbound) {
        return decide_by_listener(e, &a, id);
    }
    if (meta->loopback && e->config.no_loopback) {
        return VERDICT_PASS;
    }
    if (meta->loopback && agent_listens(e, &a)) {
        return VERDICT_PASS;
    }
    if (!e->config.proxy_port && !(meta->loopback && tree_listener(e, &a))) {
        return VERDICT_PASS; /* only incoming is on, and this is none */
    }
    return decide_by_owner(e, &a, id);
}

/* ---- held SYNs */

/* All is known about a held SYN now: it leaves, unless the driver's filter has to be replaced first. */
static void decide_held(struct engine *e, uint32_t id, bool redirected, uint32_t pid, uint64_t now_ms)
{
    const struct pending_entry *held = &e->pending.entries[id];
    struct packet_meta meta = held->meta;
    struct packet p;
    enum verdict verdict = VERDICT_PASS;
    struct attempt a = {&p, &meta, pid, redirected, now_ms, .decision_id = held->decision_id};
    if (packet_parse(pending_bytes(&e->pending, id), held->length, &p) == PACKET_TCP) {
        packet_set_scope(&p, &meta);
        a.decided = held->decision == DECISION_ACCEPT;
        verdict = is_direct(e, &a) ? redirect_syn(e, &a, FLOW_DIRECT, 0)
                  : !meta.outbound ? carry_out_incoming(e, &a)
                                   : carry_out(e, &a);
    }
    if (verdict == VERDICT_HOLD) {
        held_wait_for_redirection(e, id, &a);
    } else {
        held_leave(e, id, verdict, &meta, pid, now_ms);
    }
}

/*
 * The tuple that its SYN will have: an event tells no scope, but its local address belongs to an interface. An address
 * that several have tells nothing; the SYN then waits until the TCP table is asked, which knows the scope.
 */
static struct tuple tuple_of_event(const struct engine *e, const struct socket_event *event)
{
    struct tuple t = event->tuple;
    bool loopback = e->own && own_addresses_has(e->own, &t.dst, t.family);
    if (e->own && !loopback && tuple_is_scoped(&t)) {
        t.scope = own_addresses_interface(e->own, &t.src);
    }
    return t;
}

/* The driver does not show the packets of this connection (capture_needs.c). */
static bool is_left(const struct engine *e, const struct tuple *tuple)
{
    return e->capture.active.without_link_local && tuple_is_scoped(tuple) &&
           !own_addresses_has(e->own, &tuple->dst, tuple->family);
}

/* Somebody has decided about a held SYN, or nobody has in time. */
static void carry_out_decision(struct engine *e, uint32_t id, enum decision decision, uint64_t now_ms)
{
    const struct pending_entry *held = &e->pending.entries[id];
    struct packet_meta meta = held->meta;
    struct packet p;
    if (decision == DECISION_ACCEPT) {
        decide_held(e, id, held->redirect, held->pid, now_ms); /* the proxy may have gone meanwhile */
        return;
    }
    bool whole = packet_parse(pending_bytes(&e->pending, id), held->length, &p) == PACKET_TCP;
    held_leave(e, id, whole ? turn_away(e, decision, &p, &meta) : VERDICT_PASS, &meta, held->pid, now_ms);
}

void connection_closed(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    struct tuple tuple = tuple_of_event(e, event);
    uint32_t id = e->decisions ? pending_find(&e->pending, &tuple) : PENDING_NONE;
    const struct pending_entry *held = id != PENDING_NONE ? &e->pending.entries[id] : NULL;
    if (held && held->state == HELD_FOR_DECISION && event->timestamp > held->meta.timestamp) {
        held_forget(e, id, now_ms); /* else it is about an earlier connection on the same tuple */
    }
}

void connection_event(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    if (e->stopping) {
        return;
    }
    struct tuple tuple = tuple_of_event(e, event);
    uint32_t id = pending_find(&e->pending, &tuple);
    const struct pending_entry *known = id != PENDING_NONE ? &e->pending.entries[id] : NULL;
    if (known && event->timestamp && event->timestamp <= known->syn_time) {
        return; /* too late, or a second one: its SYN has left, and must not be redirected in mid-handshake */
    }
    if (known && known->state == HELD_FOR_DECISION) {
        return; /* its owner is known */
    }
    bool redirected = sockets_redirects(e, event->pid, now_ms);
    if (known && pending_is_held(known)) {
        decide_held(e, id, redirected, event->pid, now_ms);
        return;
    }
    others_event(e, event, &tuple, redirected, now_ms);
    if (redirected && e->config.proxy_port && is_left(e, &tuple)) {
        COUNT(e, link_local_passed);
    }
}

void connection_tick(struct engine *e, uint64_t now_ms)
{
    enum decision decision;
    for (uint32_t id; (decision = held_next_decision(e, &id, now_ms)) != DECISION_NONE;) {
        carry_out_decision(e, id, decision, now_ms);
    }
    bool doubted = false;
    struct questions *q = &e->questions;
    uint32_t count = held_to_ask(e, q->ids, now_ms);
    for (uint32_t i = 0; i < count; i++) {
        q->tuples[i] = e->pending.map.keys[q->ids[i]];
        q->pids[i] = 0;
    }
    if (count) {
        e->host.socket_owners(e->host.context, q->tuples, count, q->pids);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (q->pids[i]) {
            /* Its CONNECT is late: so may be a LISTEN before it. Once is enough for all that are asked for now. */
            e->listeners_doubtful = e->listeners_doubtful || !doubted;
            doubted = true;
            decide_held(e, q->ids[i], sockets_redirects(e, q->pids[i], now_ms), q->pids[i], now_ms);
        } else {
            held_wait_for_event(e, q->ids[i], now_ms);
        }
    }
    held_expire(e, now_ms);
}

void connection_filter_replaced(struct engine *e, bool ok, uint64_t now_ms)
{
    uint32_t next;
    for (uint32_t id = e->pending.queues[HELD_FOR_FILTER].head; id != PENDING_NONE; id = next) {
        const struct pending_entry *held = &e->pending.entries[id];
        next = held->next;
        if (ok) {
            decide_held(e, id, held->redirect, held->pid, now_ms); /* the listener it is for may be gone meanwhile */
        } else {
            held_give_up(e, id, now_ms);
        }
    }
}
