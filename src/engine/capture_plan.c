/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "capture_plan.h"

/*
 * BUDGET needless packets are a reason for a new plan, if the last one is not too recent. WORTH packets cost more than
 * a replacement does, so then there is no waiting, unless the last plan changed nothing. A port with MUCH of the
 * sampled packets is excluded.
 */
enum { BUDGET = 24, WORTH = 512, MUCH = 2 };
enum { PAUSE_MS = 30, PAUSE_MAX_MS = 5000, QUIET_MS = 200, QUIET_MAX_MS = 32000, FAILED_PAUSE_MS = 10000 };

/* A build for tests that replaces the filter all the time: it must change nothing but the cost. */
#ifdef CAPTURE_RESTLESS
enum { RESTLESS = 1, RESTLESS_MS = 5 };
#else
enum { RESTLESS = 0, RESTLESS_MS = 1 };
#endif

void capture_plan_init(struct capture_plan *c, bool all)
{
    *c = (struct capture_plan){.all = all, .wanted = true, .pause_ms = PAUSE_MS, .quiet_ms = QUIET_MS};
}

void capture_plan_syn(struct capture_plan *c, uint16_t port)
{
    for (uint32_t i = 0; i < CAPTURE_EXCLUDED_MAX; i++) {
        if (c->excluded[i] == port) {
            c->excluded[i] = 0;
        }
    }
    struct capture_suspect *s = &c->suspects[port % CAPTURE_SUSPECTS];
    if (s->port == port) {
        s->packets = 0;
    }
}

void capture_plan_want(struct capture_plan *c, uint64_t now_ms)
{
    if (c->wanted) {
        return;
    }
    c->wanted = true;
    /* Was it narrow for too short a time to be worth it? Then the tree's pauses are longer than was assumed. */
    bool too_soon = c->narrowed_ms && now_ms - c->narrowed_ms < 4 * c->quiet_ms;
    c->quiet_ms = !too_soon ? QUIET_MS : c->quiet_ms < QUIET_MAX_MS ? c->quiet_ms * 2 : QUIET_MAX_MS;
}

void capture_plan_again(struct capture_plan *c, bool renew)
{
    c->wanted = true;
    c->renewed = c->renewed || renew;
}

bool capture_plan_is_due(const struct capture_plan *c, uint64_t now_ms)
{
    if (c->replacing || (c->all && c->in_place && !c->renewed)) {
        return false;
    }
    bool worth_it = c->needless >= WORTH && c->helped;
    bool reason = c->needless >= BUDGET || RESTLESS;
    return c->wanted || worth_it || (reason && now_ms >= c->plan_again_ms);
}

static void exclude_suspects(struct capture_plan *c)
{
    for (uint32_t i = 0; i < CAPTURE_SUSPECTS; i++) {
        if (c->suspects[i].packets >= MUCH) {
            c->excluded[c->next_excluded++ % CAPTURE_EXCLUDED_MAX] = (uint16_t)c->suspects[i].port;
            c->suspects[i].packets = 0;
        }
    }
}

void capture_plan_begin(struct capture_plan *c, uint64_t now_ms)
{
    bool busy = c->flow_ms && now_ms - c->flow_ms < c->quiet_ms;
    if (RESTLESS) {
        busy = now_ms / RESTLESS_MS % 2;
    }
    c->next = (struct capture_set){0};
    if (c->all) {
        port_set_fill(&c->next.outbound);
        port_set_fill(&c->next.inbound);
        return;
    }
    exclude_suspects(c);
    if (!busy) {
        c->narrowed_ms = c->narrowed_ms ? c->narrowed_ms : now_ms;
        return;
    }
    c->narrowed_ms = 0;
    port_set_fill(&c->next.outbound);
    for (uint32_t i = 0; i < CAPTURE_EXCLUDED_MAX; i++) {
        if (c->excluded[i]) {
            port_set_remove(&c->next.outbound, c->excluded[i]);
        }
    }
}

bool capture_plan_end(struct capture_plan *c, uint64_t now_ms)
{
    port_set_coarsen(&c->next.outbound, CAPTURE_RANGES);
    port_set_coarsen(&c->next.inbound, CAPTURE_INBOUND_RANGES);
    bool changed = !c->in_place || memcmp(&c->next, &c->active, sizeof c->next) != 0;
    c->replacing = changed || c->renewed || RESTLESS;
    c->helped = changed || RESTLESS;
    c->renewed = false;
    c->wanted = false;
    c->needless = 0;
    /* One plan now and then is quick; plan upon plan becomes rarer and rarer. */
    bool again = now_ms - c->planned_ms < 4 * c->pause_ms;
    c->pause_ms = !again ? PAUSE_MS : c->pause_ms < PAUSE_MAX_MS / 2 ? c->pause_ms * 2 : PAUSE_MAX_MS;
    c->planned_ms = now_ms;
    c->plan_again_ms = now_ms + (RESTLESS ? RESTLESS_MS : c->pause_ms);
    return c->replacing;
}

void capture_plan_replaced(struct capture_plan *c, bool ok, uint64_t now_ms)
{
    c->replacing = false;
    if (ok) {
        c->in_place = true;
        c->active = c->next;
    } else {
        c->plan_again_ms = now_ms + FAILED_PAUSE_MS;
    }
}
