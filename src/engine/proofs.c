/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "proofs.h"

void proofs_announce(struct proofs *p, uint32_t which, const struct proof_route *route)
{
    p->count += !p->announced[which];
    p->routes[which] = *route;
    p->announced[which] = true;
    atomic_store_explicit(&p->marks[which], 0, memory_order_relaxed);
}

void proofs_forget_all(struct proofs *p)
{
    memset(p->announced, 0, sizeof p->announced);
    p->count = 0;
}

uint32_t proofs_of_syn(const struct proofs *p, const struct tuple *syn, bool *led)
{
    uint32_t same_port = PROOF_NONE;
    *led = false;
    for (uint32_t i = 0; p->count && i < PROOFS_MAX; i++) {
        const struct tuple *t = &p->routes[i].original;
        if (!p->announced[i] || syn->family != t->family || syn->src_port.wire != t->src_port.wire) {
            continue;
        }
        if (tuple_equal(syn, t)) {
            return i;
        }
        same_port = tuple_is_steered(syn, t) ? i : same_port;
    }
    *led = same_port != PROOF_NONE;
    return same_port;
}

static ip_addr listener_address(const struct proof_route *r)
{
    return r->reflect ? r->original.src : ip_addr_loopback(r->original.family);
}

bool proofs_have_listener(const struct proofs *p, const struct tuple *local)
{
    for (uint32_t i = 0; p->count && i < PROOFS_MAX; i++) {
        ip_addr address = listener_address(&p->routes[i]);
        if (p->announced[i] && local->family == p->routes[i].original.family &&
            be16_to_host(local->src_port) == p->routes[i].listener_port && ip_addr_equal(&local->src, &address)) {
            return true;
        }
    }
    return false;
}

bool proofs_have_event(const struct proofs *p, const struct socket_event *event)
{
    for (uint32_t i = 0; p->count && i < PROOFS_MAX; i++) {
        if (p->announced[i] && tuple_equal(&event->tuple, &p->routes[i].original)) {
            return true;
        }
    }
    return proofs_have_listener(p, &event->tuple);
}
