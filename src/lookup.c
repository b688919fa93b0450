/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: TCP and UDP have a map each, because a port of one is not a port of the other. A peer is checked
 * against the address that the mapping was made for, so that another machine's port is never taken for it.
 */
#include "host.h"

static bool peer_matches(const struct destination *d, const void *context)
{
    const struct peer *peer = context;
    return d->family == peer->family &&
           (ip_addr_is_any(&peer->address, peer->family) || ip_addr_equal(&d->peer, &peer->address)) &&
           (!peer->scope || !d->scope || peer->scope == d->scope || !ip_addr_is_link_local(&d->peer));
}

bool service_lookup(redirector *r, uint8_t protocol, uint16_t port, const struct peer *peer, struct destination *out)
{
    const struct destinations *map =
        protocol == PROTOCOL_UDP ? engine_udp_destinations(r->engine) : engine_destinations(r->engine);
    bool hit = map && destinations_find(map, port, out) && (!peer || peer_matches(out, peer));
    atomic_fetch_add_explicit(hit ? &r->lookups_hit : &r->lookups_missed, 1, memory_order_relaxed);
    return hit;
}

bool service_forget(redirector *r, uint16_t port, const struct peer *peer)
{
    return destinations_delete(engine_destinations(r->engine), port, peer ? peer_matches : NULL, peer);
}

struct unreachable {
    uint16_t port;
    const struct peer *peer;
    bool found;
};

static void tell_unreachable(redirector *r, void *context)
{
    struct unreachable *u = context;
    struct destination d;
    const struct destinations *map = engine_udp_destinations(r->engine);
    u->found = map && destinations_find(map, u->port, &d) && peer_matches(&d, u->peer) &&
               engine_udp_unreachable(r->engine, u->port);
}

redirector_status service_udp_unreachable(redirector *r, uint16_t port, const struct peer *peer)
{
    struct unreachable u = {port, peer, false};
    if (!request_make(r, tell_unreachable, &u)) {
        return REDIRECTOR_NOT_RUNNING;
    }
    return u.found ? REDIRECTOR_OK : REDIRECTOR_NOT_FOUND;
}
