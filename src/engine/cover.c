/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cover.h"

/*
 * BUDGET packets for nothing are reason enough to think again, when the last time is not too near. WORTH packets cost more
 * than a replacement does, so then there is no waiting, unless the last plan had nothing to offer. A stranger with MUCH
 * packets, of those that were looked at, is worth a hole.
 */
enum { BUDGET = 24, WORTH = 512, MUCH = 2 };
enum { PAUSE_MS = 30, PAUSE_MAX_MS = 5000, QUIET_MS = 200, QUIET_MAX_MS = 32000, FAILED_PAUSE_MS = 10000 };

/* A build for tests that replaces the filter all the time: it must change nothing but the cost. */
#ifdef COVER_RESTLESS
enum { RESTLESS = 1, RESTLESS_MS = 5 };
#else
enum { RESTLESS = 0, RESTLESS_MS = 1 };
#endif

void cover_init(struct cover_state *c, bool whole)
{
    *c = (struct cover_state){.whole = whole, .wanted = !whole, .pause_ms = PAUSE_MS, .quiet_ms = QUIET_MS};
}

void cover_syn(struct cover_state *c, uint16_t port)
{
    for (uint32_t i = 0; i < COVER_HOLES; i++) {
        if (c->holes[i] == port) {
            c->holes[i] = 0;
        }
    }
    struct cover_suspect *s = &c->suspects[port % COVER_SUSPECTS];
    if (s->port == port) {
        s->packets = 0;
    }
}

void cover_want(struct cover_state *c, uint64_t now_ms)
{
    if (c->wanted) {
        return;
    }
    c->wanted = true;
    /* Was it narrow for too short a time to be worth it? Then the tree's pauses are longer than we thought. */
    bool too_soon = c->narrowed_ms && now_ms - c->narrowed_ms < 4 * c->quiet_ms;
    c->quiet_ms = !too_soon ? QUIET_MS : c->quiet_ms < QUIET_MAX_MS ? c->quiet_ms * 2 : QUIET_MAX_MS;
}

bool cover_is_due(const struct cover_state *c, uint64_t now_ms)
{
    if (c->replacing || c->whole) {
        return false;
    }
    bool worth_it = c->strangers >= WORTH && c->helped;
    bool reason = c->strangers >= BUDGET || RESTLESS;
    return c->wanted || worth_it || (reason && now_ms >= c->plan_again_ms);
}

static void make_holes(struct cover_state *c)
{
    for (uint32_t i = 0; i < COVER_SUSPECTS; i++) {
        if (c->suspects[i].packets >= MUCH) {
            c->holes[c->next_hole++ % COVER_HOLES] = (uint16_t)c->suspects[i].port;
            c->suspects[i].packets = 0;
        }
    }
}

void cover_plan_begin(struct cover_state *c, uint64_t now_ms)
{
    bool busy = c->flow_ms && now_ms - c->flow_ms < c->quiet_ms;
    if (RESTLESS) {
        busy = now_ms / RESTLESS_MS % 2;
    }
    c->next = (struct cover){0};
    make_holes(c);
    if (!busy) {
        c->narrowed_ms = c->narrowed_ms ? c->narrowed_ms : now_ms;
        return;
    }
    c->narrowed_ms = 0;
    port_set_fill(&c->next.outbound);
    for (uint32_t i = 0; i < COVER_HOLES; i++) {
        if (c->holes[i]) {
            port_set_remove(&c->next.outbound, c->holes[i]);
        }
    }
}

bool cover_plan_end(struct cover_state *c, uint64_t now_ms)
{
    port_set_coarsen(&c->next.outbound, COVER_RANGES);
    port_set_coarsen(&c->next.inbound, COVER_INBOUND_RANGES);
    c->replacing = !c->in_place || memcmp(&c->next, &c->active, sizeof c->next) != 0 || RESTLESS;
    c->helped = c->replacing;
    c->wanted = false;
    c->strangers = 0;
    /* One plan now and then is quick; plan upon plan becomes rarer and rarer. */
    bool again = now_ms - c->planned_ms < 4 * c->pause_ms;
    c->pause_ms = !again ? PAUSE_MS : c->pause_ms < PAUSE_MAX_MS / 2 ? c->pause_ms * 2 : PAUSE_MAX_MS;
    c->planned_ms = now_ms;
    c->plan_again_ms = now_ms + (RESTLESS ? RESTLESS_MS : c->pause_ms);
    return c->replacing;
}

void cover_replaced(struct cover_state *c, bool ok, uint64_t now_ms)
{
    c->replacing = false;
    if (ok) {
        c->in_place = true;
        c->active = c->next;
    } else {
        c->plan_again_ms = now_ms + FAILED_PAUSE_MS;
    }
}
