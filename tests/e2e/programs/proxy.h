/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file proxy.h  The agent's proxy, and the commands that only the agent has. */
#ifndef PROXY_H
#define PROXY_H

#include "actor.h"
#include "endpoint.h"

#include "windows_redirector.h"

extern const struct command_entry agent_commands[];

struct destination_found {
    unsigned status; /* redirector_status */
    unsigned pid;
    bool incoming;
    uint64_t connection_id;
    uint32_t upstream;
    struct sockaddr_storage address;
};

/**
 * Asks the library, whichever way that redirector was started, for the destination of a peer that speaks this protocol:
 * REDIRECTOR_TCP or REDIRECTOR_UDP, of which the classic calls know the first.
 */
struct destination_found redirect_lookup(const struct sockaddr_storage *peer, unsigned instance, unsigned protocol);

/** The other calls about UDP, of a redirector of the extended interface; a redirector_status. */
unsigned redirect_unreachable(const struct sockaddr_storage *peer, unsigned instance);
unsigned redirect_list(redirector_flow *flows, uint32_t capacity, uint32_t *total, unsigned instance);
unsigned redirect_stats(redirector_stats *stats, unsigned instance);
struct sockaddr_storage redirect_address(const redirector_address *address);

/** Deletes a peer's mapping, by the same way; a redirector_status. */
unsigned redirect_forget(const struct sockaddr_storage *peer);

void command_hammer(const struct command *c, struct json *answer);
void command_hammer_hits(const struct command *c, struct json *answer);
void command_proxy(const struct command *c, struct json *answer);
void command_proxied(const struct command *c, struct json *answer);
void command_proxy_close_all(const struct command *c, struct json *answer);

/** Commands of measure.c. */
void command_memory(const struct command *c, struct json *answer);
void command_stats(const struct command *c, struct json *answer);
void command_mappings(const struct command *c, struct json *answer);

/** Commands of datagram_proxy.c. */
void command_datagram_proxy(const struct command *c, struct json *answer);
void command_datagram_peers(const struct command *c, struct json *answer);
void command_datagram_unreachable(const struct command *c, struct json *answer);
void command_datagram_proxy_close_all(const struct command *c, struct json *answer);
void command_flows(const struct command *c, struct json *answer);

/** Commands of freeze.c. */
void command_freeze(const struct command *c, struct json *answer);
void command_thaw(const struct command *c, struct json *answer);

/** Carries bytes both ways until both have ended, or one was reset (then resets the other). Closes both. */
struct relay_result {
    long long up, down; /* a to b, b to a */
    const char *end;    /* "fin", "reset by client", "reset by server", "stopped" */
};
void relay_run(SOCKET a, SOCKET b, volatile LONG *stop, struct relay_result *result);

#endif
