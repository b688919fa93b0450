/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What of the engine's state the driver's filter has to follow: every flow, every SYN that waits, every listener of the
 * tree. Nothing here is on the packet path; a plan walks over all of them, some hundred microseconds at most.
 */
#include "engine_internal.h"

/* Where the packets of its program, or of its peer, are captured. */
static bool captured_outbound(const struct flow *f)
{
    return f->kind == FLOW_OUTGOING || f->outbound[LEG_FORWARD]; /* reflected ones leave inbound */
}

static void add(struct cover *cover, bool outbound, const struct tuple *packets)
{
    if (outbound) {
        port_set_add(&cover->outbound, be16_to_host(packets->src_port));
    } else {
        port_set_add(&cover->inbound, be16_to_host(packets->dst_port));
    }
}

static void add_all(struct engine *e, struct cover *cover)
{
    for (uint32_t id = 0; id < e->flows.never_used; id++) {
        const struct flow *f = flow_at(&e->flows, id);
        if (f->state != FLOW_FREE) {
            add(cover, captured_outbound(f), flow_original(&e->flows, id));
        }
    }
    for (uint32_t id = e->pending.held.head; id != PENDING_NONE; id = e->pending.entries[id].next) {
        add(cover, e->pending.entries[id].meta.outbound, &e->pending.map.keys[id]);
    }
    for (uint32_t i = 0; e->config.incoming_port && i < e->listeners.count; i++) {
        if (e->listeners.all[i].in_tree) {
            port_set_add(&cover->inbound, e->listeners.all[i].port);
        }
    }
}

static bool listener_uncovered(struct engine *e)
{
    if (!e->listeners_judged || !e->config.incoming_port) {
        return false;
    }
    e->listeners_judged = false;
    for (uint32_t i = 0; i < e->listeners.count; i++) {
        const struct listener *l = &e->listeners.all[i];
        if (l->in_tree && !cover_has(&e->cover, false, l->port)) {
            return true;
        }
    }
    return false;
}

const struct cover *engine_cover_wanted(struct engine *e, uint64_t now_ms)
{
    if (e->stopping) {
        return NULL;
    }
    if (listener_uncovered(e)) {
        cover_want(&e->cover, now_ms);
    }
    if (!cover_is_due(&e->cover, now_ms)) {
        return NULL;
    }
    cover_plan_begin(&e->cover, now_ms);
    add_all(e, &e->cover.next);
    return cover_plan_end(&e->cover, now_ms) ? &e->cover.next : NULL;
}

void engine_cover_replaced(struct engine *e, bool ok, uint64_t now_ms)
{
    if (ok && e->cover.in_place) { /* the first one replaces nothing */
        COUNT(e, filter_swaps);
    }
    cover_replaced(&e->cover, ok, now_ms);
    engine_held_retry(e, ok, now_ms);
}
