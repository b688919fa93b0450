/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Contexts of flows (fwpsk.h).
 *
 * Theory of operation: a callout that sees a flow being established may leave a context with it. When
 * the flow ends, or the callout removes the context, its flowDeleteFn is called with it, once: whoever takes
 * the context out of the table calls. Inside flowDeleteFn the driver may queue an event, which is a taking
 * as in a classification; so it runs as a visit, which unregistering a callout waits for, too.
 *
 * On Windows FwpsFlowRemoveContext0 may return STATUS_PENDING while the callout is classifying; the
 * driver takes that for success. Here the function has always been called when it returns.
 */
#include "exports.h"
#include "engine.h"

enum { CHAINS = 4096, FLOWS_MAX = 1 << 18 };

struct flow {
    struct flow *next;
    uint64_t id, context;
    uint16_t layer;
    struct callout *callout;
    uint32_t handle; /* whose callout it is; only if `owned` */
    bool owned;
};

static struct flow *chains[CHAINS];
static uint32_t count;

static struct flow **chain_of(uint64_t id)
{
    return &chains[(id * 0x9e3779b97f4a7c15u >> 40) % CHAINS];
}

/* Where it stands in its chain; callout 0: any. NULL: nowhere. */
static struct flow **find(uint64_t id, uint16_t layer, uint32_t callout)
{
    struct flow **at = chain_of(id);

    while (*at && !((*at)->id == id && (callout == 0 || ((*at)->layer == layer && (*at)->callout->id == callout)))) {
        at = &(*at)->next;
    }
    return *at ? at : NULL;
}

NTSTATUS NTAPI FwpsFlowAssociateContext0(uint64_t id, uint16_t layer, uint32_t callout_id, uint64_t context)
{
    const struct visit *visit = visit_of_thread();
    NTSTATUS status = STATUS_SUCCESS;
    struct callout *callout;
    struct flow *flow;

    if (id == 0 || context == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    visit_explains((const void *)(uintptr_t)context);
    flow = lab_allocate(sizeof(*flow));
    if (!flow) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    mutex_lock(&fwp_lock);
    callout = callout_of_id(callout_id);
    if (!callout || !callout->given.flowDeleteFn) {
        status = STATUS_INVALID_PARAMETER;
    } else if (find(id, layer, callout_id)) {
        status = STATUS_OBJECT_NAME_EXISTS;
    } else if (count == FLOWS_MAX) {
        status = STATUS_INSUFFICIENT_RESOURCES;
    }
    if (status == STATUS_SUCCESS) {
        *flow = (struct flow){*chain_of(id), id, context, layer, callout, 0, false};
        if (visit && visit->taker) {
            flow->handle = visit->handle;
            flow->owned = true;
        }
        *chain_of(id) = flow;
        callout->flows++;
        count++;
    }
    mutex_unlock(&fwp_lock);
    if (status != STATUS_SUCCESS) {
        lab_free(flow);
    }
    return status;
}

/* The one that stands there leaves the table and its callout is told. */
static void remove_locked(struct flow **at, struct visit *visit)
{
    struct flow *flow = *at;

    *at = flow->next;
    count--;
    flow->callout->flows--;
    mutex_unlock(&fwp_lock);
    visit->told = false;
    visit->memory = NULL;
    visit->handle = flow->handle;
    visit->how = LAB_SNIFFED;
    visit->taker = flow->owned ? flow : NULL;
    flow->callout->given.flowDeleteFn(flow->layer, flow->callout->id, flow->context);
    if (visit->memory) {
        visit_take(visit);
    }
    visit->taker = NULL;
    lab_free(flow);
}

NTSTATUS NTAPI FwpsFlowRemoveContext0(uint64_t id, uint16_t layer, uint32_t callout)
{
    struct visit visit;
    struct flow **at;

    visit_enter(&visit, LAYERS);
    mutex_lock(&fwp_lock);
    at = find(id, layer, callout);
    if (at) {
        remove_locked(at, &visit);
    } else {
        mutex_unlock(&fwp_lock);
    }
    visit_leave(&visit);
    return at ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

void flow_deleted(uint64_t id, const struct sink *sink)
{
    struct visit visit;
    struct flow **at;

    visit_enter(&visit, LAYERS);
    visit.sink = sink;
    for (;;) {
        mutex_lock(&fwp_lock);
        at = find(id, 0, 0);
        if (!at) {
            break;
        }
        remove_locked(at, &visit);
    }
    mutex_unlock(&fwp_lock);
    visit_leave(&visit);
}

static uint64_t any_flow(void)
{
    uint64_t id = 0;

    mutex_lock(&fwp_lock);
    for (unsigned i = 0; i < CHAINS && id == 0; i++) {
        id = chains[i] ? chains[i]->id : 0;
    }
    mutex_unlock(&fwp_lock);
    return id;
}

void flows_all_deleted(const struct sink *sink)
{
    uint64_t id;

    while ((id = any_flow()) != 0) {
        flow_deleted(id, sink);
    }
}
