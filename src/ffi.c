/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the extended calls check their arguments, convert them, and call the service.
 */
#include "address.h"
#include "config.h"
#include "decide.h"
#include "engine/destinations.h"
#include "service.h"
#include "statistics.h"

#include <stddef.h>
#include <stdio.h>

/* ---- checks and conversions */

/* false: not an address. */
static bool peer_from_public(const redirector_address *a, struct peer *peer)
{
    struct tuple t;
    if (!address_from_public(a, &t)) {
        return false;
    }
    *peer = (struct peer){.family = t.family, .scope = a->scope, .address = t.src};
    return true;
}

/* ---- the extended calls */

uint32_t redirector_start(const redirector_config *config, redirector **out, redirector_error *error)
{
    redirector_error local = {.size = sizeof local};
    redirector_config copy;
    char detail[CONFIG_DETAIL_SIZE] = "";
    struct rules *rules = NULL;
    error_clear(&local);
    redirector_status status = config_take(config, &copy, detail);
    if (status == REDIRECTOR_OK && !out) {
        status = REDIRECTOR_INVALID_ARGUMENT;
        snprintf(detail, sizeof detail, "`out` is NULL");
    }
    if (status == REDIRECTOR_OK && error && !error_copy(error, NULL)) {
        status = REDIRECTOR_INVALID_ARGUMENT; /* and there is no place for a text */
    }
    if (status == REDIRECTOR_OK) {
        status = config_take_rules(copy.rules, copy.rule_count, &rules, detail);
    }
    redirector *r = NULL;
    if (status == REDIRECTOR_OK) {
        r = service_start(&copy, rules, &local);
    } else {
        error_set(&local, status, 0, detail);
    }
    if (out) {
        *out = r;
    }
    error_copy(error, &local);
    return local.code;
}

uint32_t redirector_stop(redirector *r)
{
    if (!r) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    return service_stop(r) ? REDIRECTOR_OK : REDIRECTOR_STOPPED_BY_FORCE;
}

void redirector_free(redirector *r)
{
    if (r) {
        service_free(r);
    }
}

uint32_t redirector_lookup(redirector *r, const redirector_address *peer, redirector_destination *out)
{
    struct peer where;
    struct destination d;
    if (!r || !out || out->size != sizeof *out || !peer_from_public(peer, &where)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    uint32_t protocol = out->protocol ? out->protocol : REDIRECTOR_TCP;
    if (protocol != REDIRECTOR_TCP && protocol != REDIRECTOR_UDP) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    if (!service_lookup(r, (uint8_t)protocol, (uint16_t)peer->port, &where, &d)) {
        return REDIRECTOR_NOT_FOUND;
    }
    *out = (redirector_destination){
        .size = sizeof *out,
        .pid = d.pid,
        .incoming = d.incoming,
        .protocol = protocol,
        .destination = address_to_public(&d.address, d.family, d.port, d.scope),
        .connection_id = d.decision_id,
        .upstream = d.upstream,
    };
    return REDIRECTOR_OK;
}

uint32_t redirector_udp_unreachable(redirector *r, const redirector_address *peer)
{
    struct peer where;
    if (!r || !peer_from_public(peer, &where)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    return service_udp_unreachable(r, (uint16_t)peer->port, &where);
}

uint32_t redirector_forget(redirector *r, const redirector_address *peer)
{
    struct peer where;
    if (!r || !peer_from_public(peer, &where)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    return service_forget(r, (uint16_t)peer->port, &where) ? REDIRECTOR_OK : REDIRECTOR_NOT_FOUND;
}

uint32_t redirector_next_connection(redirector *r, redirector_connection *out, uint32_t timeout_ms)
{
    struct undecided u;
    if (!r || !out || out->size != sizeof *out) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    redirector_status status = decide_next(r, &u, timeout_ms);
    if (status == REDIRECTOR_OK) {
        const struct tuple *t = &u.tuple;
        *out = (redirector_connection){
            .size = sizeof *out,
            .pid = u.pid,
            .connection_id = u.id,
            .upstream = u.upstream,
            .client = address_to_public(&t->src, t->family, be16_to_host(t->src_port), t->scope),
            .destination = address_to_public(&t->dst, t->family, be16_to_host(t->dst_port), t->scope),
        };
    }
    return status;
}

uint32_t redirector_decide(redirector *r, uint64_t connection_id, uint32_t decision)
{
    if (!r || decision < REDIRECTOR_ACCEPT || decision > REDIRECTOR_DROP) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    return decide(r, connection_id, (enum decision)decision) ? REDIRECTOR_OK : REDIRECTOR_NOT_FOUND;
}

uint32_t redirector_list_flows(redirector *r, redirector_flow *flows, uint32_t capacity, uint32_t *total)
{
    if (!r || !total || (capacity && (!flows || flows->size != sizeof *flows))) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    return service_list_flows(r, flows, capacity, total);
}

uint32_t redirector_get_state(redirector *r, redirector_error *why)
{
    return !r || (why && why->size != sizeof *why) ? 0 : service_state(r, why);
}

uint32_t redirector_get_stats(redirector *r, redirector_stats *stats)
{
    if (!r || !stats ||
        (stats->size != sizeof *stats && stats->size != offsetof(redirector_stats, queue_delay_last_us))) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    redirector_stats all = {.size = stats->size};
    statistics_read(r, &all);
    memcpy(stats, &all, stats->size);
    return REDIRECTOR_OK;
}

const char *redirector_status_name(uint32_t status)
{
    switch (status) {
#define STATUS_CASE(name, number, text)                                                                                \
    case REDIRECTOR_##name:                                                                                            \
        return #name;
        REDIRECTOR_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    default:
        return "UNKNOWN";
    }
}

const char *redirector_version(void)
{
    return REDIRECTOR_VERSION_STRING;
}
