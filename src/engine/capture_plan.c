/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "capture_plan.h"

/*
 * BUDGET needless packets are a reason for a new plan, if the last one is not too recent: each that follows another soon
 * doubles the pause. A new stranger is a reason at once: there may be IN_A_ROW replacements for strangers' sake, and one
 * every COST_MS from then on. (Each is charged with COST_MS, and so much may be owed.)
 */
enum { BUDGET = 24, IN_A_ROW = 16, COST_MS = 100 };
enum { OWED_MS = (IN_A_ROW - 1) * COST_MS };
enum { PAUSE_MS = 30, PAUSE_MAX_MS = 5000, QUIET_MS = 200, QUIET_MAX_MS = 32000, FAILED_PAUSE_MS = 10000 };

/* A build for tests that replaces the filter all the time: it must change nothing but the cost. */
#ifdef CAPTURE_RESTLESS
enum { RESTLESS = 1, RESTLESS_MS = 5 };
#else
enum { RESTLESS = 0, RESTLESS_MS = 1 };
#endif

void capture_plan_init(struct capture_plan *c, bool all)
{
    c->all = all;
    c->wanted = true;
    c->pause_ms = PAUSE_MS;
    c->quiet_ms = QUIET_MS;
}

void capture_plan_heavy(struct capture_plan *c, uint16_t port)
{
    c->sent[be16_from_host(port).wire] = 0;
    if (port_set_has(&c->strangers, port)) {
        return; /* a plan knew that and could not do without the port: it is a flow's, too, or in the midst of flows' */
    }
    port_set_add(&c->strangers, port);
    port_set_add(&c->alive, port);
    c->stranger_count++;
    c->intruded = true;
}

void capture_plan_syn(struct capture_plan *c, uint16_t port)
{
    c->sent[be16_from_host(port).wire] = 0;
    if (port_set_has(&c->strangers, port)) {
        port_set_remove(&c->strangers, port);
        c->stranger_count--;
    }
}

void capture_plan_forget_dead(struct capture_plan *c)
{
    c->stranger_count = port_set_keep(&c->strangers, &c->alive);
    c->alive = (struct port_set){0};
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
    bool reason = c->needless >= BUDGET || RESTLESS;
    return c->wanted || (c->intruded && c->paid_ms <= now_ms + OWED_MS) || (reason && now_ms >= c->plan_again_ms);
}

void capture_plan_begin(struct capture_plan *c, uint64_t now_ms)
{
    c->next = (struct capture_set){0};
    c->wide = c->always_wide || (c->flow_ms && now_ms - c->flow_ms < c->quiet_ms);
    if (RESTLESS && !c->always_wide) {
        c->wide = now_ms / RESTLESS_MS % 2;
    }
    c->narrowed_ms = c->wide || c->all ? 0 : c->narrowed_ms ? c->narrowed_ms : now_ms;
}

static void complete(struct capture_plan *c)
{
    if (c->all) {
        port_set_fill(&c->next.outbound);
        port_set_fill(&c->next.inbound);
        return;
    }
    struct port_set *outbound = &c->next.outbound, needed = *outbound;
    if (c->wide) {
        port_set_fill(outbound);
    } else {
        port_set_coarsen(outbound, CAPTURE_RANGES);
    }
    if (port_set_leave_out(outbound, &c->strangers, &needed)) {
        if (!c->wide) { /* they stood between the tree's ports: half of the ranges are to keep them out */
            *outbound = needed;
            port_set_coarsen(outbound, CAPTURE_RANGES / 2);
            port_set_leave_out(outbound, &c->strangers, &needed);
        }
        port_set_thin(outbound, &needed, CAPTURE_RANGES);
        port_set_coarsen(outbound, CAPTURE_RANGES);
    }
    port_set_coarsen(&c->next.inbound, CAPTURE_INBOUND_RANGES);
}

bool capture_plan_end(struct capture_plan *c, uint64_t now_ms)
{
    complete(c);
    bool changed = !c->in_place || memcmp(&c->next, &c->active, sizeof c->next) != 0;
    c->replacing = changed || c->renewed || RESTLESS;
    if (c->replacing && !c->wanted) {
        c->paid_ms = (c->paid_ms > now_ms ? c->paid_ms : now_ms) + COST_MS;
    }
    c->renewed = false;
    c->wanted = false;
    c->intruded = false;
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
        c->paid_ms = now_ms + FAILED_PAUSE_MS + OWED_MS;
    }
}
