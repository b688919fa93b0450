/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: each wait is a queue in order of deadline (pending.h), so only heads are looked at. What becomes
 * of a SYN whose owner is known is decided in connection.c.
 */
#include "held.h"

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

/* What the entry is known to be, and that the filter is waited for. */
static void note_filter_wait(struct engine *e, uint32_t id, bool redirected, uint32_t pid, uint64_t now_ms)
{
    struct pending_entry *held = &e->pending.entries[id];
    held->redirect = redirected;
    held->pid = pid;
    if (held->meta.outbound) {
        capture_plan_flow(&e->capture, now_ms);
    }
    capture_plan_want(&e->capture, now_ms);
}

enum verdict held_for_filter(struct engine *e, const struct attempt *a)
{
    enum verdict verdict = hold(e, a, HELD_FOR_FILTER, a->now_ms + HELD_FOR_FILTER_MS);
    if (verdict == VERDICT_HOLD) {
        COUNT(e, capture_waits);
        note_filter_wait(e, pending_find(&e->pending, &a->packet->tuple), a->redirected, a->pid, a->now_ms);
    } else if (e->config.fail_closed) {
        return redirect_refuse(e, a->packet, a->meta);
    }
    return verdict;
}

void held_wait_for_filter(struct engine *e, uint32_t id, bool redirected, uint32_t pid, uint64_t now_ms)
{
    if (e->pending.entries[id].state != HELD_FOR_FILTER) {
        pending_hold_on(&e->pending, id, HELD_FOR_FILTER, now_ms + HELD_FOR_FILTER_MS);
        COUNT(e, capture_waits);
    }
    note_filter_wait(e, id, redirected, pid, now_ms);
}

static uint64_t ask_ms(const struct engine *e, const struct pending_entry *held)
{
    return held->deadline_ms - e->config.hold_timeout_ms / 2;
}

uint32_t held_to_ask(const struct engine *e, uint32_t ids[PENDING_HELD_MAX], uint64_t now_ms)
{
    uint32_t count = 0;
    for (uint32_t id = e->pending.queues[HELD_FOR_OWNER].head; id != PENDING_NONE; id = e->pending.entries[id].next) {
        if (ask_ms(e, &e->pending.entries[id]) > now_ms) {
            break;
        }
        ids[count++] = id;
    }
    return count;
}

void held_wait_for_event(struct engine *e, uint32_t id, uint64_t now_ms)
{
    uint64_t deadline_ms = e->pending.entries[id].deadline_ms;
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
    } else {
        COUNT(e, hold_timeouts);
    }
    held_leave(e, id, verdict, &meta, 0, now_ms);
}

void held_expire(struct engine *e, uint64_t now_ms)
{
    for (enum pending_state state = HELD_FOR_EVENT; state <= HELD_FOR_FILTER; state++) {
        for (const struct pending_entry *held; (held = head_of(e, state)) && held->deadline_ms <= now_ms;) {
            held_give_up(e, e->pending.queues[state].head, now_ms);
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
    for (enum pending_state state = HELD_FOR_EVENT; state <= HELD_FOR_FILTER; state++) {
        const struct pending_entry *held = head_of(e, state);
        due = held && held->deadline_ms < due ? held->deadline_ms : due;
    }
    return due;
}
