/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The engine's door for UDP: what engine.h says. Behind it, udp.c decides about packets. */
#include "engine.h"

#include "udp.h"

enum verdict engine_datagram(struct engine *e, struct packet_meta *meta, uint8_t *data, uint32_t length,
                             uint64_t now_ms)
{
    COUNT(e, udp_packets_seen);
    return udp_packet(e, meta, data, length, now_ms);
}

void engine_udp_socket(struct engine *e, const struct tuple *local, uint32_t pid)
{
    udp_sockets_row(e, local, pid);
}

void engine_udp_table_end(struct engine *e, bool whole, uint64_t now_ms)
{
    udp_sockets_table_read(e, whole);
    if (e->stopping) {
        return;
    }
    if (whole) {
        udp_flows_table_read(e, now_ms);
    }
    udp_release(e, false, now_ms);
}

/* Ports that must not be left out, because of strangers who have them, or stand beside them. */
static void add_needed(struct engine *e, struct port_set *out)
{
    const struct udp *u = e->udp;
    udp_sockets_add_ports(e, out);
    for (uint32_t id = 0; id < u->flows.never_used; id++) {
        const struct flow *f = flow_at(&u->flows, id);
        if (f->state != FLOW_FREE && f->kind != FLOW_ENDED) {
            port_set_add(out, be16_to_host(flow_original(&u->flows, id)->src_port));
        }
    }
    for (uint32_t line = u->held.first_line; line != UDP_HELD_NONE; line = u->held.slots[line].line_behind) {
        port_set_add(out, be16_to_host(u->held.map.keys[line].src_port));
    }
}

const struct capture_set *engine_udp_capture_wanted(struct engine *e, uint64_t now_ms)
{
    struct udp *u = e->udp;
    if (!u || e->stopping) {
        return NULL;
    }
    struct capture_plan *c = &u->capture;
    bool left = e->own && own_addresses_link_local_doubled(e->own);
    if (left != c->active.without_link_local && now_ms >= c->plan_again_ms) {
        capture_plan_want(c, now_ms);
    }
    if (!capture_plan_is_due(c, now_ms)) {
        return NULL;
    }
    capture_plan_begin(c, now_ms);
    if (c->stranger_count) {
        add_needed(e, &c->next.outbound);
    }
    u->no_fragments = !c->all && (u->no_fragments || u->stray_fragments >= CAPTURE_HEAVY) && !u->wanted_fragments;
    u->stray_fragments = u->wanted_fragments = 0;
    c->next.fragments = !u->no_fragments;
    c->next.without_link_local = left;
    return capture_plan_end(c, now_ms) ? &c->next : NULL;
}

void engine_udp_capture_replaced(struct engine *e, bool ok, uint64_t now_ms)
{
    if (ok && e->udp->capture.in_place) {
        COUNT(e, filter_replacements);
    }
    capture_plan_replaced(&e->udp->capture, ok, now_ms);
}

bool engine_udp_unreachable(struct engine *e, uint16_t peer_port)
{
    return e->udp && udp_flows_unreachable(e, peer_port);
}

uint32_t engine_list_udp_flows(const struct engine *e, uint32_t from, struct flow_view *out, uint32_t *count)
{
    *count = 0;
    return e->udp ? flow_list_copy(&e->udp->flows, from, out, count) : FLOW_NONE;
}

struct destinations *engine_udp_destinations(const struct engine *e)
{
    return e->udp ? e->udp->destinations : NULL;
}
