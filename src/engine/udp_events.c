/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "udp_events.h"

#include "udp.h"

void udp_events_take(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    if (!e->udp || e->stopping) {
        return;
    }
    const struct tuple scoped = own_addresses_scoped(e->own, &event->tuple);
    COUNT(e, events_seen);
    switch (event->kind) {
    case SOCKET_BIND:
        udp_sockets_bound(e, event, now_ms);
        break;
    case SOCKET_CONNECT:
        udp_flows_socket_sends(e, event, &scoped, now_ms);
        udp_sockets_sends(e, event, &scoped, now_ms);
        break;
    case SOCKET_ACCEPT: {
        enum leg leg;
        if (flow_find(&e->udp->flows, &scoped, &leg) == FLOW_NONE) { /* else the program has sent first */
            udp_sockets_sends(e, event, &scoped, now_ms);
        }
        break;
    }
    case SOCKET_CLOSE:
        udp_flows_socket_closed(e, event, now_ms);
        udp_sockets_closed(e, event, now_ms);
        break;
    case SOCKET_LISTEN:
        break;
    }
    udp_release(e, false, now_ms);
}

void udp_events_judge(struct engine *e, uint32_t pid)
{
    if (e->udp) {
        udp_sockets_judge_anew(e, pid);
    }
}

void udp_events_read_table(struct engine *e, uint64_t now_ms)
{
    struct udp *u = e->udp;
    if (!u || !u->reading.wanted || u->reading.under_way || !e->host.read_udp_table) {
        return;
    }
    u->reading.number++;
    u->reading.begun_ms = now_ms;
    u->reading.under_way = true;
    u->reading.wanted = false;
    e->host.read_udp_table(e->host.context);
}

void udp_events_tick(struct engine *e, uint64_t now_ms)
{
    struct udp *u = e->udp;
    if (!u) {
        return;
    }
    udp_release(e, false, now_ms);
    udp_ask(e, now_ms);
    udp_flows_expire(e, now_ms);
    if (now_ms - u->reading.begun_ms >= e->config.scan_interval_ms) {
        u->reading.wanted = true; /* events can be lost */
    }
}

void udp_events_stop(struct engine *e, uint64_t now_ms)
{
    if (e->udp) {
        udp_release(e, true, now_ms);
        udp_flows_stop(e);
    }
}

void udp_events_renew_filter(struct engine *e)
{
    if (e->udp) {
        capture_plan_again(&e->udp->capture, true);
    }
}
