/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: events tell of listeners as they open and close, but events can be lost, and they do not say
 * whether a wildcard IPv6 socket is dual-stack. So the TCP table is read now and then, and when there is a doubt. A
 * CLOSE is a hint: it says nothing of a socket that began to listen after it, and leaves a doubt in any case. A SYN that
 * depends on who listens waits until a doubt is resolved, by a reading that began after the doubt arose; and another
 * one begins DOUBT_MS later, because the table may have been late, too, and because nobody asks for a port whose packets
 * are not captured.
 * All other sockets are scanned only while there are flows, to find those whose ends are both gone, or strangers
 * (capture_plan.h), who may have left their ports to the tree.
 */
#include "sockets.h"

#include "policy.h"
#include "tcp_table.h"
#include "translate.h"

/* How long what is known of a listener is believed where that decides whether a connection passes unredirected. */
enum { FRESH_MS = 1000 };

enum { DOUBT_MS = 250 };

enum { COUNT_MS = 1000, NO_LISTENER_MS = 30000 };
#define NO_LISTENER_SAID UINT64_MAX

/* Whether a listener counts as the tree's: by its owner, or because its port was named. http.sys listens for others. */
static bool counts(struct engine *e, uint32_t pid, uint16_t port)
{
    for (uint32_t i = 0; i < e->config.listen_port_count; i++) {
        if (e->config.listen_ports[i] == port && pid != e->config.agent_pid) {
            return true;
        }
    }
    return pid && policy_may_concern(e, pid, PROTOCOL_TCP, RULE_INCOMING);
}

void sockets_judge_listeners(struct engine *e, uint32_t pid)
{
    for (uint32_t i = 0; i < e->listeners.count; i++) {
        struct listener *l = &e->listeners.all[i];
        if (l->pid && (!pid || l->pid == pid)) {
            l->in_tree = counts(e, l->pid, l->port);
        }
    }
    e->listeners_judged = true;
}

static void doubt(struct engine *e)
{
    e->listeners_doubtful = true;
    e->doubted_in = e->readings.number;
}

bool sockets_in_doubt(const struct engine *e)
{
    return e->listeners_doubtful && tcp_table_lists(e);
}

void sockets_doubt_listeners(struct engine *e, uint64_t now_ms)
{
    doubt(e);
    e->listeners_doubted_ms = e->listeners_doubted_ms ? e->listeners_doubted_ms : now_ms;
}

/* Whether one that happened later has come before. */
static bool is_late(struct engine *e, const struct socket_event *event)
{
    bool newer = event->timestamp >= e->newest_listener_event;
    e->newest_listener_event = newer ? event->timestamp : e->newest_listener_event;
    return event->timestamp && !newer;
}

void sockets_listener_opened(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    if (is_late(e, event)) {
        sockets_doubt_listeners(e, now_ms); /* its CLOSE may have come already */
    }
    if (listeners_outlive(&e->listeners, event)) {
        return; /* if both live (SO_REUSEADDR), the TCP table says so */
    }
    if (listeners_remove_others(&e->listeners, &event->tuple, event->pid)) {
        sockets_doubt_listeners(e, now_ms); /* closed without an event, or both live */
    }
    struct listener_source source = {.reading = e->readings.number, .at_ms = now_ms};
    struct listener *l = listeners_add(&e->listeners, &event->tuple, event->pid,
                                       counts(e, event->pid, be16_to_host(event->tuple.src_port)), source);
    if (l) {
        l->since = event->timestamp;
        l->endpoint = event->endpoint;
    } else {
        COUNT(e, listener_overflows);
    }
    e->listeners_judged = true;
    if (listeners_may_be_dual_stack(&event->tuple)) {
        doubt(e);
    }
}

void sockets_listener_closed(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    is_late(e, event);
    if (e->readings.under_way) {
        sockets_doubt_listeners(e, now_ms); /* it may have the socket, and be handed in later */
    }
    if (listeners_outlive(&e->listeners, event) || !listeners_remove(&e->listeners, &event->tuple, event->pid)) {
        return;
    }
    sockets_doubt_listeners(e, now_ms); /* a second socket of the process at the same address may live */
    /* If that was a socket of its own, the next scan finds it again. */
    listeners_remove_twin(&e->listeners, &event->tuple, event->pid);
}

void sockets_listener_row(struct engine *e, const struct tuple *local, uint32_t pid)
{
    if (proofs_have_listener(&e->proofs, local)) {
        return;
    }
    struct listener_source source = {.snapshot = true, .reading = e->readings.number, .at_ms = e->readings.begun_ms};
    if (!listeners_add(&e->listeners, local, pid, counts(e, pid, be16_to_host(local->src_port)), source)) {
        COUNT(e, listener_overflows);
    }
    e->listeners_judged = true;
}

/*
 * The listener that a connection reaches, if it is sure that it is there and alone. A listener that has closed may not
 * be known to have (its CLOSE was lost, or not asked for), and one that has opened may not be known either, if its
 * LISTEN was lost. What seems to be of another process than `only_of` needs not be fresh; 0: of any.
 */
static const struct listener *sure_listener(const struct engine *e, const struct tuple *connection, uint32_t only_of,
                                            uint64_t now_ms, bool *unsure)
{
    const struct listener *l = listeners_find(&e->listeners, connection);
    bool fresh = l && (!tcp_table_lists(e) || now_ms - l->seen_ms < FRESH_MS);
    bool doubtful = !l || ((!only_of || l->pid == only_of) && !fresh);
    *unsure = doubtful && tcp_table_lists(e) && now_ms - e->readings.answered_ms >= FRESH_MS;
    return fresh && !listeners_is_shared(&e->listeners, l) ? l : NULL;
}

enum own sockets_own_listener(const struct engine *e, const struct tuple *connection, uint32_t pid, uint64_t now_ms)
{
    bool unsure;
    const struct listener *l = sure_listener(e, connection, pid, now_ms, &unsure);
    return unsure ? OWN_UNSURE : l && l->pid == pid ? OWN_YES : OWN_NO;
}

/* Where the process serves as a proxy, among the first `count` places; NULL: nowhere. */
static const struct tuple *proxy_of(const struct engine *e, uint32_t pid, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        /* While the agent listens on its port, in any family, a program that happens to do so, too, is no proxy. */
        bool agents = i < e->agent_proxies && (listeners_serve(&e->listeners, &e->proxies[i], e->config.agent_pid) ||
                                               listeners_serve(&e->listeners, &e->proxies[i ^ 1], e->config.agent_pid));
        if (!agents && listeners_serve(&e->listeners, &e->proxies[i], pid)) {
            return &e->proxies[i];
        }
    }
    return NULL;
}

bool sockets_is_proxy(const struct engine *e, uint32_t pid)
{
    return e->config.proxy_port && proxy_of(e, pid, e->proxy_count);
}

bool sockets_is_agent(struct engine *e, uint32_t pid)
{
    return pid == e->config.agent_pid || (policy_may_redirect(e, pid) && proxy_of(e, pid, e->agent_proxies));
}

struct rule_verdict sockets_judge(struct engine *e, uint32_t pid, const struct tuple *t, uint8_t protocol, bool *unsure)
{
    struct rule_verdict verdict = policy_judge(e, pid, t, protocol, RULE_OUTGOING);
    bool redirected = verdict.action == RULE_REDIRECT;
    const struct tuple *proxy = redirected && e->config.proxy_port ? proxy_of(e, pid, e->proxy_count) : NULL;
    *unsure = redirected && e->config.proxy_port && sockets_in_doubt(e);
    if (!proxy) {
        return verdict;
    }
    COUNT(e, proxy_connections);
    if (e->host.proxy_spared && pid != e->spared_pid) {
        e->spared_pid = pid;
        e->host.proxy_spared(e->host.context, PROTOCOL_TCP, pid, proxy);
    }
    verdict.action = RULE_PASS;
    return verdict;
}

struct rule_verdict sockets_judge_to(struct engine *e, const struct tuple *connection, uint32_t pid,
                                     struct rule_verdict otherwise, uint64_t now_ms, bool *unsure)
{
    *unsure = false;
    if (!policy_minds_listeners(e)) {
        return otherwise;
    }
    const struct listener *l = sure_listener(e, connection, 0, now_ms, unsure);
    struct rule_verdict verdict =
        l && l->pid ? policy_judge_to(e, pid, connection, PROTOCOL_TCP, l->pid, otherwise) : otherwise;
    if (verdict.action == RULE_REDIRECT && otherwise.action != RULE_REDIRECT && proxy_of(e, pid, e->proxy_count)) {
        verdict.action = RULE_PASS; /* O9 counts more than a rule */
    }
    return verdict;
}

void sockets_row(struct engine *e, const struct tuple *row)
{
    flow_scan_row(&e->flows, row);
    capture_plan_alive(&e->capture, be16_to_host(row->src_port));
}

/* Ends the flows whose sockets are gone without a packet that said so: a program was killed, or the packet was lost. */
static void end_lost_flows(struct engine *e)
{
    flow_scan_end(&e->flows, e->readings.begun_ms);
    for (uint32_t id = flow_lost(&e->flows, 0); id != FLOW_NONE; id = flow_lost(&e->flows, id + 1)) {
        translate_end_flow(e, id);
    }
}

/* A program whose listeners are another's looks like one without any: that is said, once. */
static void count_listeners(struct engine *e, uint64_t now_ms)
{
    uint64_t count = 0;
    e->listeners_counted_ms = now_ms;
    for (uint32_t i = 0; i < e->listeners.count; i++) {
        count += e->listeners.all[i].in_tree;
    }
    COUNT_SET(e, tree_listeners, count);
    if (count) {
        e->listeners_none_ms = NO_LISTENER_SAID;
    } else if (!e->listeners_none_ms) {
        e->listeners_none_ms = now_ms;
    } else if (e->listeners_none_ms != NO_LISTENER_SAID && now_ms - e->listeners_none_ms >= NO_LISTENER_MS) {
        e->listeners_none_ms = NO_LISTENER_SAID;
        if (e->host.no_listener) {
            e->host.no_listener(e->host.context);
        }
    }
}

void sockets_table_read(struct engine *e, bool whole)
{
    if (!whole) {
        return; /* half a table proves nothing; what was seen stays seen */
    }
    listeners_snapshot_end(&e->listeners, e->readings.number);
    e->listeners_doubtful = e->listeners_doubtful && e->doubted_in >= e->readings.number;
    if (e->readings.sockets) {
        capture_plan_forget_dead(&e->capture);
        end_lost_flows(e);
    }
}

void sockets_tick(struct engine *e, uint64_t now_ms)
{
    if (e->config.incoming_port && now_ms - e->listeners_counted_ms >= COUNT_MS) {
        count_listeners(e, now_ms);
    }
    if (!tcp_table_lists(e)) {
        return;
    }
    bool settled = e->listeners_doubted_ms && now_ms - e->listeners_doubted_ms >= DOUBT_MS;
    if (settled || now_ms - e->readings.begun_ms >= e->config.scan_interval_ms) {
        e->listeners_doubted_ms = settled ? 0 : e->listeners_doubted_ms;
        tcp_table_want(e, false); /* events can be lost */
    }
    if (now_ms - e->sockets_scanned_ms >= e->config.scan_interval_ms) {
        e->sockets_scanned_ms = now_ms;
        if (e->flows.live || e->capture.stranger_count) {
            tcp_table_want(e, true);
        }
    }
}
