/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay.h
 * The built-in proxy: accepts redirected connections, and relays them to their original destinations.
 */
#ifndef CLI_RELAY_H
#define CLI_RELAY_H

#include "report.h"
#include "upstream.h"
#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct relay relay;

typedef struct relay_config {
    report *report;
    const upstream_list *upstreams; /**< must outlive the relay */
    bool outgoing;                  /**< listen for what the tree opens */
    bool incoming;                  /**< listen for what comes to the tree */
    bool everywhere;                /**< outgoing: listen on all addresses, as reflection requires it */
    uint16_t port;                  /**< to listen on for outgoing; 0: any that is free */
} relay_config;

/** Listens, in both families on one and the same port, one for each direction. NULL: the Winsock or Windows error is in
 * *error. */
relay *relay_open(const relay_config *config, uint32_t *error);

/** The ports it listens on; 0: not in that direction. */
uint16_t relay_port(const relay *r);
uint16_t relay_incoming_port(const relay *r);

/** Begins to serve, looking up each peer at `redirector`. False: Windows error in *error. */
bool relay_start(relay *r, redirector *redirector, uint32_t *error);

/** Waits until no connection has been live for a moment. False: the Windows handle `until` was signalled first. */
bool relay_wait_idle(relay *r, void *until);

/** Resets all connections, waits for the relay's thread, and frees. Also right for a relay that never served. */
void relay_close(relay *r);

#endif
