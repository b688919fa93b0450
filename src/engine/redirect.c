/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a flow is opened for a SYN, with a source port of its own (O3), a destination that proxies can
 * ask for, and the translation of its packets; or the SYN passes, because nothing listens at the proxy's port (O4, N4)
 * or there is no room (L3).
 */
#include "redirect.h"

#include "reset.h"
#include "sockets.h"
#include "tcp_table.h"
#include "translate.h"

enum { RESCAN_MS = 1000, WARN_MS = 60000 };

/* To a port of this machine, over loopback or by reflection. */
static struct tuple steer_outgoing(const struct tuple *original, bool reflect, uint16_t port)
{
    struct tuple t = *original;
    t.dst_port = be16_from_host(port);
    t.scope = reflect ? original->scope : 0;
    t.src = reflect ? original->dst : ip_addr_loopback(t.family);
    t.dst = reflect ? original->src : ip_addr_loopback(t.family);
    return t;
}

static struct tuple steer(const struct engine *e, const struct tuple *original, enum flow_kind kind, bool reflect)
{
    struct tuple t = *original;
    if (kind == FLOW_INCOMING) {
        t.dst_port = be16_from_host(e->config.incoming_port); /* the proxy sees the real peer (N2) */
    } else if (kind == FLOW_OUTGOING) {
        t = steer_outgoing(original, reflect, e->config.proxy_port);
    }
    return t;
}

bool redirect_waits_for_table(struct engine *e, struct attempt *a)
{
    if (a->asked || !tcp_table_lists(e) || !(a->held || pending_has_room(&e->pending, a->packet->length))) {
        return false;
    }
    if (tcp_table_hangs(e, a->now_ms)) {
        COUNT(e, table_timeouts);
        return false;
    }
    a->waits_for = HELD_FOR_TABLE;
    return true;
}

/* Whether something listens where the connection would be redirected to (O4, N4). */
static bool proxy_listens(struct engine *e, const struct tuple *steered)
{
    return !tcp_table_lists(e) || listeners_find(&e->listeners, steered);
}

/* Whether it may listen all the same: a LISTEN event may have been lost. */
static bool proxy_may_listen(struct engine *e, uint64_t now_ms)
{
    return sockets_in_doubt(e) || now_ms - e->readings.answered_ms >= RESCAN_MS;
}

enum verdict redirect_refuse(struct engine *e, const struct packet *syn, const struct packet_meta *captured)
{
    uint8_t rst[RESET_MAX];
    uint32_t length = reset_refuse(syn, rst);
    struct packet_meta meta = *captured;
    meta.outbound = captured->loopback || !captured->outbound;
    meta.ip_checksum_valid = meta.transport_checksum_valid = true;
    e->host.inject(e->host.context, &meta, rst, length);
    COUNT(e, packets_dropped);
    return VERDICT_DROP;
}

static enum verdict without_proxy(struct engine *e, const struct attempt *a, const struct tuple *steered)
{
    COUNT(e, proxy_not_listening);
    if (e->host.proxy_not_listening && (!e->warned_ms || a->now_ms - e->warned_ms >= WARN_MS)) {
        e->warned_ms = a->now_ms;
        e->host.proxy_not_listening(e->host.context, PROTOCOL_TCP, steered);
    }
    return e->config.fail_closed ? redirect_refuse(e, a->packet, a->meta) : VERDICT_PASS;
}

/* Whether somebody is to be asked first. Where too many wait already, the connection goes on unasked. */
static bool wants_decision(struct engine *e, const struct attempt *a)
{
    if (!e->decisions || a->decided) {
        return false;
    }
    if (decisions_have_room(e->decisions) && pending_has_room(&e->pending, a->packet->length)) {
        return true;
    }
    COUNT(e, decision_overflows);
    return false;
}

/* Room in the flow table and a source port that no flow has; closing flows are ended for it. */
static uint16_t make_room(struct engine *e, uint16_t wanted)
{
    uint16_t port = 0;
    while (e->flows.live >= e->flows.capacity || (port = flow_pick_port(&e->flows, wanted)) == 0) {
        uint32_t closing = flow_oldest_closing(&e->flows);
        if (closing == FLOW_NONE) {
            return 0;
        }
        translate_end_flow(e, closing);
    }
    return port;
}

static void announce(struct engine *e, uint32_t id, const struct tuple *steered, const struct attempt *a)
{
    const struct flow *f = flow_at(&e->flows, id);
    const struct tuple *original = flow_original(&e->flows, id);
    struct destination d = {
        .peer = steered->src,
        .address = original->dst,
        .family = original->family,
        .scope = f->scope,
        .port = be16_to_host(original->dst_port),
        .pid = f->pid,
        .incoming = f->kind == FLOW_INCOMING,
        .upstream = a->upstream,
        .decision_id = a->decision_id,
    };
    COUNT_SET(e, flows_live, ++e->redirected_live);
    COUNT(e, flows_total);
    /* Before the SYN leaves: the proxy can never ask too early. */
    destinations_publish(e->destinations, be16_to_host(steered->src_port), &d);
    if (e->host.flow_event) {
        e->host.flow_event(e->host.context, f, original, false);
    }
}

/* Whether the driver will hand over what comes after this SYN. */
static bool is_captured(struct engine *e, const struct attempt *a)
{
    const struct tuple *t = &a->packet->tuple;
    return capture_plan_has(&e->capture, a->meta->outbound,
                            be16_to_host(a->meta->outbound ? t->src_port : t->dst_port));
}

static uint32_t open_flow(struct engine *e, const struct attempt *a, enum flow_kind kind, const struct tuple *steered,
                          bool reflect, uint32_t pid)
{
    const struct tuple *original = &a->packet->tuple;
    uint32_t id = flow_open(&e->flows, original, steered, a->now_ms);
    struct flow *f = flow_at(&e->flows, id);
    f->kind = (uint8_t)kind;
    f->isn = a->packet->seq;
    f->pid = pid;
    f->if_index = a->meta->if_index;
    f->sub_if_index = a->meta->sub_if_index;
    f->scope = own_addresses_scope_of(e->own, original);
    /* Loopback packets exist only outbound. Others go on as they came (unless reflected), and their replies the other
     * way: back in where the program's packets went out, or out to the peer that they came from. */
    f->outbound[LEG_FORWARD] = a->meta->outbound && !reflect;
    f->outbound[LEG_REPLY] = a->meta->loopback || !a->meta->outbound;
    return id;
}

enum verdict redirect_syn(struct engine *e, struct attempt *a, enum flow_kind kind, uint32_t pid)
{
    struct tuple original = a->packet->tuple;
    bool reflect = kind == FLOW_OUTGOING && *state_reflects(e, original.family) && !a->meta->loopback;
    struct tuple steered = steer(e, &original, kind, reflect);
    if (kind != FLOW_DIRECT && !proxy_listens(e, &steered)) {
        bool waits = proxy_may_listen(e, a->now_ms) && redirect_waits_for_table(e, a);
        return waits ? VERDICT_HOLD : without_proxy(e, a, &steered);
    }
    if (kind == FLOW_OUTGOING && wants_decision(e, a)) {
        a->waits_for = HELD_FOR_DECISION;
        return VERDICT_HOLD;
    }
    uint16_t port = make_room(e, be16_to_host(original.src_port));
    if (!port) {
        COUNT(e, flow_table_full);
        return VERDICT_PASS; /* L3 */
    }
    steered.src_port = be16_from_host(port);
    struct tuple reply = tuple_reversed(&steered);
    enum leg leg;
    if (flow_find(&e->flows, &original, &leg) != FLOW_NONE || flow_find(&e->flows, &reply, &leg) != FLOW_NONE) {
        /* A connection from the proxy's own port: its packets would be taken for the proxy's replies. */
        COUNT(e, flow_table_full);
        return VERDICT_PASS;
    }
    bool translated = !tuple_equal(&steered, &original);
    if (translated && !is_captured(e, a)) {
        a->waits_for = HELD_FOR_FILTER;
        return VERDICT_HOLD;
    }
    if (translated && a->meta->outbound) {
        capture_plan_flow(&e->capture, a->now_ms);
    }
    uint32_t id = open_flow(e, a, kind, &steered, reflect, pid);
    if (flow_is_told((uint8_t)kind)) {
        announce(e, id, &steered, a);
    }
    return translate_packet(e, id, LEG_FORWARD, a->packet, a->meta, a->now_ms);
}

bool redirect_captures_proof(const struct engine *e, const struct proof_route *route)
{
    return capture_plan_has(&e->capture, true, be16_to_host(route->original.src_port)) &&
           capture_plan_has(&e->capture, true, route->listener_port);
}

enum verdict redirect_proof(struct engine *e, struct attempt *a, uint32_t which)
{
    const struct proof_route *route = &e->proofs.routes[which];
    const struct tuple *original = &route->original;
    struct tuple steered = steer_outgoing(original, route->reflect, route->listener_port);
    struct tuple reply = tuple_reversed(&steered);
    enum leg leg;
    bool free = make_room(e, be16_to_host(original->src_port)) == be16_to_host(original->src_port) &&
                flow_find(&e->flows, &reply, &leg) == FLOW_NONE;
    if (!free || !redirect_captures_proof(e, route)) {
        COUNT_BY(e, packets_seen, -1);
        return VERDICT_DROP; /* not for the world outside */
    }
    uint32_t id = open_flow(e, a, FLOW_PROOF, &steered, route->reflect, which);
    return translate_packet(e, id, LEG_FORWARD, a->packet, a->meta, a->now_ms);
}
