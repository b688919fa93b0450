/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "engine.h"

#include "capture_needs.h"
#include "connection.h"
#include "redirect.h"
#include "segment_size.h"
#include "state.h"
#include "translate.h"
#include "udp_events.h"

const struct capture_set *engine_capture_wanted(struct engine *e, uint64_t now_ms)
{
    return e->stopping ? NULL : capture_needs_next(e, now_ms);
}

static void mark_captured_proofs(struct engine *e)
{
    bool settled = !e->capture.replacing && !e->capture.renewed;
    for (uint32_t i = 0; settled && e->proofs.count && i < PROOFS_MAX; i++) {
        if (e->proofs.announced[i] && redirect_captures_proof(e, &e->proofs.routes[i])) {
            proofs_mark(&e->proofs, i, PROOF_CAPTURABLE);
        }
    }
}

void engine_capture_replaced(struct engine *e, bool ok, uint64_t now_ms)
{
    if (ok && e->capture.in_place) { /* the first one replaces nothing */
        COUNT(e, filter_replacements);
    }
    capture_plan_replaced(&e->capture, ok, now_ms);
    connection_filter_replaced(e, ok, now_ms);
    mark_captured_proofs(e);
}

bool engine_prove(struct engine *e, uint32_t which, const struct proof_route *route)
{
    uint16_t port = be16_to_host(route->original.src_port);
    uint32_t former = e->flows.port_owner[port];
    if (former && !e->stopping && flow_at(&e->flows, former - 1)->kind == FLOW_PROOF) {
        translate_end_flow(e, former - 1); /* an earlier one's, which has not come far */
    }
    if (e->stopping || flow_pick_port(&e->flows, port) != port) {
        return false;
    }
    proofs_announce(&e->proofs, which, route);
    mark_captured_proofs(e);
    if (!(engine_proof_marks(e, which) & PROOF_CAPTURABLE)) {
        capture_plan_again(&e->capture, false);
    }
    return true;
}

void engine_prove_no_more(struct engine *e)
{
    proofs_forget_all(&e->proofs);
}

uint32_t engine_proof_marks(const struct engine *e, uint32_t which)
{
    return atomic_load_explicit(&e->proofs.marks[which], memory_order_relaxed);
}

void engine_set_steering(struct engine *e, uint32_t family, bool reflect)
{
    *state_reflects(e, family) = reflect;
    for (uint32_t i = 0; e->config.proxy_port && i < 2; i++) {
        if (e->proxies[i].family == family) {
            e->proxies[i].dst = reflect ? ip_addr_any(family) : ip_addr_loopback(family);
        }
    }
}

void engine_set_large_segments(struct engine *e, uint32_t family, bool arrive)
{
    segment_size_proven(e, family, arrive);
}

void engine_renew_filter(struct engine *e)
{
    capture_plan_again(&e->capture, true);
    udp_events_renew_filter(e);
}
