/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_conn.h
 * One relayed connection, and what it needs of its relay. Everything here runs on the relay's one thread.
 */
#ifndef CLI_RELAY_CONN_H
#define CLI_RELAY_CONN_H

#include "dial.h"
#include "relay_socket.h"
#include "report.h"
#include "routes.h"
#include "rules_state.h"
#include "tree.h"
#include "upstream.h"
#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>

struct relay_conn;

/** The part of its relay that a connection uses. */
struct relay_host {
    struct dialler dialler; /**< has the completion port */
    struct report *report;
    struct routes *upstreams; /**< where no rule names a route; NULL: none */
    struct rules_state *rules;
    uint32_t connect_ms; /**< limit for connecting to a destination, by an upstream included */
    redirector *redirector;
    const struct tree *tree;
    struct relay_conn *first;         /**< all live connections */
    struct relay_conn *expected;      /**< those whose program has not been answered yet */
    struct relay_conn *unnamed;       /**< those that wait for a name before they are dialled, the oldest first, */
    struct relay_conn **last_unnamed; /**< and where the next one goes */
    uint32_t loops_told[64];          /**< processes of which relay_loop.c has told, */
    uint32_t loops_told_count;        /**< and how many */
    uint32_t large_buffers;           /**< that connections have now */
};

/**
 * A program's connect() waits for a decision: its destination is connected to first, and it is answered as that was.
 */
void relay_conn_expect(struct relay_host *host, const redirector_connection *asked);

/**
 * Takes over `client`, a connection from `peer`, and connects to `destination`, unless that is done, because it was
 * expected. Owns the socket whatever happens.
 */
void relay_conn_open(struct relay_host *host, SOCKET client, const redirector_address *peer,
                     const redirector_destination *destination);

/** What an upstream is at fault with, as an outcome. */
enum report_outcome relay_outcome_of(enum upstream_failure failure);

/** One of its operations is over: `error` is a Winsock error or 0. May free the connection. */
void relay_conn_complete(struct relay_conn *conn, struct relay_op *op, DWORD bytes, DWORD error);

/** Resets both ends of every connection. Each is gone once its last operation has completed. */
void relay_conn_stop_all(struct relay_host *host);

/**
 * Looks for ends that no operation tells of: of a program that has sent its first data while the destination does not
 * answer yet, or of an end whose data the other one does not take. To be called regularly.
 *
 * @param programs_gone  no process of the tree is left: a program's end of data is then the end of the program
 */
void relay_conn_watch_all(struct relay_host *host, bool programs_gone);

/** Ends the waiting for names that has lasted long enough. Milliseconds until the next time; INFINITE: there is none. */
DWORD relay_names_tick(struct relay_host *host);

/** Where rules name hosts: tells the library what an answer of DNS says. */
void relay_tell_names(const struct relay_host *host, const uint8_t *data, uint32_t length);

#endif
