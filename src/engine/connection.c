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
 * Where it matters who listens, and events have left that in doubt, the SYN is held until the TCP table has been read;
 * once at most, so that no doubt keeps it for long.
 *
 * Where others decide about connections (decisions.h), a SYN that is to be redirected is held until they have. Then it
 * is redirected, or passes, or is answered with RST, or not at all; its retransmissions fare as it did.
 *
 * A SYN that is to be redirected, but whose port the driver's filter does not capture yet, is held too, until the
 * filter has been replaced (capture_plan.h).
 */
#include "connection.h"

#include "carry_out.h"
#include "held.h"
#include "others.h"
#include "policy.h"
#include "sockets.h"
#include "tcp_table.h"

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

/* What is pending under its tuple tells of its owner, unless that is about an older connection. */
static void know_owner(struct engine *e, struct attempt *a, uint32_t id)
{
    const struct pending_entry *known = id != PENDING_NONE ? &e->pending.entries[id] : NULL;
    if (!known || (known->state == PENDING_USED && known->isn != a->packet->seq)) {
        return;
    }
    a->owned = true;
    a->pid = known->pid;
    a->redirected =
        known->redirect && policy_may_redirect(e, known->pid); /* an incoming one's has no owner here (I3) */
    a->blocked = known->block;
    a->upstream = known->upstream;
    a->unsure = known->unsure;
    a->decision_id = known->decision_id;
    a->decided = known->decision == DECISION_ACCEPT;
    if (a->unsure && !sockets_in_doubt(e)) {
        carry_out_take_verdict(
            a, sockets_judge(e, a->pid, &a->packet->tuple, PROTOCOL_TCP, &a->unsure)); /* it was resolved */
    }
}

/* A SYN whose owner decides: the verdict is there already, or it has to wait. `id`: what is pending under its tuple. */
static enum verdict decide_by_owner(struct engine *e, struct attempt *a, uint32_t id)
{
    if (!a->owned) {
        return held_for_owner(e, a);
    }
    struct pending_entry *known = &e->pending.entries[id];
    if (known->decision > DECISION_ACCEPT) {
        return carry_out_turn_away(e, known->decision, a->packet, a->meta);
    }
    enum verdict verdict = carry_out_owned(e, a);
    if (verdict == VERDICT_HOLD) {
        return held_for_redirection(e, a);
    }
    known->redirect = verdict != VERDICT_PASS; /* once it has left as it came, its handshake is under way */
    known->unsure = false;
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
    a.asked =
        id != PENDING_NONE && e->pending.entries[id].state == PENDING_USED && e->pending.entries[id].isn == p->seq;
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
        if (a.asked || (id != PENDING_NONE && e->pending.entries[id].state == PENDING_DECIDED)) {
            pending_use(&e->pending, id, p->seq, meta->timestamp, now_ms); /* its SYN has come, whatever it becomes */
        }
    }
    if (carry_out_is_direct(e, &a)) {
        enum verdict verdict = redirect_syn(e, &a, FLOW_DIRECT, 0);
        return verdict == VERDICT_HOLD ? held_for_redirection(e, &a) : verdict;
    }
    if (id == PENDING_NONE && others_lead(e, &a)) {
        return VERDICT_PASS;
    }
    if (!meta->outbound) {
        return decide_by_listener(e, &a, id);
    }
    know_owner(e, &a, id);
    if (carry_out_waits_for_listener(e, &a)) {
        return held_for_redirection(e, &a);
    }
    return carry_out_is_left_alone(e, &a) ? VERDICT_PASS : decide_by_owner(e, &a, id);
}

/* ---- held SYNs */

/* What is known of the owner of a held SYN. */
struct owner {
    bool known;
    uint32_t pid;
    struct rule_verdict verdict;
    bool unsure;
};

static struct owner owner_by_event(struct engine *e, uint32_t pid, const struct tuple *tuple)
{
    struct owner owner = {.known = true, .pid = pid};
    e->process_unknown = false;
    owner.verdict = sockets_judge(e, pid, tuple, PROTOCOL_TCP, &owner.unsure);
    if (e->process_unknown) {
        COUNT(e, processes_unknown);
    }
    return owner;
}

static struct owner owner_of_held(const struct pending_entry *held)
{
    return (struct owner){held->owned, held->pid, carry_out_verdict_of(held->redirect, held->block, held->upstream),
                          held->unsure};
}

/* With all that is known of it by now. *a->owned: if not, VERDICT_HOLD may also mean that this is missing. */
static enum verdict judge_held(struct engine *e, struct attempt *a)
{
    if (carry_out_is_direct(e, a)) {
        return redirect_syn(e, a, FLOW_DIRECT, 0);
    }
    if (!a->meta->outbound) {
        return carry_out_incoming(e, a);
    }
    if (carry_out_waits_for_listener(e, a)) {
        return VERDICT_HOLD;
    }
    if (carry_out_is_left_alone(e, a)) {
        return VERDICT_PASS;
    }
    a->waits_for = HELD_FOR_EVENT;
    return a->owned ? carry_out_owned(e, a) : VERDICT_HOLD;
}

/* A held SYN leaves, unless it has to wait for something (else) first. */
static void decide_held(struct engine *e, uint32_t id, struct owner owner, uint64_t now_ms)
{
    const struct pending_entry *held = &e->pending.entries[id];
    struct packet_meta meta = held->meta;
    struct packet p;
    enum verdict verdict = VERDICT_PASS;
    struct attempt a = {.packet = &p,
                        .meta = &meta,
                        .now_ms = now_ms,
                        .pid = owner.pid,
                        .unsure = owner.unsure,
                        .owned = owner.known,
                        .held = true,
                        .asked = held->asked,
                        .decided = held->decision == DECISION_ACCEPT,
                        .decision_id = held->decision_id};
    struct packet_place at;
    uint8_t *bytes = pending_bytes(&e->pending, id);
    carry_out_take_verdict(&a, owner.verdict);
    if (packet_locate(bytes, held->length, &at) == PACKET_TCP) {
        packet_read(bytes, held->length, &at, &p);
        packet_read_tuple(&at, packet_scope(&at, &meta), &p);
        verdict = judge_held(e, &a);
    }
    if (verdict != VERDICT_HOLD) {
        e->pending.entries[id].block = a.blocked; /* for its retransmissions */
        e->pending.entries[id].upstream = a.upstream;
        held_leave(e, id, verdict, &meta, a.pid, now_ms);
    } else if (a.waits_for == HELD_FOR_EVENT) {
        held_wait_for_event(e, id, now_ms);
    } else {
        held_wait_for_redirection(e, id, &a);
    }
}

/* The TCP table has answered, or does not; `pid`: whom it names as the owner. */
static void decide_answered(struct engine *e, uint32_t id, uint32_t pid, uint64_t now_ms)
{
    struct pending_entry *held = &e->pending.entries[id];
    held->asked = true;
    pid = held->owned ? held->pid : pid;
    const struct tuple *tuple = &e->pending.map.keys[id];
    decide_held(e, id, pid ? owner_by_event(e, pid, tuple) : owner_of_held(held), now_ms);
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
        decide_held(e, id, owner_of_held(held), now_ms); /* the proxy may have gone meanwhile */
        return;
    }
    bool whole = packet_parse(pending_bytes(&e->pending, id), held->length, &p) == PACKET_TCP;
    held_leave(e, id, whole ? carry_out_turn_away(e, decision, &p, &meta) : VERDICT_PASS, &meta, held->pid, now_ms);
}

void connection_closed(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    struct tuple tuple = own_addresses_scoped(e->own, &event->tuple);
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
    struct tuple tuple = own_addresses_scoped(e->own, &event->tuple);
    uint32_t id = pending_find(&e->pending, &tuple);
    const struct pending_entry *known = id != PENDING_NONE ? &e->pending.entries[id] : NULL;
    if (known && event->timestamp && event->timestamp <= known->syn_time) {
        return; /* too late, or a second one: its SYN has left, and must not be redirected in mid-handshake */
    }
    if (known && known->state == HELD_FOR_DECISION) {
        return; /* its owner is known */
    }
    struct owner owner = owner_by_event(e, event->pid, &tuple);
    if (known && pending_is_held(known)) {
        decide_held(e, id, owner, now_ms);
        return;
    }
    bool redirected = owner.verdict.action == RULE_REDIRECT;
    id = others_event(e, event, &tuple, redirected, now_ms);
    if (id != PENDING_NONE) {
        e->pending.entries[id].unsure = owner.unsure;
        e->pending.entries[id].block = owner.verdict.action == RULE_BLOCK;
        e->pending.entries[id].upstream = owner.verdict.upstream;
    }
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
    held_ask_table(e, now_ms);
    for (uint32_t id; held_next_unanswered(e, &id, now_ms);) {
        decide_answered(e, id, 0, now_ms);
    }
    held_expire(e, now_ms);
}

void connection_table_read(struct engine *e, const uint32_t *owners, uint64_t now_ms)
{
    for (uint32_t id; held_next_answered(e, e->readings.number, &id);) {
        uint32_t question = e->pending.entries[id].question;
        decide_answered(e, id, owners && question ? owners[question - 1] : 0, now_ms);
    }
}

void connection_filter_replaced(struct engine *e, bool ok, uint64_t now_ms)
{
    uint32_t next;
    for (uint32_t id = e->pending.queues[HELD_FOR_FILTER].head; id != PENDING_NONE; id = next) {
        const struct pending_entry *held = &e->pending.entries[id];
        next = held->next;
        if (ok) {
            decide_held(e, id, owner_of_held(held), now_ms); /* the listener it is for may be gone meanwhile */
        } else {
            held_give_up(e, id, now_ms);
        }
    }
}
