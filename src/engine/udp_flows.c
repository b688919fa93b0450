/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the flow table is the one that TCP has, with other time-outs and ends. A flow's port on the
 * proxy's side means one destination for as long as anybody may ask: when a flow has ended, its mapping and its port are
 * kept for FLOW_LINGER_UDP_MS more. A program that sends once and closes (syslog, statsd) is over before the proxy has
 * even received what it sent. What the proxy still sends to such a port is dropped: another socket may have the
 * program's port by now.
 */
#include "udp_flows.h"

#include "checksum.h"
#include "icmp.h"

enum { ROOM_IDLE_MS = 1000 };

uint32_t udp_flows_find(const struct engine *e, const struct arrival *a, enum leg *leg)
{
    const struct flow_table *t = &e->udp->flows;
    if (a->kind == DATAGRAM_ERROR) {
        struct tuple answer = datagram_tuple(&a->d, a->scope);
        answer = tuple_reversed(&answer);
        return flow_find(t, &answer, leg);
    }
    uint64_t hash = flow_hash(t, &a->d.at);
    return flow_may_be(t, hash) ? flow_find_packet(t, hash, &a->d.at, a->scope, leg) : FLOW_NONE;
}

/* ---- beginning and end */

static void forget_destination(struct engine *e, uint32_t id)
{
    destinations_withdraw(e->udp->destinations, be16_to_host(flow_steered(&e->udp->flows, id).src_port));
}

static void forget(struct engine *e, uint32_t id)
{
    forget_destination(e, id);
    flow_close(&e->udp->flows, id);
}

static void tell_end(struct engine *e, uint32_t id)
{
    const struct flow *f = flow_at(&e->udp->flows, id);
    const struct tuple *original = flow_original(&e->udp->flows, id);
    e->udp->flows_from[be16_to_host(original->src_port)]--;
    COUNT_BY(e, udp_flows_live, -1);
    if (e->host.flow_event) {
        e->host.flow_event(e->host.context, f, original, true);
    }
}

void udp_flows_end(struct engine *e, uint32_t id, int64_t closed_at, uint64_t now_ms)
{
    struct flow *f = flow_at(&e->udp->flows, id);
    if (!flow_is_told(f->kind)) {
        forget(e, id);
        return;
    }
    tell_end(e, id);
    flow_linger(&e->udp->flows, id, closed_at, now_ms);
}

void udp_flows_expire(struct engine *e, uint64_t now_ms)
{
    for (uint32_t id; (id = flow_expired(&e->udp->flows, now_ms)) != FLOW_NONE;) {
        if (flow_at(&e->udp->flows, id)->state == FLOW_CLOSING) {
            forget(e, id);
        } else {
            udp_flows_end(e, id, INT64_MIN, now_ms);
        }
    }
}

void udp_flows_stop(struct engine *e)
{
    struct flow_table *t = &e->udp->flows;
    for (uint32_t id = 0; id < t->never_used; id++) {
        struct flow *f = flow_at(t, id);
        if (f->state != FLOW_FREE) {
            if (flow_is_told(f->kind)) {
                tell_end(e, id);
            }
            forget(e, id);
        }
    }
}

/* Room, and a port that no flow has. 0: there is none. */
static uint16_t make_room(struct engine *e, uint16_t wanted, uint64_t now_ms)
{
    struct flow_table *t = &e->udp->flows;
    uint16_t port = 0;
    while (t->live >= t->capacity || (port = flow_pick_port(t, wanted)) == 0) {
        uint32_t id = flow_oldest_closing(t);
        if (id == FLOW_NONE) {
            id = flow_most_idle(t);
            if (id == FLOW_NONE || now_ms - flow_at(t, id)->last_ms < ROOM_IDLE_MS) {
                return 0;
            }
            udp_flows_end(e, id, INT64_MIN, now_ms);
            continue; /* a direct one is gone already */
        }
        forget(e, id);
    }
    return port;
}

static void announce(struct engine *e, uint32_t id, const struct tuple *steered, uint32_t upstream)
{
    const struct flow *f = flow_at(&e->udp->flows, id);
    const struct tuple *original = flow_original(&e->udp->flows, id);
    struct destination d = {
        .peer = steered->src,
        .address = original->dst,
        .family = original->family,
        .scope = f->scope,
        .port = be16_to_host(original->dst_port),
        .pid = f->pid,
        .upstream = upstream,
    };
    e->udp->flows_from[be16_to_host(original->src_port)]++;
    COUNT(e, udp_flows_live);
    COUNT(e, udp_flows_total);
    /* Before the datagram leaves: the proxy can never ask too early. */
    destinations_publish(e->udp->destinations, be16_to_host(steered->src_port), &d);
    if (e->host.flow_event) {
        e->host.flow_event(e->host.context, f, original, false);
    }
}

uint32_t udp_flows_open(struct engine *e, const struct arrival *a, const struct tuple *original,
                        const struct udp_owner *owner, enum flow_kind kind)
{
    struct flow_table *t = &e->udp->flows;
    uint16_t port = make_room(e, be16_to_host(original->src_port), a->now_ms);
    struct tuple steered = *original, reply;
    enum leg leg;
    if (kind != FLOW_DIRECT) {
        steered.dst_port = be16_from_host(e->config.udp_port);
        steered.src = steered.dst = ip_addr_loopback(original->family);
        steered.scope = 0;
    }
    steered.src_port = be16_from_host(port);
    reply = tuple_reversed(&steered);
    if (!port || flow_find(t, &reply, &leg) != FLOW_NONE) {
        COUNT(e, udp_table_full);
        return FLOW_NONE;
    }
    uint32_t id = flow_open(t, original, &steered, a->now_ms);
    struct flow *f = flow_at(t, id);
    f->kind = (uint8_t)kind;
    f->pid = owner->pid;
    f->endpoint = owner->endpoint;
    f->last_ms = a->now_ms;
    f->if_index = a->meta->if_index;
    f->sub_if_index = a->meta->sub_if_index;
    f->scope = own_addresses_scope_of(e->own, original);
    f->outbound[LEG_FORWARD] = true;
    f->outbound[LEG_REPLY] = a->meta->loopback; /* loopback packets exist only outbound */
    if (flow_is_told(f->kind)) {
        announce(e, id, &steered, owner->upstream);
    }
    return id;
}

/* ---- packets */

/* What the proxy sends to a flow that has ended. */
__attribute__((noinline)) static enum verdict answer_too_late(struct engine *e, uint32_t id)
{
    const struct tuple to = flow_steered(&e->udp->flows, id), back = tuple_reversed(&to);
    const struct listener *s = udp_sockets_at(e, &back);
    if (s && s->pid && s->pid != flow_at(&e->udp->flows, id)->pid && !ip_addr_is_any(&s->address, s->family)) {
        COUNT(e, udp_packets_passed); /* it is sent to somebody who has that very address */
        return VERDICT_PASS;
    }
    COUNT(e, udp_packets_dropped);
    return VERDICT_DROP;
}

/* The fragments that follow are to fare as this one, which is about to be rewritten. */
static void note_fragment(struct engine *e, uint32_t id, enum leg leg, const struct arrival *a, uint32_t fresh_id)
{
    const struct flow *f = flow_at(&e->udp->flows, id);
    const struct tuple key = datagram_fragment_key(&a->d, a->scope);
    struct fragment_entry entry = {
        .fate = FRAGMENT_REDIRECTED,
        .flow = id,
        .leg = leg,
        .opened_ms = f->opened_ms,
        .id = fresh_id,
        .answer = *flow_answer(&e->udp->flows, id, leg),
        .delta = f->delta[leg].ip,
        .meta = *a->meta,
    };
    flow_lead(f, leg, &entry.meta);
    fragments_put(&e->udp->fragments, &key, &entry, a->now_ms);
}

__attribute__((noinline)) static void identify_anew(struct engine *e, uint32_t id, enum leg leg, struct arrival *a)
{
    uint32_t fresh = fragments_new_id(&e->udp->fragments);
    if (!a->d.last) {
        note_fragment(e, id, leg, a, fresh);
    }
    rewrite_identification(a->d.ip, a->d.at.family, a->d.fragment, fresh);
}

enum verdict udp_flows_translate(struct engine *e, uint32_t id, enum leg leg, struct arrival *a)
{
    struct flow_table *t = &e->udp->flows;
    const struct flow *f = flow_at(t, id);
    const struct tuple *answer = flow_answer(t, id, leg);
    if (f->state == FLOW_CLOSING && leg == LEG_REPLY) {
        return answer_too_late(e, id);
    }
    flow_advance_datagram(t, id, leg, a->d.payload, a->now_ms);
    if (flow_is_only_watched(t, id)) {
        COUNT(e, udp_packets_passed);
        return VERDICT_PASS;
    }
    struct packet p = {.ip = a->d.ip, .udp = a->d.at.udp, .tuple = {.family = a->d.at.family}};
    if (a->d.fragment) {
        identify_anew(e, id, leg, a);
    }
    flow_lead(f, leg, a->meta);
    rewrite_datagram(&p, a->meta, answer, f->delta[leg], a->d.fragment != NULL);
    COUNT(e, udp_packets_rewritten);
    return VERDICT_REWRITE;
}

enum verdict udp_flows_follow(struct engine *e, const struct fragment_entry *first, struct arrival *a)
{
    const struct flow *f = flow_at(&e->udp->flows, first->flow);
    uint32_t family = a->d.at.family;
    if (f->state != FLOW_FREE && f->opened_ms == first->opened_ms) {
        flow_at(&e->udp->flows, first->flow)->bytes[first->leg] += a->d.payload;
    }
    if (!a->meta->ip_checksum_valid) {
        struct packet p = {.ip = a->d.ip, .tuple = {.family = family}};
        checksum_ip_header(&p); /* so that the differences below come out right */
        a->meta->ip_checksum_valid = true;
    }
    rewrite_identification(a->d.ip, family, a->d.fragment, first->id);
    rewrite_addresses(a->d.ip, family, &first->answer);
    if (family == FAMILY_IP4) {
        checksum_adjust(a->d.ip + 10, first->delta);
    }
    a->meta->outbound = first->meta.outbound;
    a->meta->if_index = first->meta.if_index;
    a->meta->sub_if_index = first->meta.sub_if_index;
    COUNT(e, udp_packets_rewritten);
    return VERDICT_REWRITE;
}

bool udp_flows_still(struct engine *e, uint32_t id, enum leg leg, const struct arrival *a)
{
    const struct flow *f = flow_at(&e->udp->flows, id);
    if (f->state != FLOW_CLOSING || leg == LEG_REPLY || a->meta->timestamp <= f->closed_at) {
        return true;
    }
    flow_unkey(&e->udp->flows, id);
    return false;
}

/* ---- events */

/* Whether a socket that has closed is the one that a flow is of. */
static bool is_of(const struct flow *f, const struct tuple *original, const struct socket_event *event)
{
    const struct tuple *closed = &event->tuple;
    if (f->endpoint && event->endpoint) {
        return f->endpoint == event->endpoint;
    }
    bool here = ip_addr_is_any(&closed->src, closed->family) || ip_addr_equal(&closed->src, &original->src);
    bool there = !be16_to_host(closed->dst_port) ||
                 (closed->dst_port.wire == original->dst_port.wire && ip_addr_equal(&closed->dst, &original->dst));
    return f->pid == event->pid && here && there;
}

void udp_flows_socket_closed(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    struct flow_table *t = &e->udp->flows;
    be16 port = event->tuple.src_port;
    int64_t closed_at = event->timestamp ? event->timestamp : INT64_MIN;
    uint32_t left = e->udp->flows_from[be16_to_host(port)];
    for (uint32_t id = flow_next_living(t, FLOW_NONE), next; left && id != FLOW_NONE; id = next) {
        const struct flow *f = flow_at(t, id);
        next = flow_next_living(t, id); /* which an end moves */
        if (!flow_is_told(f->kind) || flow_original(t, id)->src_port.wire != port.wire) {
            continue;
        }
        left--;
        if (is_of(f, flow_original(t, id), event)) {
            udp_flows_end(e, id, closed_at, now_ms);
        }
    }
}

void udp_flows_socket_sends(struct engine *e, const struct socket_event *event, const struct tuple *scoped,
                            uint64_t now_ms)
{
    enum leg leg;
    uint32_t id = flow_find(&e->udp->flows, scoped, &leg);
    if (id == FLOW_NONE || leg == LEG_REPLY || !flow_is_told(flow_at(&e->udp->flows, id)->kind)) {
        return;
    }
    struct flow *f = flow_at(&e->udp->flows, id);
    if (f->pid != event->pid) {
        udp_flows_end(e, id, event->timestamp ? event->timestamp : INT64_MIN, now_ms);
    } else if (event->endpoint) {
        f->endpoint = event->endpoint; /* that of the socket before is not awaited any more */
    }
}

void udp_flows_table_read(struct engine *e, uint64_t now_ms)
{
    struct flow_table *t = &e->udp->flows;
    for (uint32_t id = 0; id < t->never_used; id++) {
        const struct flow *f = flow_at(t, id);
        bool older = f->state != FLOW_FREE && flow_is_told(f->kind) && f->opened_ms < e->udp->reading.begun_ms;
        if (older && !listeners_own(&e->udp->sockets, flow_original(t, id), f->pid)) {
            udp_flows_end(e, id, INT64_MIN, now_ms);
        }
    }
}

/* ---- errors */

__attribute__((noinline)) enum verdict udp_flows_error(struct engine *e, struct arrival *a)
{
    enum leg leg;
    uint32_t id = a->meta->loopback ? udp_flows_find(e, a, &leg) : FLOW_NONE;
    const struct flow *f = id == FLOW_NONE ? NULL : flow_at(&e->udp->flows, id);
    if (!f || leg == LEG_FORWARD || !flow_is_told(f->kind)) {
        COUNT(e, udp_packets_passed);
        return VERDICT_PASS;
    }
    icmp_retell(&a->d, flow_original(&e->udp->flows, id), f->delta[LEG_REPLY].tcp);
    flow_lead(f, LEG_REPLY, a->meta);
    a->meta->ip_checksum_valid = a->meta->transport_checksum_valid = true;
    COUNT(e, udp_packets_rewritten);
    COUNT(e, udp_errors_translated);
    return VERDICT_REWRITE;
}

bool udp_flows_unreachable(struct engine *e, uint16_t peer_port)
{
    const struct flow_table *t = &e->udp->flows;
    uint32_t id = t->port_owner[peer_port] - 1;
    if (id == FLOW_NONE || !flow_is_told(flow_at(t, id)->kind)) {
        return false;
    }
    uint8_t error[ICMP_UNREACHABLE_MAX];
    struct packet_meta meta = {.ip_checksum_valid = true, .transport_checksum_valid = true};
    uint32_t length = icmp_unreachable(flow_original(t, id), error);
    meta.loopback = flow_at(t, id)->outbound[LEG_REPLY];
    flow_lead(flow_at(t, id), LEG_REPLY, &meta);
    e->host.inject(e->host.context, &meta, error, length);
    COUNT(e, udp_errors_translated);
    return true;
}
