/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the event of the first datagram to an address names the very pair (udp_peers.h), and counts most.
 * Without it the socket counts that is bound to the source address and port: the exact address before the wildcard of
 * its family, that before a dual-stack one; where several processes have bound the same, nobody can say (U2). Both are
 * judged by the policy once, not at each packet.
 *
 * All events of a wake-up come before its packets, so a socket that sends once and closes has closed before its datagram
 * is seen. That is why a pair is not forgotten with its socket: what was sent until then is still of it.
 */
#include "udp_sockets.h"

#include "policy.h"
#include "sockets.h"

/* Of a socket, UDP_REDIRECTED: what it sends may be redirected or blocked, as rules say of where it goes. */
enum udp_judged { UDP_UNJUDGED, UDP_SPARED, UDP_REDIRECTED, UDP_BLOCKED };

enum { FRESH_MS = 1000, UNKNOWN_MS = 1000, LATE_MS = 1000 };

static bool lists(const struct engine *e)
{
    return e->host.read_udp_table != NULL;
}

static struct tuple proxy_at(const struct engine *e, uint32_t family)
{
    return (struct tuple){
        .dst = ip_addr_loopback(family), .dst_port = be16_from_host(e->config.udp_port), .family = family};
}

static bool receives_as_proxy(const struct engine *e, uint32_t pid)
{
    bool own = false, agents = false;
    for (uint32_t family = FAMILY_IP4; family <= FAMILY_IP6; family += FAMILY_IP6 - FAMILY_IP4) {
        struct tuple at = proxy_at(e, family);
        own = own || listeners_serve(&e->udp->sockets, &at, pid);
        agents = agents || listeners_serve(&e->udp->sockets, &at, e->config.agent_pid);
    }
    return own && !agents;
}

bool udp_sockets_is_agent(struct engine *e, uint32_t pid)
{
    return sockets_is_agent(e, pid) || (policy_may_redirect(e, pid) && receives_as_proxy(e, pid));
}

/* Whether it serves as a proxy, or as an upstream. That is said. */
static bool is_proxy(struct engine *e, uint32_t pid)
{
    bool proxy = receives_as_proxy(e, pid);
    if (proxy && e->host.proxy_spared && pid != e->spared_pid) {
        const struct tuple at = proxy_at(e, FAMILY_IP4);
        e->spared_pid = pid;
        e->host.proxy_spared(e->host.context, PROTOCOL_UDP, pid, &at);
    }
    return proxy || sockets_is_proxy(e, pid);
}

static enum udp_judged judge(struct engine *e, uint32_t pid)
{
    bool concerned = policy_may_concern(e, pid, PROTOCOL_UDP, RULE_OUTGOING);
    return concerned && !is_proxy(e, pid) ? UDP_REDIRECTED : UDP_SPARED;
}

static bool socket_is_redirected(struct engine *e, const struct listener *s)
{
    uint8_t *judged = &e->udp->sockets.all[s - e->udp->sockets.all].judged;
    if (s->pid && *judged == UDP_UNJUDGED) {
        *judged = (uint8_t)judge(e, s->pid);
    }
    return s->pid && *judged == UDP_REDIRECTED;
}

/* What is known of a socket of that process at this address is good enough; else the policy is asked. */
static uint8_t judgement_of(struct engine *e, const struct tuple *local, uint32_t pid)
{
    const struct tuple to_it = tuple_reversed(local);
    const struct listener *s = listeners_find(&e->udp->sockets, &to_it);
    if (s && s->pid == pid) {
        socket_is_redirected(e, s);
        return s->judged;
    }
    return (uint8_t)judge(e, pid);
}

/* Of what a socket sends to one address. */
static void judge_pair(struct engine *e, const struct tuple *t, struct udp_peer *p)
{
    p->judged = judgement_of(e, t, p->pid);
    if (p->judged == UDP_REDIRECTED && policy_minds_places(e)) {
        struct rule_verdict verdict = policy_judge(e, p->pid, t, PROTOCOL_UDP, RULE_OUTGOING);
        p->judged = verdict.action == RULE_REDIRECT ? UDP_REDIRECTED
                    : verdict.action == RULE_BLOCK  ? UDP_BLOCKED
                                                    : UDP_SPARED;
        p->upstream = verdict.upstream;
    }
}

/* Of sockets that several processes have bound to the same: whether none of them is redirected. */
static bool all_spared(struct engine *e, const struct listener *like)
{
    const struct listeners *l = &e->udp->sockets;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct listener *s = &l->all[i];
        bool same = s->port == like->port && s->family == like->family && ip_addr_equal(&s->address, &like->address);
        if (same && (!s->pid || socket_is_redirected(e, s))) {
            return false;
        }
    }
    return true;
}

/* By whoever has bound what it is sent from. */
static struct udp_owner by_socket(struct engine *e, const struct tuple *t)
{
    const struct tuple to_it = tuple_reversed(t);
    const struct listener *s = listeners_find(&e->udp->sockets, &to_it);
    if (!s || !s->pid) {
        return (struct udp_owner){.known = false};
    }
    if (listeners_is_shared(&e->udp->sockets, s)) {
        return (struct udp_owner){.known = all_spared(e, s)};
    }
    return (struct udp_owner){
        .known = true, .redirected = socket_is_redirected(e, s), .pid = s->pid, .endpoint = s->endpoint};
}

static struct udp_owner by_pair(struct engine *e, const struct tuple *t, struct udp_peer *p)
{
    if (p->judged == UDP_UNJUDGED) {
        judge_pair(e, t, p);
    }
    return (struct udp_owner){.known = true,
                              .redirected = p->judged == UDP_REDIRECTED,
                              .blocked = p->judged == UDP_BLOCKED,
                              .answers = p->kind == UDP_PEER_ANSWERS,
                              .closed = p->closed_at != 0,
                              .pid = p->pid,
                              .upstream = p->upstream,
                              .endpoint = p->endpoint};
}

/* An event may come before the address is chosen that a socket sends from: then it tells of any. */
static struct udp_peer *find_pair(struct engine *e, const struct tuple *t)
{
    struct udp_peer *p = udp_peers_find(&e->udp->peers, t);
    struct tuple from_any = *t;
    if (!p) {
        from_any.src = ip_addr_any(t->family);
        from_any.scope = 0;
        p = udp_peers_find(&e->udp->peers, &from_any);
    }
    return p;
}

/*
 * Whether what was sent at that time is of this pair. The driver sees a datagram when it is on its way, which may be after
 * its socket has closed: it is that socket's all the same, unless another one has its port by now.
 */
static bool is_of_pair(const struct engine *e, const struct tuple *t, const struct udp_peer *p, int64_t timestamp,
                       uint64_t now_ms)
{
    const struct tuple to_it = tuple_reversed(t);
    if (!p || p->kind == UDP_PEER_UNKNOWN) {
        return false;
    }
    return !p->closed_at || timestamp <= p->closed_at ||
           (now_ms - p->closed_ms < LATE_MS && !listeners_find(&e->udp->sockets, &to_it));
}

struct udp_owner udp_sockets_owner(struct engine *e, const struct tuple *t, int64_t timestamp, uint64_t now_ms)
{
    struct udp_peer *p = find_pair(e, t);
    if (is_of_pair(e, t, p, timestamp, now_ms)) {
        return by_pair(e, t, p);
    }
    struct udp_owner owner = by_socket(e, t);
    if (owner.redirected && policy_minds_places(e)) { /* where it goes counts, too: that is kept as if it was told */
        p = udp_peers_put(&e->udp->peers, t);
        p->pid = owner.pid;
        p->endpoint = owner.endpoint;
        p->told_ms = now_ms;
        return by_pair(e, t, p);
    }
    if (!owner.known && p && p->kind == UDP_PEER_UNKNOWN && now_ms - p->told_ms < UNKNOWN_MS) {
        owner.known = true;
    }
    return owner;
}

void udp_sockets_unknown(struct engine *e, const struct tuple *t, uint64_t now_ms)
{
    struct udp_peer *p = udp_peers_put(&e->udp->peers, t);
    p->kind = UDP_PEER_UNKNOWN;
    p->told_ms = now_ms;
}

const struct listener *udp_sockets_at(const struct engine *e, const struct tuple *t)
{
    return listeners_find(&e->udp->sockets, t);
}

bool udp_sockets_proxy_receives(struct engine *e, uint32_t family, uint64_t now_ms, bool *doubtful)
{
    const struct tuple at = proxy_at(e, family);
    *doubtful = false;
    if (!lists(e) || listeners_find(&e->udp->sockets, &at)) {
        return true;
    }
    *doubtful = !e->udp->reading.answered_ms || now_ms - e->udp->reading.answered_ms >= FRESH_MS;
    return false;
}

/* What it sends may be redirected, and its port may have been left out of the filter. */
static void want_captured(struct engine *e, const struct listener *s)
{
    struct capture_plan *c = &e->udp->capture;
    if (c->in_place && !capture_plan_has(c, true, s->port) && socket_is_redirected(e, s)) {
        COUNT(e, udp_uncaptured);
        capture_plan_again(c, false);
    }
}

void udp_sockets_bound(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    struct udp *u = e->udp;
    uint16_t port = be16_to_host(event->tuple.src_port);
    if (!port || listeners_outlive(&u->sockets, event)) {
        return;
    }
    struct listener_source source = {.reading = u->reading.number, .at_ms = now_ms};
    struct listener *s = listeners_add(&u->sockets, &event->tuple, event->pid, false, source);
    if (!s) {
        COUNT(e, listener_overflows);
        return;
    }
    s->since = event->timestamp;
    s->endpoint = event->endpoint;
    if (listeners_is_shared(&u->sockets, s)) {
        u->reading.wanted = true; /* the other one may have closed without an event */
    }
    capture_plan_syn(&u->capture, port);
    want_captured(e, s);
}

void udp_sockets_sends(struct engine *e, const struct socket_event *event, const struct tuple *scoped, uint64_t now_ms)
{
    struct udp *u = e->udp;
    bool accepted = event->kind == SOCKET_ACCEPT;
    if (accepted) {
        const struct udp_peer *known = udp_peers_find(&u->peers, scoped);
        bool sent_first = known && known->kind == UDP_PEER_SENDS && !known->closed_at && known->pid == event->pid;
        if (sent_first || judgement_of(e, scoped, event->pid) != UDP_REDIRECTED) {
            return; /* a stranger's are too many, and nobody asks */
        }
    }
    struct udp_peer *p = udp_peers_put(&u->peers, scoped);
    p->kind = accepted ? UDP_PEER_ANSWERS : UDP_PEER_SENDS;
    p->pid = event->pid;
    p->endpoint = event->endpoint;
    p->told_ms = now_ms;
    judge_pair(e, scoped, p); /* now: the process may be gone when its datagram is seen */
}

void udp_sockets_closed(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    struct udp *u = e->udp;
    uint16_t port = be16_to_host(event->tuple.src_port);
    udp_peers_close(&u->peers, port, event->endpoint, event->pid, event->timestamp, now_ms);
    if (!listeners_outlive(&u->sockets, event) && listeners_remove(&u->sockets, &event->tuple, event->pid)) {
        listeners_remove_twin(&u->sockets, &event->tuple, event->pid);
    }
}

void udp_sockets_judge_anew(struct engine *e, uint32_t pid)
{
    struct udp *u = e->udp;
    udp_peers_judge_anew(&u->peers, pid);
    for (uint32_t i = 0; i < u->sockets.count; i++) {
        struct listener *s = &u->sockets.all[i];
        if (pid && s->pid != pid) {
            continue;
        }
        s->judged = UDP_UNJUDGED;
        want_captured(e, s);
    }
}

void udp_sockets_add_ports(struct engine *e, struct port_set *out)
{
    for (uint32_t i = 0; i < e->udp->sockets.count; i++) {
        if (socket_is_redirected(e, &e->udp->sockets.all[i])) {
            port_set_add(out, e->udp->sockets.all[i].port);
        }
    }
}

void udp_sockets_row(struct engine *e, const struct tuple *local, uint32_t pid)
{
    struct udp *u = e->udp;
    struct listener_source source = {.snapshot = true, .reading = u->reading.number, .at_ms = u->reading.begun_ms};
    if (!listeners_add(&u->sockets, local, pid, false, source)) {
        COUNT(e, listener_overflows);
    }
    capture_plan_alive(&u->capture, be16_to_host(local->src_port));
}

/* The events that would have told that these sockets are gone were lost. */
static void close_lost_peers(struct udp *u)
{
    for (uint32_t i = 0; i < UDP_PEERS_MAX; i++) {
        struct udp_peer *p = &u->peers.all[i];
        bool open = p->kind != UDP_PEER_NONE && p->kind != UDP_PEER_UNKNOWN && !p->closed_at;
        if (open && p->told_ms < u->reading.begun_ms && !listeners_own(&u->sockets, &u->peers.map.keys[i], p->pid)) {
            p->closed_at = INT64_MIN;
        }
    }
}

void udp_sockets_table_read(struct engine *e, bool whole)
{
    struct udp *u = e->udp;
    u->reading.under_way = false;
    u->reading.answered_ms = u->reading.begun_ms;
    if (whole) {
        listeners_snapshot_end(&u->sockets, u->reading.number);
        capture_plan_forget_dead(&u->capture);
        close_lost_peers(u);
    }
}
