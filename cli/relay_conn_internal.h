/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_conn_internal.h What the files of a relayed connection share: relay_conn.c moves the bytes,
 * relay_connect.c connects to the destination.
 */
#ifndef CLI_RELAY_CONN_INTERNAL_H
#define CLI_RELAY_CONN_INTERNAL_H

#include "relay_conn.h"

enum { HALF_BUFFER = UPSTREAM_MESSAGE_MAX };

enum { CLIENT, SERVER };
enum { UP, DOWN }; /* half n receives from socket n and sends to the other one */

struct half {
    struct relay_op op;
    uint32_t length; /* bytes in the buffer */
    uint32_t sent;   /* of these, bytes passed on */
    bool ended;      /* the end of data has been received */
    char buffer[HALF_BUFFER];
};

struct relay_conn {
    struct relay_host *host;
    struct relay_conn *next, *previous;
    SOCKET sockets[2];
    struct half halves[2];
    enum { CONNECTING, TALKING, RELAYING, CLOSING } state; /* talking: with an upstream proxy */
    bool relaying; /* it has come as far as relaying: what is sent from then on is the program's or the server's */
    redirector_address destination;
    const struct upstream *via; /* NULL: directly */
    upstream_talk talk;
    struct report_entry *entry;
    enum report_outcome outcome;
    uint32_t os_error;
    bool name_wanted; /* the host's name is not known yet, and may still come */
    uint8_t *heard;   /* data received so far without a name; NULL: none */
    size_t heard_size;
};

/* relay_conn.c */

struct relay_op *relay_conn_prepare(struct relay_conn *conn, struct half *h, enum relay_op_kind kind, int side);

/* Takes the result of starting an operation; false if it could not be started. */
bool relay_conn_started(struct relay_op *op, bool accepted, DWORD *error);

/* Receives behind what is in the half's buffer. */
void relay_conn_receive(struct relay_conn *conn, int direction);

/* Sends a part of a half's buffer to a side: normally the other one, while talking the one it came from. */
void relay_conn_send(struct relay_conn *conn, int direction, int side);

void relay_conn_abort(struct relay_conn *conn, enum report_outcome outcome, DWORD error);

/* The destination is connected; the down half's buffer may hold its first bytes. */
void relay_conn_relay(struct relay_conn *conn);

/* relay_connect.c */

/* Starts connecting; false with the error if that is not possible. */
bool relay_connect(struct relay_conn *conn, DWORD *error);

void relay_connect_failed(struct relay_conn *conn, DWORD error);
void relay_connected(struct relay_conn *conn);

/* The down half's operation is over while talking. */
void relay_talk_sent(struct relay_conn *conn, DWORD bytes, DWORD error);
void relay_talk_received(struct relay_conn *conn, DWORD bytes, DWORD error);

void relay_set_up_socket(SOCKET s);

/* relay_name.c: the program has sent this. */
void relay_name_heard(struct relay_conn *conn, const char *data, size_t size);

#endif
