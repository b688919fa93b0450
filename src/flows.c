/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the list of connections is read in portions of the flow tables, which are copied on the engine's
 * thread between two batches of packets, and converted to the public structure on the caller's thread.
 */
#include "address.h"
#include "host.h"

#include <stdlib.h>

struct portion {
    bool udp;
    uint32_t from, next, count;
    struct flow_view flows[FLOW_LIST_SLOTS];
};

/* The same for all connections of one list. */
struct listing {
    uint64_t now_ms;      /* on the engine's clock */
    uint64_t now_unix_ms; /* the same moment as Unix time */
    redirector_flow *out;
    uint32_t capacity, found;
};

static void copy_portion(redirector *r, void *context)
{
    struct portion *p = context;
    p->next = (p->udp ? engine_list_udp_flows : engine_list_flows)(r->engine, p->from, p->flows, &p->count);
}

static uint64_t unix_now_ms(void)
{
    const uint64_t unix_epoch = 116444736000000000; /* 1970 in 100 ns since 1601 */
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    return (((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime) - unix_epoch) / 10000;
}

static redirector_flow flow_to_public(const struct flow_view *f, bool udp, const struct listing *l)
{
    static const uint32_t states[] = {[FLOW_OPENING] = REDIRECTOR_FLOW_OPENING,
                                      [FLOW_OPEN] = REDIRECTOR_FLOW_OPEN,
                                      [FLOW_CLOSING] = REDIRECTOR_FLOW_CLOSING};
    const struct tuple *t = &f->original;
    uint64_t age_ms = l->now_ms > f->opened_ms ? l->now_ms - f->opened_ms : 0; /* it can have begun after `now_ms` */
    return (redirector_flow){
        .size = sizeof(redirector_flow),
        .pid = f->pid,
        .kind = f->kind == FLOW_INCOMING ? REDIRECTOR_FLOW_INCOMING : REDIRECTOR_FLOW_OUTGOING,
        .state = states[f->state],
        .client = address_to_public(&t->src, t->family, be16_to_host(t->src_port), f->scope),
        .destination = address_to_public(&t->dst, t->family, be16_to_host(t->dst_port), f->scope),
        .protocol = udp ? REDIRECTOR_UDP : REDIRECTOR_TCP,
        .peer = address_to_public(&f->peer, t->family, f->peer_port, f->scope),
        .bytes_up = f->bytes[LEG_FORWARD],
        .bytes_down = f->bytes[LEG_REPLY],
        .packets_up = f->packets[LEG_FORWARD],
        .packets_down = f->packets[LEG_REPLY],
        .opened_ms = l->now_unix_ms - age_ms,
        .age_ms = age_ms,
    };
}

/* All flows of a protocol. false: the redirector does not run. */
static bool list(redirector *r, bool udp, struct portion *p, struct listing *l)
{
    p->udp = udp;
    p->next = 0;
    do {
        p->from = p->next;
        if (!request_make(r, copy_portion, p)) {
            return false;
        }
        for (uint32_t i = 0; i < p->count; i++, l->found++) {
            if (l->found < l->capacity) {
                l->out[l->found] = flow_to_public(&p->flows[i], udp, l);
            }
        }
    } while (p->next != FLOW_NONE);
    return true;
}

redirector_status service_list_flows(redirector *r, redirector_flow *out, uint32_t capacity, uint32_t *total)
{
    struct listing listing = {host_now_ms(), unix_now_ms(), out, capacity, 0};
    struct portion *p = malloc(sizeof *p);
    *total = 0;
    if (!p) {
        return REDIRECTOR_NO_MEMORY;
    }
    bool running = list(r, false, p, &listing);
    if (running && engine_udp_destinations(r->engine)) {
        running = list(r, true, p, &listing);
    }
    free(p);
    *total = running ? listing.found : 0;
    return running ? REDIRECTOR_OK : REDIRECTOR_NOT_RUNNING;
}
