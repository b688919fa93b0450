/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay.h
 * The built-in proxy: accepts redirected connections, receives redirected datagrams, and relays them to their original
 * destinations.
 */
#ifndef CLI_RELAY_H
#define CLI_RELAY_H

#include "report.h"
#include "routes.h"
#include "rules_state.h"
#include "tree.h"
#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>

struct relay;

struct relay_config {
    struct report *report;
    struct routes *upstreams;  /**< of --upstream; NULL: none. It must outlive the relay, */
    struct rules_state *rules; /**< and so must these */
    bool outgoing;             /**< listen for what the tree opens */
    bool incoming;             /**< listen for what comes to the tree */
    enum relay_datagrams {
        RELAY_NO_DATAGRAMS,
        RELAY_DATAGRAMS,
        RELAY_REFUSE_DATAGRAMS, /**< whoever sends one is told that nobody receives it */
    } datagrams;
    bool refuse_quic;    /**< the same for datagrams to port 443 */
    bool everywhere;     /**< outgoing: listen on all addresses, as reflection requires it */
    uint16_t port;       /**< to listen on for outgoing, and for datagrams; 0: any that is free */
    uint32_t connect_ms; /**< limit for connecting to a destination, by an upstream included */
};

/** Listens, in both families on one and the same port, one for each direction. NULL: the Winsock or Windows error is in
 * *error. */
struct relay *relay_open(const struct relay_config *config, uint32_t *error);

/** The ports it listens on; 0: not in that direction. */
uint16_t relay_port(const struct relay *r);
uint16_t relay_incoming_port(const struct relay *r);
uint16_t relay_datagram_port(const struct relay *r);

/** Begins to serve what comes from this tree, which must outlive the relay, looking up each peer at `redirector`. False:
 * Windows error in *error. */
bool relay_start(struct relay *r, redirector *redirector, const struct tree *tree, uint32_t *error);

/** For the time when no process of the tree is left: waits until no connection has been live for a moment. One on which
 * the program has said all ends then, for its answer has no reader; of datagrams those that wait are still sent. False: the Windows handle `until` was signalled
 * first. */
bool relay_wait_idle(struct relay *r, void *until);

/** Resets all connections, waits for the relay's thread, and frees. Also right for a relay that never served. */
void relay_close(struct relay *r);

#endif
