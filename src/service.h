/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file service.h
 * A redirector's life: start, run, stop. The public calls (ffi.c) check their arguments and come here.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "engine/types.h"
#include "error.h"

struct destination;
struct rules;

/**
 * Starts; the configuration's numbers are checked already. Takes the rules over in any case (NULL: none). NULL: *error
 * says why, and nothing stays open.
 */
redirector *service_start(const redirector_config *config, struct rules *rules, redirector_error *error);

/** Replaces the rules, which it takes over in any case. false: the redirector does not run. */
bool service_set_rules(redirector *r, struct rules *rules);

/** Tells the engine the name of an address (src). REDIRECTOR_OK, _NO_MEMORY or _NOT_RUNNING. */
redirector_status service_tell_name(redirector *r, const struct tuple *address, const char *name);

/**
 * REDIRECTOR_RUNNING, _STOPPED or _FAILED, and why it failed (code 0: it did not), if `why` is not NULL. Any thread.
 */
uint32_t service_state(redirector *r, redirector_error *why);

/** Fills in as many as there is room for, and *total. OK, NO_MEMORY or NOT_RUNNING. */
redirector_status service_list_flows(redirector *r, redirector_flow *out, uint32_t capacity, uint32_t *total);

/**
 * Bounded (1 s), idempotent, any thread. false: the engine did not end in time and its driver handles were closed by
 * force.
 */
bool service_stop(redirector *r);

void service_free(redirector *r);

/** A peer as a proxy sees it, without its port. */
struct peer {
    ip_addr address; /* unspecified: any */
    uint32_t family;
    uint32_t scope; /* 0: any */
};

/**
 * Mapping of a peer port (host order) of PROTOCOL_TCP or PROTOCOL_UDP, checked against the peer's address unless `peer`
 * is NULL. Counts hits and misses. To forget one is for TCP only.
 */
bool service_lookup(redirector *r, uint8_t protocol, uint16_t port, const struct peer *peer, struct destination *out);
bool service_forget(redirector *r, uint16_t port, const struct peer *peer);

/** Tells a UDP peer's program that its destination cannot be reached: OK, NOT_FOUND or NOT_RUNNING. */
redirector_status service_udp_unreachable(redirector *r, uint16_t port, const struct peer *peer);

#endif
