/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: each wait is a queue in order of deadline (pending.h), so only heads are looked at. What becomes
 * of a SYN whose owner is known is decided in connection.c.
 */
#include "held.h"

#include "tcp_table.h"

enum { WARN_MS = 60000 };

static const struct pending_entry *head_of(const struct engine *e, enum pending_state state)
{
    uint32_t id = e->pending.queues[state].head;
    return id == PENDING_NONE ? NULL : &e->pending.entries[id];
}

static enum verdict hold(struct engine *e, const struct attempt *a, enum pending_state state, uint64_t deadline_ms)
{
    if (!pending_hold(&e->pending, a->packet, a->meta, state, deadline_ms)) {
        COUNT(e, hold_overflows);
        return VERDICT_PASS;
    }
    struct pending_entry *held = &e->pending.entries[pending_find(&e->pending, &a->packet->tuple)];
    held->owner_deadline_ms = a->now_ms + e->config.hold_timeout_ms;
    return VERDICT_HOLD;
}

enum verdict held_for_owner(struct engine *e, const struct attempt *a)
{
    enum verdict verdict = hold(e, a, HELD_FOR_OWNER, a->now_ms + e->config.hold_timeout_ms);
    if (verdict == VERDICT_HOLD) {
        COUNT(e, packets_held);
    }
    return verdict;
}

static uint64_t deadline_of(const struct engine *e, const struct attempt *a)
{
    switch (a->waits_for) {
    case HELD_FOR_TABLE:
        return a->now_ms + TCP_TABLE_PATIENCE_MS;
    case HELD_FOR_FILTER:
        return a->now_ms + HELD_FOR_FILTER_MS;
    default:
        return a->now_ms + e->config.decision_timeout_ms;
    }
}

/* A SYN that is not asked about any more. Returns what was decided meanwhile. */
static enum decision end_question(struct engine *e, uint32_t id)
{
    const struct pending_entry *held = &e->pending.entries[id];
    bool asked = held->state == HELD_FOR_DECISION && held->decision == DECISION_NONE;
    return asked ? decisions_withdraw(e->decisions, held->decision_id) : DECISION_NONE;
}

static void wait_for_table(struct engine *e, uint32_t id)
{
    COUNT(e, table_waits);
    e->pending.entries[id].reading = tcp_table_next(e);
    tcp_table_want(e, false);
}

/* It begins to wait for that. */
static void begin_wait(struct engine *e, uint32_t id, const struct attempt *a)
{
    struct pending_entry *held = &e->pending.entries[id];
    if (a->waits_for == HELD_FOR_TABLE) {
        wait_for_table(e, id);
        return;
    }
    if (a->waits_for == HELD_FOR_FILTER) {
        COUNT(e, capture_waits);
        return;
    }
    COUNT(e, decision_waits);
    const struct undecided connection = {.tuple = a->packet->tuple, .pid = a->pid, .upstream = a->upstream};
    held->decision_id = decisions_ask(e->decisions, &connection, id);
    if (e->host.decision_wanted) {
        e->host.decision_wanted(e->host.context);
    }
}

/* What the entry is known to be. The filter is replaced meanwhile, if it does not capture its port. */
static void note_wait(struct engine *e, uint32_t id, const struct attempt *a)
{
    struct pending_entry *held = &e->pending.entries[id];
    const struct tuple *t = &a->packet->tuple;
    bool outbound = held->meta.outbound;
    held->redirect = a->redirected;
    held->block = a->blocked;
    held->upstream = a->upstream;
    held->pid = a->pid;
    held->owned = a->owned;
    held->unsure = a->unsure;
    if (a->waits_for == HELD_FOR_TABLE) {
        return; /* whether it is to be redirected is yet to be known */
    }
    if (outbound) {
        capture_plan_flow(&e->capture, a->now_ms);
    }
    if (!capture_plan_has(&e->capture, outbound, be16_to_host(outbound ? t->src_port : t->dst_port))) {
        capture_plan_want(&e->capture, a->now_ms);
    }
}

enum verdict held_for_redirection(struct engine *e, const struct attempt *a)
{
    enum verdict verdict = hold(e, a, a->waits_for, deadline_of(e, a));
    if (verdict == VERDICT_HOLD) {
        uint32_t id = pending_find(&e->pending, &a->packet->tuple);
        struct pending_entry *held = &e->pending.entries[id];
        held->decision_id = a->decision_id;
        held->decision = a->decided ? DECISION_ACCEPT : DECISION_NONE;
        begin_wait(e, id, a);
        note_wait(e, id, a);
    } else if (a->waits_for == HELD_FOR_FILTER && e->config.fail_closed) {
        return redirect_refuse(e, a->packet, a->meta);
    }
    return verdict;
}

void held_wait_for_redirection(struct engine *e, uint32_t id, const struct attempt *a)
{
    if (e->pending.entries[id].state != a->waits_for) {
        pending_hold_on(&e->pending, id, a->waits_for, deadline_of(e, a));
        begin_wait(e, id, a);
    }
    note_wait(e, id, a);
}

enum decision held_next_decision(struct engine *e, uint32_t *id, uint64_t now_ms)
{
    if (!e->decisions) {
        return DECISION_NONE;
    }
    enum decision decision = decisions_next(e->decisions, id);
    const struct pending_entry *oldest = head_of(e, HELD_FOR_DECISION);
    if (!decision && oldest && oldest->deadline_ms <= now_ms) {
        *id = e->pending.queues[HELD_FOR_DECISION].head;
        decision = end_question(e, *id); /* an answer that comes at this very moment counts */
        if (!decision) {
            COUNT(e, decision_timeouts);
            decision = DECISION_ACCEPT;
        }
    }
    if (decision) {
        e->pending.entries[*id].decision = (uint8_t)decision;
    }
    return decision;
}

void held_forget(struct engine *e, uint32_t id, uint64_t now_ms)
{
    end_question(e, id);
    pending_release(&e->pending, id, false, 0, now_ms);
    COUNT(e, packets_dropped);
}

static uint64_t ask_ms(const struct engine *e, const struct pending_entry *held)
{
    return held->deadline_ms - e->config.hold_timeout_ms / 2;
}

void held_ask_table(struct engine *e, uint64_t now_ms)
{
    for (const struct pending_entry *held; (held = head_of(e, HELD_FOR_OWNER)) && ask_ms(e, held) <= now_ms;) {
        uint32_t id = e->pending.queues[HELD_FOR_OWNER].head;
        if (!e->host.read_table || tcp_table_hangs(e, now_ms)) {
            COUNT(e, table_timeouts);
            held_wait_for_event(e, id, now_ms);
        } else {
            pending_hold_on(&e->pending, id, HELD_FOR_TABLE, now_ms + TCP_TABLE_PATIENCE_MS);
            wait_for_table(e, id);
        }
    }
}

bool held_next_answered(const struct engine *e, uint32_t reading, uint32_t *id)
{
    const struct pending_entry *held = head_of(e, HELD_FOR_TABLE);
    *id = e->pending.queues[HELD_FOR_TABLE].head;
    return held && held->reading <= reading;
}

bool held_next_unanswered(struct engine *e, uint32_t *id, uint64_t now_ms)
{
    const struct pending_entry *held = head_of(e, HELD_FOR_TABLE);
    if (!held || held->deadline_ms > now_ms) {
        return false;
    }
    *id = e->pending.queues[HELD_FOR_TABLE].head;
    COUNT(e, table_timeouts);
    return true;
}

void held_wait_for_event(struct engine *e, uint32_t id, uint64_t now_ms)
{
    uint64_t deadline_ms = e->pending.entries[id].owner_deadline_ms;
    if (deadline_ms <= now_ms) {
        held_give_up(e, id, now_ms);
    } else {
        pending_hold_on(&e->pending, id, HELD_FOR_EVENT, deadline_ms);
    }
}

void held_leave(struct engine *e, uint32_t id, enum verdict verdict, struct packet_meta *meta, uint32_t pid,
                uint64_t now_ms)
{
    uint32_t length = e->pending.entries[id].length;
    end_question(e, id);
    uint8_t *data = pending_release(&e->pending, id, verdict != VERDICT_PASS, pid, now_ms);
    if (verdict == VERDICT_PASS) {
        COUNT(e, packets_passed);
    }
    if (verdict != VERDICT_DROP) {
        e->host.inject(e->host.context, meta, data, length);
    }
}

/* The filter did not come. */
static enum verdict without_filter(struct engine *e, uint32_t id, uint64_t now_ms)
{
    struct packet p;
    COUNT(e, capture_timeouts);
    if (e->stopping) {
        return VERDICT_PASS;
    }
    if (e->host.filter_too_late && (!e->filter_warned_ms || now_ms - e->filter_warned_ms >= WARN_MS)) {
        e->filter_warned_ms = now_ms;
        e->host.filter_too_late(e->host.context, &e->pending.map.keys[id]);
    }
    bool refuse = e->config.fail_closed &&
                  packet_parse(pending_bytes(&e->pending, id), e->pending.entries[id].length, &p) == PACKET_TCP;
    return refuse ? redirect_refuse(e, &p, &e->pending.entries[id].meta) : VERDICT_PASS;
}

void held_give_up(struct engine *e, uint32_t id, uint64_t now_ms)
{
    struct packet_meta meta = e->pending.entries[id].meta;
    enum verdict verdict = VERDICT_PASS;
    if (e->pending.entries[id].state == HELD_FOR_FILTER) {
        verdict = without_filter(e, id, now_ms);
    } else if (meta.outbound && !e->pending.entries[id].owned) { /* else stop alone gives it up */
        COUNT(e, hold_timeouts);
    }
    held_leave(e, id, verdict, &meta, 0, now_ms);
}

void held_expire(struct engine *e, uint64_t now_ms)
{
    static const enum pending_state passing[] = {HELD_FOR_EVENT, HELD_FOR_FILTER};
    for (uint32_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        for (const struct pending_entry *held; (held = head_of(e, passing[i])) && held->deadline_ms <= now_ms;) {
            held_give_up(e, e->pending.queues[passing[i]].head, now_ms);
        }
    }
}

void held_give_up_all(struct engine *e, uint64_t now_ms)
{
    for (enum pending_state state = HELD_FOR_OWNER; state <= HELD_FOR_FILTER; state++) {
        while (head_of(e, state)) {
            held_give_up(e, e->pending.queues[state].head, now_ms);
        }
    }
}

uint64_t held_next_due_ms(const struct engine *e)
{
    const struct pending_entry *for_owner = head_of(e, HELD_FOR_OWNER);
    uint64_t due = for_owner ? ask_ms(e, for_owner) : UINT64_MAX;
    for (enum pending_state state = HELD_FOR_TABLE; state <= HELD_FOR_FILTER; state++) {
        const struct pending_entry *held = head_of(e, state);
        due = held && held->deadline_ms < due ? held->deadline_ms : due;
    }
    return due;
}
