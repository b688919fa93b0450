/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_loop.h
 * Connections that would come back for ever (O9): an upstream on this machine whose own connections are redirected.
 */
#ifndef CLI_RELAY_LOOP_H
#define CLI_RELAY_LOOP_H

#include "relay_conn_internal.h"

/** Finds out which upstreams are on this machine. Their addresses are known. */
void relay_loop_find_local(struct upstream_list *list);

/** The addresses of those; at most `max`. Returns how many. */
uint32_t relay_loop_local(const struct upstream_list *list, redirector_address *out, uint32_t max);

/**
 * Whether a connection that is about to go through conn->via comes from there; then a message was shown, once for each
 * process. `program`: the name of the process that opened it. Reads the TCP table if that may be.
 */
bool relay_loop_closes(const struct relay_conn *conn, const char *program);

#endif
