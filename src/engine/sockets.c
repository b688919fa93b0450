/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: events tell of listeners as they open and close, but events can be lost, and they do not say
 * whether a wildcard IPv6 socket is dual-stack. So the TCP table is scanned now and then, and when there is a doubt.
 * All other sockets are scanned only while there are flows, to find those whose ends are both gone.
 */
#include "sockets.h"

#include "policy.h"
#include "translate.h"

/* How long what is known of a listener is believed where that decides whether a connection passes unredirected. */
enum { FRESH_MS = 1000 };

void sockets_judge_listeners(struct engine *e, uint32_t pid)
{
    for (uint32_t i = 0; i < e->listeners.count; i++) {
        struct listener *l = &e->listeners.all[i];
        if (l->pid && (!pid || l->pid == pid)) {
            l->in_tree = policy_redirects(e, l->pid);
        }
    }
    e->listeners_judged = true;
}

static bool may_be_dual_stack(const struct tuple *local)
{
    return local->family == FAMILY_IP6 && ip_addr_is_any(&local->src, local->family);
}

void sockets_listener_opened(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    listeners_add(&e->listeners, &event->tuple, event->pid, policy_redirects(e, event->pid), false, now_ms);
    e->listeners_judged = true;
    e->listeners_doubtful = e->listeners_doubtful || may_be_dual_stack(&event->tuple);
}

void sockets_listener_closed(struct engine *e, const struct socket_event *event)
{
    if (listeners_remove(&e->listeners, &event->tuple, event->pid) && may_be_dual_stack(&event->tuple)) {
        /* Then its IPv4 half goes without an event; if that was a socket of its own, the next scan finds it again. */
        struct tuple twin = {.src_port = event->tuple.src_port, .family = FAMILY_IP4};
        twin.src = ip_addr_from_ip4((const uint8_t[4]){0});
        listeners_remove(&e->listeners, &twin, event->pid);
        e->listeners_doubtful = true;
    }
}

void sockets_listener_row(struct engine *e, const struct tuple *local, uint32_t pid)
{
    listeners_add(&e->listeners, local, pid, pid && policy_redirects(e, pid), true, e->listeners_scanned_ms);
    e->listeners_judged = true;
}

void sockets_scan_listeners(struct engine *e, uint64_t now_ms)
{
    e->listeners_scanned_ms = now_ms;
    if (e->host.list_listeners) {
        listeners_snapshot_begin(&e->listeners);
        bool whole = e->host.list_listeners(e->host.context);
        listeners_snapshot_end(&e->listeners, whole);
        e->listeners_doubtful = e->listeners_doubtful && !whole;
    }
}

const struct listener *sockets_listener_of(struct engine *e, const struct tuple *connection, uint64_t now_ms)
{
    if (e->listeners_doubtful && e->host.list_listeners) {
        sockets_scan_listeners(e, now_ms);
    }
    return listeners_find(&e->listeners, connection);
}

/*
 * A listener that has closed may not be known to have (its CLOSE was lost, or not asked for), and one that has opened
 * may not be known either, if its LISTEN was lost.
 */
bool sockets_is_own_listener(struct engine *e, const struct tuple *connection, uint32_t pid, uint64_t now_ms)
{
    const struct listener *l = sockets_listener_of(e, connection, now_ms);
    bool doubtful = !l || (l->pid == pid && now_ms - l->seen_ms >= FRESH_MS);
    if (doubtful && e->host.list_listeners && now_ms - e->listeners_scanned_ms >= FRESH_MS) {
        sockets_scan_listeners(e, now_ms);
        l = listeners_find(&e->listeners, connection);
    }
    bool sure = l && (!e->host.list_listeners || now_ms - l->seen_ms < FRESH_MS);
    return sure && l->pid == pid && !listeners_is_shared(&e->listeners, l);
}

void sockets_row(struct engine *e, const struct tuple *row)
{
    flow_scan_row(&e->flows, row);
}

/* Ends the flows whose sockets are gone without a packet that said so: a program was killed, or the packet was lost. */
static void scan_sockets(struct engine *e, uint64_t now_ms)
{
    e->sockets_scanned_ms = now_ms;
    if (!e->host.list_sockets || !e->flows.live) {
        return;
    }
    if (!e->host.list_sockets(e->host.context)) {
        return; /* half a table proves nothing; what was seen stays seen */
    }
    flow_scan_end(&e->flows);
    for (uint32_t id = flow_lost(&e->flows, 0); id != FLOW_NONE; id = flow_lost(&e->flows, id + 1)) {
        translate_end_flow(e, id);
    }
}

void sockets_tick(struct engine *e, uint64_t now_ms)
{
    if (now_ms - e->listeners_scanned_ms >= e->config.scan_interval_ms) {
        sockets_scan_listeners(e, now_ms); /* events can be lost */
    }
    if (now_ms - e->sockets_scanned_ms >= e->config.scan_interval_ms) {
        scan_sockets(e, now_ms);
    }
}
