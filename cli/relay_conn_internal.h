/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_conn_internal.h What the files of a relayed connection share: relay_conn.c moves the bytes,
 * relay_connect.c chooses the way to the destination.
 */
#ifndef CLI_RELAY_CONN_INTERNAL_H
#define CLI_RELAY_CONN_INTERNAL_H

#include "relay_conn.h"

#include <assert.h>

enum {
    RELAY_SMALL = 2048,       /* what a connection has for itself, in each direction */
    RELAY_BLOCK = 128 * 1024, /* what all connections share; holds RELAY_SMALL and a dial's early bytes */
};
static_assert((int)RELAY_BLOCK >= (int)UPSTREAM_MESSAGE_MAX, "the first bytes of a destination fit");

enum { CLIENT, SERVER };
enum { UP, DOWN }; /* half n receives from socket n and sends to the other one */

struct half {
    struct relay_op op;
    uint32_t length; /* bytes that are to be passed on */
    uint32_t sent;   /* of these, bytes passed on */
    char *block;     /* where they are; NULL: in `small` */
    bool ended;      /* the end of data has been received */
    char small[RELAY_SMALL];
};

struct relay_conn {
    struct relay_host *host;
    struct relay_conn *next, *previous;
    SOCKET sockets[2];
    bool skips[2]; /* the port hands back of this socket only what was not over at once */
    struct half halves[2];
    enum { DIALLING, DIALLED, RELAYING, CLOSING } state; /* dialled: the program's connection is yet to come */
    uint64_t connection_id;                              /* of an expected one, as the redirector gave it */
    struct relay_conn *next_expected;                    /* while it has no client socket */
    ULONGLONG expected_until;                            /* dialled */
    DWORD early_error;                                   /* of the destination, while the program was yet to come */
    bool incoming;
    redirector_address destination;
    const struct upstream *via; /* NULL: directly */
    struct dial *dial;          /* NULL: none is under way */
    uint32_t pid;               /* of the program's end */
    struct report_entry *entry;
    enum report_outcome outcome;
    uint32_t os_error;
    bool name_wanted; /* the host's name is not known yet, and may still come */
    uint8_t *heard;   /* data received so far without a name; NULL: none */
    size_t heard_size;
};

/* relay_conn.c */

/* The socket is there, and on the port. */
void relay_conn_take_socket(struct relay_conn *conn, int side, SOCKET s);

/* What the destination has sent already, before anything was received from it. False: no memory. */
bool relay_conn_take_early(struct relay_conn *conn, const char *data, uint32_t size);

/* Receives; there is nothing that is to be passed on. */
void relay_conn_receive(struct relay_conn *conn, int direction);

void relay_conn_abort(struct relay_conn *conn, enum report_outcome outcome, DWORD error);

/* The program is yet to come: what the destination sends meanwhile is received. */
void relay_conn_listen_early(struct relay_conn *conn);

/* The destination is connected and the program is there; what either has sent so far is passed on. */
void relay_conn_relay(struct relay_conn *conn);

/* Frees it if all is over: the last thing that whoever has got a completion or a result does with it. */
void relay_conn_free_if_over(struct relay_conn *conn);

/* Whether the program still waits for the answer to its connect(). */
static inline bool relay_conn_is_expected(const struct relay_conn *conn)
{
    return conn->sockets[CLIENT] == INVALID_SOCKET && conn->state != CLOSING;
}

/* relay_open.c: takes it out of those that are expected, if it is one. */
void relay_conn_expected_no_more(struct relay_conn *conn);

/* relay_connect.c */

/* Begins to connect to the destination; on failure aborts. */
void relay_connect(struct relay_conn *conn);

/* relay_name.c: the program has sent this. */
void relay_name_heard(struct relay_conn *conn, const char *data, size_t size);

#endif
