/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the filter has to capture the packets of every flow, of every SYN that waits, and of every
 * listener of the tree. Nothing here is on the packet path; a plan walks over all of them, some hundred microseconds at
 * most.
 */
#include "capture_needs.h"

/* Where the packets of its program, or of its peer, are captured. */
static bool captured_outbound(const struct flow *f)
{
    return f->kind == FLOW_OUTGOING || f->kind == FLOW_PROOF ||
           f->outbound[LEG_FORWARD]; /* reflected ones leave inbound */
}

static void add(struct capture_set *set, bool outbound, const struct tuple *packets)
{
    if (outbound) {
        port_set_add(&set->outbound, be16_to_host(packets->src_port));
    } else {
        port_set_add(&set->inbound, be16_to_host(packets->dst_port));
    }
}

static void add_all(struct engine *e, struct capture_set *set)
{
    for (uint32_t id = 0; id < e->flows.never_used; id++) {
        const struct flow *f = flow_at(&e->flows, id);
        if (f->state != FLOW_FREE) {
            add(set, captured_outbound(f), flow_original(&e->flows, id));
        }
    }
    for (enum pending_state state = HELD_FOR_OWNER; state <= HELD_FOR_FILTER; state++) {
        for (uint32_t id = e->pending.queues[state].head; id != PENDING_NONE; id = e->pending.entries[id].next) {
            add(set, e->pending.entries[id].meta.outbound, &e->pending.map.keys[id]);
        }
    }
    for (uint32_t i = 0; e->config.incoming_port && i < e->listeners.count; i++) {
        if (e->listeners.all[i].in_tree) {
            port_set_add(&set->inbound, e->listeners.all[i].port);
        }
    }
}

/* Both ends are on this machine, and what they send leaves it. */
static void add_proofs(const struct proofs *p, struct capture_set *set)
{
    for (uint32_t i = 0; p->count && i < PROOFS_MAX; i++) {
        if (p->announced[i]) {
            add(set, true, &p->routes[i].original);
            port_set_add(&set->outbound, p->routes[i].listener_port);
        }
    }
}

static bool listener_not_captured(struct engine *e)
{
    if (!e->listeners_judged || !e->config.incoming_port) {
        return false;
    }
    e->listeners_judged = false;
    for (uint32_t i = 0; i < e->listeners.count; i++) {
        const struct listener *l = &e->listeners.all[i];
        if (l->in_tree && !capture_plan_has(&e->capture, false, l->port)) {
            return true;
        }
    }
    return false;
}

/*
 * What was captured is sent again, and nobody can say by which interface: the source address has to tell. Where two
 * interfaces have the same one, strangers' packets could leave by the wrong one, so none are taken.
 */
static bool leaves_link_local(const struct engine *e)
{
    return e->own && own_addresses_link_local_doubled(e->own);
}

const struct capture_set *capture_needs_next(struct engine *e, uint64_t now_ms)
{
    bool left = leaves_link_local(e);
    bool changed = left != e->capture.active.without_link_local && now_ms >= e->capture.plan_again_ms;
    if (listener_not_captured(e) || changed) {
        capture_plan_want(&e->capture, now_ms);
    }
    if (!capture_plan_is_due(&e->capture, now_ms)) {
        return NULL;
    }
    capture_plan_begin(&e->capture, now_ms);
    add_all(e, &e->capture.next);
    add_proofs(&e->proofs, &e->capture.next);
    e->capture.next.without_link_local = left;
    return capture_plan_end(&e->capture, now_ms) ? &e->capture.next : NULL;
}
