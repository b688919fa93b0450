/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The watch. A few times a second the library is asked for its connections; what is new begins in the report, what has
 * gone ends there. The library keeps a connection in the list for a while after its end, so a short one is seen, too.
 */
#include "watch.h"

#include "address.h"
#include "flow_snapshot.h"
#include "text.h"
#include "worker.h"

#include <stdlib.h>
#include <windows.h>

enum { WATCH_MS = 200, PORTS = 65536 };

struct watched {
    redirector_flow flow;       /* as it was last seen */
    struct report_entry *entry; /* NULL: its end has been reported, or there was no memory for it */
    uint64_t look;              /* the look that saw it */
};

struct watch {
    redirector *redirector;
    struct report *report;
    struct watch_wanted wanted;
    struct worker worker;
    uint64_t looks;
    /* TCP, UDP; by the peer's port: the library sees to it that one port is one connection */
    struct watched *known[2][PORTS];
};

static void end(struct watch *w, struct watched **place, enum report_outcome outcome)
{
    if ((*place)->entry) {
        report_end(w->report, (*place)->entry, outcome, 0);
    }
    free(*place);
    *place = NULL;
}

static bool same(const redirector_flow *now, const redirector_flow *before)
{
    return now->kind == before->kind && now->age_ms >= before->age_ms && address_equal(&now->client, &before->client) &&
           address_equal(&now->destination, &before->destination);
}

static struct watched *begin(struct watch *w, const redirector_flow *flow)
{
    struct watched *one = calloc(1, sizeof *one);
    if (!one) {
        return NULL;
    }
    struct report_connection about = {.protocol = flow->protocol,
                                      .pid = flow->pid,
                                      .incoming = flow->kind == REDIRECTOR_FLOW_INCOMING,
                                      .destination = flow->destination};
    if (about.incoming) {
        about.peer = flow->client;
    }
    text_process_name(about.process, sizeof about.process / sizeof about.process[0], about.pid);
    one->entry = report_begin(w->report, &about);
    return one;
}

static void update(struct watch *w, const redirector_flow *flow)
{
    struct watched **place = &w->known[flow->protocol == REDIRECTOR_UDP][flow->peer.port % PORTS];
    if (*place && !same(flow, &(*place)->flow)) {
        end(w, place, REPORT_CLOSED);
    }
    if (!*place) {
        *place = begin(w, flow);
    }
    struct watched *one = *place;
    if (!one) {
        return;
    }
    if (one->entry) {
        report_bytes(one->entry, flow->bytes_up - one->flow.bytes_up, flow->bytes_down - one->flow.bytes_down);
    }
    one->flow = *flow;
    one->look = w->looks;
    if (one->entry && flow->state == REDIRECTOR_FLOW_CLOSING) {
        report_end(w->report, one->entry, REPORT_CLOSED, 0);
        one->entry = NULL;
    }
}

static bool is_wanted(const struct watch *w, const redirector_flow *flow)
{
    if (flow->protocol == REDIRECTOR_UDP) {
        return w->wanted.udp;
    }
    return flow->kind == REDIRECTOR_FLOW_INCOMING ? w->wanted.incoming : w->wanted.outgoing;
}

static void look(struct watch *w)
{
    uint32_t count;
    bool whole;
    redirector_flow *flows = flow_snapshot(w->redirector, &count, &whole);
    if (!flows) {
        return;
    }
    w->looks++;
    for (uint32_t i = 0; i < count; i++) {
        if (is_wanted(w, &flows[i])) {
            update(w, &flows[i]);
        }
    }
    for (uint32_t i = 0; i < 2 * PORTS && whole; i++) {
        struct watched **place = &w->known[i / PORTS][i % PORTS];
        if (*place && (*place)->look != w->looks) {
            end(w, place, REPORT_CLOSED);
        }
    }
    free(flows);
}

static void watching(void *context)
{
    struct watch *w = context;
    do {
        look(w);
    } while (worker_pause(&w->worker, WATCH_MS));
    look(w);
    for (uint32_t i = 0; i < 2 * PORTS; i++) {
        struct watched **place = &w->known[i / PORTS][i % PORTS];
        if (*place) {
            end(w, place, REPORT_STOPPED);
        }
    }
}

struct watch *watch_start(redirector *r, struct report *report, const struct watch_wanted *wanted)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    w->redirector = r;
    w->report = report;
    w->wanted = *wanted;
    if (!worker_start(&w->worker, watching, w)) {
        watch_stop(w);
        return NULL;
    }
    return w;
}

void watch_stop(struct watch *w)
{
    if (!w) {
        return;
    }
    worker_end(&w->worker);
    free(w);
}
