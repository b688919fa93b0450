/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_conn_internal.h What the files of a relayed connection share: relay_conn.c moves the bytes,
 * relay_connect.c chooses the way to the destination.
 */
#ifndef CLI_RELAY_CONN_INTERNAL_H
#define CLI_RELAY_CONN_INTERNAL_H

#include "relay_conn.h"
#include "relay_judge.h"

#include <assert.h>

/* Of either size in bytes; and how many large ones all connections together may have. */
enum { BUFFER_SMALL = 4096, BUFFER_LARGE = 64 * 1024, BUFFERS_LARGE_MAX = 128 };
static_assert((int)UPSTREAM_MESSAGE_MAX <= (int)BUFFER_LARGE, "what a destination says early finds room");

enum { CLIENT, SERVER };
enum { UP, DOWN }; /* half n receives from socket n and sends to the other one */

struct half {
    struct relay_op op;
    uint32_t length; /* bytes in the buffer */
    uint32_t sent;   /* of these, bytes passed on */
    bool ended;      /* the end of data has been received */
    char *large;     /* the buffer, while data comes fast; NULL: it is `small` */
    char small[BUFFER_SMALL];
};

struct relay_conn {
    struct relay_host *host;
    struct relay_conn *next, *previous;
    SOCKET sockets[2];
    struct half halves[2];
    enum {
        NAMING, /* it is not dialled before the program has said a name, or time is up */
        DIALLING,
        DIALLED, /* the program's connection is yet to come */
        RELAYING,
        CLOSING
    } state;
    uint64_t connection_id;           /* of an expected one, as the redirector gave it */
    struct relay_conn *next_expected; /* while it has no client socket */
    ULONGLONG expected_until;         /* once its program's connect() is answered */
    bool incoming;
    redirector_address destination;
    struct routes *routes;   /* what `ways` is of; NULL: nothing */
    struct ways ways;        /* how the destination may be reached, */
    uint32_t way;            /* and which of them it is now */
    ULONGLONG connect_until; /* 0: it has not begun */
    struct dial *dial;       /* NULL: none is under way */
    uint32_t pid;            /* of the program's end */
    struct report_entry *entry;
    enum report_outcome outcome;
    uint32_t os_error;
    bool name_wanted; /* the host's name is not known yet, and may still come */
    uint8_t *heard;   /* data received so far without a name; NULL: none */
    size_t heard_size;
    struct relay_judge *judge;       /* what a name would change; NULL: nothing */
    struct relay_conn *next_unnamed; /* while it waits for a name, */
    ULONGLONG unnamed_until;         /* which is so long; 0: it does not wait */
    bool answered;                   /* bytes of the destination have been passed on */
    struct dns_stream *answers;      /* of DNS; NULL: none was looked at */
};

/* The way that is taken. */
static inline const struct way *relay_conn_way(const struct relay_conn *conn)
{
    return &conn->ways.all[conn->way];
}

/* relay_conn.c */

/* Receives, into an empty buffer. */
void relay_conn_receive(struct relay_conn *conn, int direction);

/* Receives more of what the program says, behind what is there. False: there is no room. */
bool relay_conn_receive_more(struct relay_conn *conn);

/* Puts the destination's first bytes into the down half's buffer. false: no memory. */
bool relay_conn_take_early(struct relay_conn *conn, const char *data, uint32_t size);

void relay_conn_abort(struct relay_conn *conn, enum report_outcome outcome, DWORD error);

/* The destination is connected and the program is there; the down half's buffer may hold its first bytes. */
void relay_conn_relay(struct relay_conn *conn);

/* Frees it if all is over: the last thing that whoever has got a completion or a result does with it. */
void relay_conn_free_if_over(struct relay_conn *conn);

/* Whether the program still waits for the answer to its connect(). */
static inline bool relay_conn_is_expected(const struct relay_conn *conn)
{
    return conn->sockets[CLIENT] == INVALID_SOCKET && conn->state != CLOSING;
}

/* relay_open.c */

/* Takes it out of those that are expected, if it is one. */
void relay_conn_expected_no_more(struct relay_conn *conn);

/* Chooses its way anew, by what rules say now, which is not to block it. */
void relay_conn_choose_again(struct relay_conn *conn, const redirector_rule_verdict *v);

/* relay_connect.c */

/* Begins to connect to the destination, unless it waits for a name: then its program's connect() succeeds. */
void relay_connect_begin(struct relay_conn *conn);

/* Begins to connect to the destination; on failure aborts. */
void relay_connect(struct relay_conn *conn);

/* relay_name.c */

/* The program is there, and has said nothing yet: it has so much time to say a name. */
void relay_name_wait(struct relay_conn *conn);
void relay_name_wait_no_more(struct relay_conn *conn);

/* The program has sent this; 0 bytes: the end. */
void relay_name_heard(struct relay_conn *conn, const char *data, size_t size);

/* relay_name_dns.c: the destination has answered this, which the program gets next. */
void relay_name_answered(struct relay_conn *conn, const uint8_t *data, size_t size);

#endif
