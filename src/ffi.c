/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The exported calls: they check what they are given, convert it, and hand it to the service. And the one process-wide
 * instance behind the five classic calls.
 */
#include "engine/destinations.h"
#include "engine/rules.h"
#include "service.h"

#include <stddef.h>
#include <windows.h>

enum { PORT_MAX = 65535, HOLD_MS_MAX = 1000, LOOK_MS_MIN = 100, LOOK_MS_MAX = 600000 };

/* ---- checks and conversions ---- */

static redirector_status check_config(const redirector_config *c, const char **detail)
{
    const uint32_t known_flags = REDIRECTOR_LEAVE_FLOWS | REDIRECTOR_REFLECT | REDIRECTOR_REFUSE;
    *detail = NULL;
    if (!c || c->size != sizeof *c) {
        *detail = "the configuration is NULL, or its size field is not sizeof(redirector_config)";
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    if (c->proxy_port > PORT_MAX || c->incoming_port > PORT_MAX) {
        return REDIRECTOR_PORT_INVALID;
    }
    if (!c->proxy_port && !c->incoming_port) {
        return REDIRECTOR_NO_PORT;
    }
    if (c->flags & ~known_flags) {
        *detail = "unknown flags";
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    if (c->hold_ms > HOLD_MS_MAX) {
        *detail = "hold_ms is above 1000";
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    if (c->log_level > REDIRECTOR_LOG_DEBUG) {
        *detail = "no such log level";
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    if (c->look_ms && (c->look_ms < LOOK_MS_MIN || c->look_ms > LOOK_MS_MAX)) {
        *detail = "look_ms is not within 100 to 600000";
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    return REDIRECTOR_OK;
}

/* The library's own copy of the rules, in *out; NULL for none. */
static redirector_status copy_rules(const redirector_rule *rules, uint32_t count, struct rules **out,
                                    const char **detail)
{
    *out = NULL;
    if (count > RULES_MAX || (count && !rules)) {
        *detail = "more than 256 rules, or rules is NULL";
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    struct rules *copy = count ? rules_new() : NULL;
    for (uint32_t i = 0; copy && i < count; i++) {
        const redirector_rule *rule = &rules[i];
        if (rule->include > 1 || (rule->pattern && rule->pid) ||
            !rules_add(copy, rule->include, rule->pattern, rule->pid)) {
            rules_free(copy);
            *detail = "a rule's pattern is empty or too long, or it has a pid beside it, or include is neither 0 nor 1";
            return REDIRECTOR_INVALID_ARGUMENT;
        }
    }
    *out = copy;
    return count && !copy ? REDIRECTOR_NO_MEMORY : REDIRECTOR_OK;
}

/* false: not an address. `peer` becomes a tuple whose src is the peer. */
static bool peer_from_public(const redirector_address *a, struct tuple *peer)
{
    if (!a || (a->family != FAMILY_IP4 && a->family != FAMILY_IP6) || a->port == 0 || a->port > PORT_MAX) {
        return false;
    }
    *peer = (struct tuple){.family = a->family, .src_port = be16_from_host((uint16_t)a->port)};
    peer->src = a->family == FAMILY_IP4 ? ip_addr_from_ip4(a->bytes) : ip_addr_from_ip6(a->bytes);
    return true;
}

static redirector_address address_to_public(const ip_addr *address, uint32_t family, uint16_t port)
{
    redirector_address out = {.family = family, .port = port};
    if (family == FAMILY_IP4) {
        memcpy(out.bytes, address->bytes + 12, 4);
    } else {
        memcpy(out.bytes, address->bytes, 16);
    }
    return out;
}

static WinDest windest_from(const struct destination *d)
{
    WinDest out = {.ip_version = d->family, .dest_port = d->port, .kernel_pid = d->pid};
    uint32_t words[4];
    for (int i = 0; i < 4; i++) {
        const uint8_t *b = d->address.bytes + 4 * i;
        words[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
    if (d->family == FAMILY_IP4) {
        out.dest_ip4 = words[3];
    } else {
        memcpy(out.dest_ip6, words, sizeof words);
    }
    return out;
}

/* ---- the extended calls ---- */

uint32_t redirector_start(const redirector_config *config, redirector **out, redirector_error *error)
{
    redirector_error local = {.size = sizeof local};
    const char *detail = NULL;
    if (out) {
        *out = NULL;
    }
    error_clear(&local);
    struct rules *rules = NULL;
    redirector_status status = check_config(config, &detail);
    if (status == REDIRECTOR_OK) {
        status = copy_rules(config->rules, config->rule_count, &rules, &detail);
    }
    if (status == REDIRECTOR_OK && (!out || (error && !error_copy(error, NULL)))) {
        status = REDIRECTOR_INVALID_ARGUMENT;
        detail = "`out` is NULL, or the size field of the error is not sizeof(redirector_error)";
    }
    if (status != REDIRECTOR_OK) {
        rules_free(rules);
        error_set(&local, status, 0, detail);
    } else {
        redirector_config copy = *config;
        copy.agent_pid = copy.agent_pid ? copy.agent_pid : GetCurrentProcessId();
        *out = service_start(&copy, rules, &local);
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
    struct tuple tuple;
    struct destination d;
    if (!r || !out || out->size != sizeof *out || !peer_from_public(peer, &tuple)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    if (!service_lookup(r, (uint16_t)peer->port, &tuple, &d)) {
        return REDIRECTOR_NOT_FOUND;
    }
    *out = (redirector_destination){
        .size = sizeof *out,
        .pid = d.pid,
        .incoming = d.incoming,
        .destination = address_to_public(&d.address, d.family, d.port),
    };
    return REDIRECTOR_OK;
}

uint32_t redirector_forget(redirector *r, const redirector_address *peer)
{
    struct tuple tuple;
    if (!r || !peer_from_public(peer, &tuple)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    return service_forget(r, (uint16_t)peer->port, &tuple) ? REDIRECTOR_OK : REDIRECTOR_NOT_FOUND;
}

uint32_t redirector_set_rules(redirector *r, const redirector_rule *rules, uint32_t count)
{
    struct rules *copy;
    const char *detail;
    if (!r) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    redirector_status status = copy_rules(rules, count, &copy, &detail);
    if (status != REDIRECTOR_OK) {
        return status;
    }
    return service_set_rules(r, copy) ? REDIRECTOR_OK : REDIRECTOR_NOT_RUNNING;
}

uint32_t redirector_get_stats(redirector *r, redirector_stats *stats)
{
    if (!r || !stats || stats->size != sizeof *stats) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    service_stats(r, stats);
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

/* ---- the one instance behind the classic calls ---- */

/*
 * Starting and stopping take turns under `turn`. Lookups only take `pointer_lock`, and only for as long as they read
 * one entry, so that neither a slow start nor a stop keeps them waiting, and no instance goes away under them.
 */
static struct {
    SRWLOCK turn, pointer_lock;
    redirector *instance;
    redirector_error last_error; /* under pointer_lock */
} classic = {SRWLOCK_INIT, SRWLOCK_INIT, NULL, {.size = sizeof(redirector_error)}};

static void classic_set(redirector *instance, const redirector_error *error)
{
    AcquireSRWLockExclusive(&classic.pointer_lock);
    classic.instance = instance;
    classic.last_error = *error;
    ReleaseSRWLockExclusive(&classic.pointer_lock);
}

uint32_t start_redirector(uint32_t client_pid, uint32_t agent_pid, uint32_t proxy_port, uint32_t incoming_proxy)
{
    redirector_config config = {
        .size = sizeof config,
        .client_pid = client_pid,
        .agent_pid = agent_pid,
        .proxy_port = proxy_port,
        .incoming_port = incoming_proxy,
    };
    redirector_error error = {.size = sizeof error};
    AcquireSRWLockExclusive(&classic.turn);
    redirector *instance = classic.instance;
    if (instance) {
        error_set(&error, REDIRECTOR_ALREADY_RUNNING, 0, NULL);
    } else {
        redirector_start(&config, &instance, &error);
    }
    classic_set(instance, &error);
    ReleaseSRWLockExclusive(&classic.turn);
    return error.code == REDIRECTOR_OK;
}

uint32_t stop_redirector(void)
{
    redirector_error error = {.size = sizeof error};
    error_clear(&error);
    AcquireSRWLockExclusive(&classic.turn);
    redirector *instance = classic.instance;
    classic_set(NULL, &error); /* lookups miss from here on */
    if (instance && redirector_stop(instance) != REDIRECTOR_OK) {
        error_set(&error, REDIRECTOR_STOPPED_BY_FORCE, 0, NULL);
        classic_set(NULL, &error);
    }
    redirector_free(instance);
    ReleaseSRWLockExclusive(&classic.turn);
    return error.code == REDIRECTOR_OK;
}

WinDest get_destination(uint32_t src_port)
{
    struct destination d;
    bool hit = false;
    AcquireSRWLockShared(&classic.pointer_lock);
    if (classic.instance && src_port <= PORT_MAX) {
        hit = service_lookup(classic.instance, (uint16_t)src_port, NULL, &d);
    }
    ReleaseSRWLockShared(&classic.pointer_lock);
    return hit ? windest_from(&d) : (WinDest){0};
}

uint32_t delete_destination(uint32_t src_port)
{
    bool hit = false;
    AcquireSRWLockShared(&classic.pointer_lock);
    if (classic.instance && src_port <= PORT_MAX) {
        hit = service_forget(classic.instance, (uint16_t)src_port, NULL);
    }
    ReleaseSRWLockShared(&classic.pointer_lock);
    return hit;
}

void free_windest(WinDest dest)
{
    (void)dest;
}

uint32_t redirector_last_error(redirector_error *error)
{
    AcquireSRWLockShared(&classic.pointer_lock);
    bool ok = error_copy(error, &classic.last_error);
    ReleaseSRWLockShared(&classic.pointer_lock);
    return ok ? REDIRECTOR_OK : REDIRECTOR_INVALID_ARGUMENT;
}
