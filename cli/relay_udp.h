/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_udp.h
 * The part of the relay that passes datagrams on. Everything but opening and closing runs on the relay's one thread.
 */
#ifndef CLI_RELAY_UDP_H
#define CLI_RELAY_UDP_H

#include "relay_conn.h"

#include <stdbool.h>
#include <stdint.h>

struct relay_udp;

struct relay_udp_config {
    uint16_t port;   /**< to receive on; 0: any that is free */
    bool block;      /**< nothing is passed on: what is sent is answered as if nobody received it */
    bool block_quic; /**< the same for what goes to port 443 */
};

/** Receives on 127.0.0.1 and [::1], on one and the same port. `host` must outlive it. NULL: see *error. */
struct relay_udp *relay_udp_open(struct relay_host *host, const struct relay_udp_config *config, uint32_t *error);

uint16_t relay_udp_port(const struct relay_udp *u);

/** What needs no relay's thread. False: no memory. */
bool relay_udp_start(struct relay_udp *u);

/** Serves what has come from programs, and waits for more; to be called whenever operations have come back. False: Windows
 * refuses to wait for now (out of memory). */
bool relay_udp_serve(struct relay_udp *u);

/** One of its operations, RELAY_PEERS or RELAY_SESSION, has come back. */
void relay_udp_complete(struct relay_op *op, DWORD error);

/** Ends sessions whose flow has ended; with `programs_gone` all that have passed on what they got. To be called
 * regularly while relay_udp_sessions() is not 0. */
void relay_udp_watch(struct relay_udp *u, bool programs_gone);

/** Sessions that live. */
uint32_t relay_udp_sessions(const struct relay_udp *u);

/** Sessions that have begun so far. Any thread. */
unsigned relay_udp_begun(const struct relay_udp *u);

/** Ends all sessions and receives no more. It is over once relay_udp_pending() is false. */
void relay_udp_stop(struct relay_udp *u);
bool relay_udp_pending(const struct relay_udp *u);

/** Frees, when nothing is pending any more. NULL is fine, as for all of these. */
void relay_udp_close(struct relay_udp *u);

#endif
