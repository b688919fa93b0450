/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a relayed connection has two sockets and two halves.
 *
 *   program ── client socket ──[ up ]──→ server socket ── original destination
 *                            ←─[down]──
 *
 * Each half has one buffer and at most one operation under way: receive, then send all of it, then receive again. So
 * there is back-pressure: data that the slow side does not accept is not read from the fast one, and the memory per
 * connection is fixed. A half that receives the end of data shuts down sending on its other side and is done; when both
 * are done the connection is closed. So each direction ends by itself, as between two programs without a relay.
 *
 * The up half starts before the server answers: the program's first data waits in the buffer, and a program that closes
 * before it sends anything is detected.
 *
 * relay_connect.c opens the connection to the server.
 *
 * Any error ends both halves with RST at both ends. Then the connection only waits for its operations to come back
 * (their memory is its memory), reports itself and is freed.
 */
#include "relay_conn_internal.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

SOCKET relay_socket(int family)
{
    return WSASocketW(family, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
}

void relay_reset(SOCKET socket)
{
    if (socket == INVALID_SOCKET) {
        return;
    }
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, (const char *)&now, sizeof now);
    closesocket(socket);
}

/* ---- beginning and end */

static void free_if_over(struct relay_conn *conn)
{
    if (conn->state != CLOSING || conn->halves[UP].op.pending || conn->halves[DOWN].op.pending) {
        return;
    }
    struct relay_host *host = conn->host;
    report_end(host->report, conn->entry, conn->outcome, conn->os_error);
    free(conn->heard);
    if (conn->next) {
        conn->next->previous = conn->previous;
    }
    if (conn->previous) {
        conn->previous->next = conn->next;
    } else {
        host->first = conn->next;
    }
    free(conn);
}

void relay_conn_abort(struct relay_conn *conn, enum report_outcome outcome, DWORD error)
{
    if (conn->state == CLOSING) {
        return;
    }
    conn->state = CLOSING;
    conn->outcome = outcome;
    conn->os_error = error;
    for (int i = 0; i < 2; i++) {
        if (conn->sockets[i] != INVALID_SOCKET) {
            CancelIoEx((HANDLE)conn->sockets[i], NULL);
        }
        relay_reset(conn->sockets[i]);
        conn->sockets[i] = INVALID_SOCKET;
    }
}

static void close_both(struct relay_conn *conn)
{
    conn->state = CLOSING;
    conn->outcome = REPORT_CLOSED;
    for (int i = 0; i < 2; i++) {
        closesocket(conn->sockets[i]);
        conn->sockets[i] = INVALID_SOCKET;
    }
}

/* `side` is the socket that failed. */
static void abort_relaying(struct relay_conn *conn, int side, DWORD error)
{
    switch (error) {
    case WSAECONNRESET:
    case WSAECONNABORTED:
    case WSAENETRESET:
        relay_conn_abort(conn, side == CLIENT ? REPORT_CLIENT_RESET : REPORT_SERVER_RESET, 0);
        break;
    case WSAETIMEDOUT:
        relay_conn_abort(conn, REPORT_TIMED_OUT, error);
        break;
    default:
        relay_conn_abort(conn, REPORT_FAILED, error);
    }
}

/* ---- operations */

struct relay_op *relay_conn_prepare(struct relay_conn *conn, struct half *h, enum relay_op_kind kind, int side)
{
    h->op = (struct relay_op){.kind = kind, .socket = conn->sockets[side], .owner = conn};
    return &h->op;
}

bool relay_conn_started(struct relay_op *op, bool accepted, DWORD *error)
{
    *error = accepted ? 0 : (DWORD)WSAGetLastError();
    op->pending = *error == 0 || *error == WSA_IO_PENDING;
    return op->pending;
}

void relay_conn_receive(struct relay_conn *conn, int direction)
{
    struct half *h = &conn->halves[direction];
    int side = direction == UP ? CLIENT : SERVER;
    WSABUF buffer = {.len = HALF_BUFFER - h->length, .buf = h->buffer + h->length};
    DWORD flags = 0, error;
    struct relay_op *op = relay_conn_prepare(conn, h, RELAY_RECV, side);
    if (!relay_conn_started(op, WSARecv(op->socket, &buffer, 1, NULL, &flags, &op->overlapped, NULL) == 0, &error)) {
        abort_relaying(conn, side, error);
    }
}

void relay_conn_send(struct relay_conn *conn, int direction, int side)
{
    struct half *h = &conn->halves[direction];
    WSABUF buffer = {.len = h->length - h->sent, .buf = h->buffer + h->sent};
    DWORD error;
    struct relay_op *op = relay_conn_prepare(conn, h, RELAY_SEND, side);
    if (!relay_conn_started(op, WSASend(op->socket, &buffer, 1, NULL, 0, &op->overlapped, NULL) == 0, &error)) {
        abort_relaying(conn, side, error);
    }
}

static void receive_anew(struct relay_conn *conn, int direction)
{
    conn->halves[direction].length = conn->halves[direction].sent = 0;
    relay_conn_receive(conn, direction);
}

static void send_rest(struct relay_conn *conn, int direction)
{
    relay_conn_send(conn, direction, direction == UP ? SERVER : CLIENT);
}

/* The end of data has come in this direction: pass it on. */
static void end_half(struct relay_conn *conn, int direction)
{
    int side = direction == UP ? SERVER : CLIENT;
    if (shutdown(conn->sockets[side], SD_SEND) != 0) {
        abort_relaying(conn, side, (DWORD)WSAGetLastError());
    } else if (conn->halves[UP].ended && conn->halves[DOWN].ended) {
        close_both(conn);
    }
}

/* Passes on what is in the buffer: data, or the end of it. */
static void pass_on(struct relay_conn *conn, int direction)
{
    struct half *h = &conn->halves[direction];
    if (h->ended) {
        end_half(conn, direction);
    } else {
        send_rest(conn, direction);
    }
}

void relay_conn_relay(struct relay_conn *conn)
{
    conn->state = RELAYING;
    conn->relaying = true;
    if (conn->halves[DOWN].length) {
        send_rest(conn, DOWN);
    } else {
        relay_conn_receive(conn, DOWN);
    }
    if (conn->state == RELAYING && !conn->halves[UP].op.pending) {
        pass_on(conn, UP);
    }
}

/*
 * Wine reports a reset that came between two receives as the end of data. Sending nothing tells them apart: it does
 * nothing on a half-closed connection, and fails on a reset one. It would fail too where sending is shut down, or stand
 * behind a send that is under way; there the end of data is taken as such.
 */
static bool is_reset(const struct relay_conn *conn, int side)
{
    const struct half *back = &conn->halves[side == CLIENT ? DOWN : UP]; /* what sends on this socket */
    if (back->ended || (back->op.pending && back->op.kind == RELAY_SEND)) {
        return false;
    }
    return send(conn->sockets[side], "", 0, 0) != 0 && WSAGetLastError() != WSAEWOULDBLOCK;
}

static void on_received(struct relay_conn *conn, int direction, DWORD bytes, DWORD error)
{
    struct half *h = &conn->halves[direction];
    int side = direction == UP ? CLIENT : SERVER;
    if (!error && bytes == 0 && is_reset(conn, side)) {
        error = WSAECONNRESET;
    }
    if (error) {
        abort_relaying(conn, side, error);
        return;
    }
    h->length = bytes;
    h->ended = bytes == 0;
    if (direction == UP) {
        relay_name_heard(conn, h->buffer, bytes);
    }
    if (conn->state == RELAYING) {
        pass_on(conn, direction);
    }
}

static void on_sent(struct relay_conn *conn, int direction, DWORD bytes, DWORD error)
{
    struct half *h = &conn->halves[direction];
    if (error) {
        abort_relaying(conn, direction == UP ? SERVER : CLIENT, error);
        return;
    }
    h->sent += bytes;
    if (h->sent < h->length) {
        send_rest(conn, direction);
    } else {
        receive_anew(conn, direction);
    }
}

void relay_conn_complete(struct relay_conn *conn, struct relay_op *op, DWORD bytes, DWORD error)
{
    int direction = op == &conn->halves[UP].op ? UP : DOWN;
    bool talking = conn->state == TALKING && direction == DOWN;
    if (op->kind == RELAY_SEND && !error && conn->relaying) { /* also while closing: it has been sent */
        report_bytes(conn->entry, direction == UP ? bytes : 0, direction == DOWN ? bytes : 0);
    }
    if (conn->state != CLOSING) {
        if (op->kind == RELAY_CONNECT && error) {
            relay_connect_failed(conn, error);
        } else if (op->kind == RELAY_CONNECT) {
            relay_connected(conn);
        } else if (op->kind == RELAY_RECV && talking) {
            relay_talk_received(conn, bytes, error);
        } else if (op->kind == RELAY_RECV) {
            on_received(conn, direction, bytes, error);
        } else if (talking) {
            relay_talk_sent(conn, bytes, error);
        } else {
            on_sent(conn, direction, bytes, error);
        }
    }
    free_if_over(conn);
}

/* ---- opening */

static struct report_entry *begin_report(struct relay_conn *conn, const redirector_address *peer,
                                         const redirector_destination *destination)
{
    char program[3 * 260];
    struct report_connection about = {
        .pid = destination->pid, .incoming = destination->incoming != 0, .destination = destination->destination};
    if (about.incoming) {
        about.peer = *peer;
    }
    /* now, because at the end the process may be gone */
    text_process_name(about.process, sizeof about.process / sizeof about.process[0], about.pid);
    text_copy_utf8(program, sizeof program, about.process);
    if (!about.incoming) {
        conn->via = upstream_choose(conn->host->upstreams, program, &about.destination);
    }
    if (conn->via) {
        snprintf(about.upstream, sizeof about.upstream, "%s", conn->via->name);
    }
    return report_begin(conn->host->report, &about);
}

void relay_conn_open(struct relay_host *host, SOCKET client, const redirector_address *peer,
                     const redirector_destination *destination)
{
    struct relay_conn *conn = calloc(1, sizeof *conn);
    if (conn) {
        conn->host = host;
        conn->entry = begin_report(conn, peer, destination);
    }
    if (!conn || !conn->entry) {
        free(conn);
        relay_reset(client);
        return;
    }
    conn->sockets[CLIENT] = client;
    conn->sockets[SERVER] = INVALID_SOCKET;
    conn->state = CONNECTING;
    conn->destination = destination->destination;
    conn->name_wanted = !destination->incoming;
    conn->next = host->first;
    if (conn->next) {
        conn->next->previous = conn;
    }
    host->first = conn;

    DWORD error;
    relay_set_up_socket(client);
    if (!CreateIoCompletionPort((HANDLE)client, host->port, 0, 0)) {
        relay_conn_abort(conn, REPORT_FAILED, GetLastError());
    } else if (!relay_connect(conn, &error)) {
        relay_connect_failed(conn, error);
    } else {
        relay_conn_receive(conn, UP);
    }
    free_if_over(conn);
}

void relay_conn_stop_all(struct relay_host *host)
{
    for (struct relay_conn *conn = host->first, *next; conn; conn = next) {
        next = conn->next;
        relay_conn_abort(conn, REPORT_STOPPED, 0);
        free_if_over(conn);
    }
}
