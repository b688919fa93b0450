/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a relayed connection has two sockets and two halves.
 *
 *   program ── client socket ──[ up ]──→ server socket ── original destination
 *                            ←─[down]──
 *
 * Each half has at most one operation under way: receive, then send all of it, then receive again. So there is
 * back-pressure: data that the slow side does not accept is not read from the fast one. A half waits with a small
 * buffer of its own. What is more than fits goes through one large block that all connections share: it is filled and
 * sent at once, and the next one fills it again. Only a send that has to wait takes the block along, and gives it back
 * when it is over; so memory is held where bytes are, and what 10 000 connections have that are silent is two small
 * buffers each. A half that receives the end of data shuts down sending on its other side and is done; when both
 * are done the connection is closed. So each direction ends by itself, as between two programs without a relay.
 *
 * The up half starts before the server answers, so the program's first data waits in the buffer; and the down half
 * starts before the program has come, so a server's first data waits there. relay_connect.c has the server dialled.
 *
 * An operation that is over at once is not fetched from the port (relay_socket.c), but put into a list, whose operations
 * are completed in turn: so no call lies within another one, and each connection has its turn.
 *
 * A socket on which no operation is under way tells of nothing: the program's, while its first data waits, or while the
 * server does not take what the program sends. Such sockets are looked at regularly, so that an end is noticed in every
 * state.
 *
 * Any error ends both halves with RST at both ends. Then the connection only waits for its operations to come back
 * (their memory is its memory), reports itself and is freed.
 */
#include "relay_conn_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- beginning and end */

static void give_back(struct relay_host *host, struct half *h)
{
    if (!host->block) {
        host->block = h->block;
    } else {
        free(h->block);
    }
    h->block = NULL;
}

void relay_conn_free_if_over(struct relay_conn *conn)
{
    if (conn->state != CLOSING || conn->halves[UP].op.pending || conn->halves[DOWN].op.pending) {
        return;
    }
    struct relay_host *host = conn->host;
    report_end(host->report, conn->entry, conn->outcome, conn->os_error);
    free(conn->heard);
    for (int i = 0; i < 2; i++) {
        if (conn->halves[i].block) {
            give_back(host, &conn->halves[i]);
        }
    }
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
    relay_conn_expected_no_more(conn);
    dial_cancel(conn->dial);
    conn->dial = NULL;
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

void relay_conn_take_socket(struct relay_conn *conn, int side, SOCKET s)
{
    conn->sockets[side] = s;
    conn->skips[side] = conn->host->may_skip_port && relay_skip_port(s);
}

static struct relay_op *prepare(struct relay_conn *conn, struct half *h, enum relay_op_kind kind, int side)
{
    h->op = (struct relay_op){.kind = kind, .socket = conn->sockets[side], .owner = conn};
    return &h->op;
}

/* Takes what starting an operation on this side has returned. */
static void started(struct relay_conn *conn, struct relay_op *op, int side, bool accepted)
{
    struct relay_host *host = conn->host;
    DWORD error = relay_op_started(op, accepted);
    if (error) {
        abort_relaying(conn, side, error);
    } else if (accepted && conn->skips[side]) {
        *(host->ready_end ? host->ready_end : &host->ready) = op;
        host->ready_end = &op->next;
    }
}

void relay_conn_receive(struct relay_conn *conn, int direction)
{
    struct half *h = &conn->halves[direction];
    int side = direction == UP ? CLIENT : SERVER;
    WSABUF buffer = {.len = RELAY_SMALL, .buf = h->small};
    DWORD flags = 0;
    struct relay_op *op = prepare(conn, h, RELAY_RECV, side);
    h->length = h->sent = 0;
    started(conn, op, side, WSARecv(op->socket, &buffer, 1, NULL, &flags, &op->overlapped, NULL) == 0);
}

static void send_rest(struct relay_conn *conn, int direction)
{
    struct half *h = &conn->halves[direction];
    int side = direction == UP ? SERVER : CLIENT;
    WSABUF buffer = {.len = h->length - h->sent, .buf = (h->block ? h->block : h->small) + h->sent};
    struct relay_op *op = prepare(conn, h, RELAY_SEND, side);
    started(conn, op, side, WSASend(op->socket, &buffer, 1, NULL, 0, &op->overlapped, NULL) == 0);
}

/* The shared block becomes the half's. False: no memory. */
static bool take_block(struct relay_host *host, struct half *h)
{
    h->block = host->block ? host->block : malloc(RELAY_BLOCK);
    host->block = NULL;
    return h->block != NULL;
}

bool relay_conn_take_early(struct relay_conn *conn, const char *data, uint32_t size)
{
    struct half *h = &conn->halves[DOWN];
    if (size > RELAY_SMALL && !take_block(conn->host, h)) {
        return false;
    }
    memcpy(h->block ? h->block : h->small, data, size);
    h->length = size;
    return true;
}

/*
 * The small buffer is full, so there is probably more: as much of it as the block holds is sent with it. An end or an
 * error that is found here is left alone: the next receive finds it again.
 */
static void gather(struct relay_conn *conn, int direction)
{
    struct half *h = &conn->halves[direction];
    SOCKET from = conn->sockets[direction == UP ? CLIENT : SERVER];
    if (!take_block(conn->host, h)) {
        return;
    }
    memcpy(h->block, h->small, RELAY_SMALL);
    int got = recv(from, h->block + RELAY_SMALL, RELAY_BLOCK - RELAY_SMALL, 0);
    if (got > 0) {
        h->length += (uint32_t)got;
    }
    if (got > 0 && direction == UP) {
        relay_name_heard(conn, h->block + RELAY_SMALL, (size_t)got);
    }
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
        return;
    }
    if (h->length == RELAY_SMALL && !h->block) {
        gather(conn, direction);
    }
    send_rest(conn, direction);
}

void relay_conn_listen_early(struct relay_conn *conn)
{
    if (!conn->halves[DOWN].length) {
        relay_conn_receive(conn, DOWN);
    }
}

void relay_conn_relay(struct relay_conn *conn)
{
    conn->state = RELAYING;
    if (conn->early_error) {
        abort_relaying(conn, SERVER, conn->early_error);
    }
    for (int direction = DOWN; direction >= UP && conn->state == RELAYING; direction--) {
        struct half *h = &conn->halves[direction];
        if (h->length || h->ended) {
            pass_on(conn, direction);
        } else if (direction == DOWN && !h->op.pending) {
            relay_conn_receive(conn, DOWN);
        }
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
    if (error && conn->state == DIALLED) { /* its program is told when it comes */
        conn->early_error = error;
        return;
    }
    if (error) {
        abort_relaying(conn, side, error);
        return;
    }
    h->length = bytes;
    h->ended = bytes == 0;
    if (direction == UP) {
        relay_name_heard(conn, h->small, bytes);
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
        return;
    }
    if (h->block) {
        give_back(conn->host, h);
    }
    relay_conn_receive(conn, direction);
}

void relay_conn_complete(struct relay_conn *conn, struct relay_op *op, DWORD bytes, DWORD error)
{
    int direction = op == &conn->halves[UP].op ? UP : DOWN;
    if (op->kind == RELAY_SEND && !error) { /* also while closing: it has been sent */
        report_bytes(conn->entry, direction == UP ? bytes : 0, direction == DOWN ? bytes : 0);
    }
    if (conn->state != CLOSING && op->kind == RELAY_RECV) {
        on_received(conn, direction, bytes, error);
    } else if (conn->state != CLOSING) {
        on_sent(conn, direction, bytes, error);
    }
    relay_conn_free_if_over(conn);
}

bool relay_conn_complete_ready(struct relay_host *host)
{
    enum { AT_ONCE = 64 }; /* then the port has its turn */
    for (int i = 0; host->ready && i < AT_ONCE; i++) {
        struct relay_op *op = host->ready;
        host->ready = op->next;
        if (!host->ready) {
            host->ready_end = NULL;
        }
        op->pending = false;
        relay_conn_complete(op->owner, op, (DWORD)op->overlapped.InternalHigh, 0);
    }
    return host->ready != NULL;
}

/* ---- ends that no operation tells of */

static bool is_watched(const struct relay_conn *conn, int side)
{
    const struct relay_op *from = &conn->halves[side == CLIENT ? UP : DOWN].op;
    const struct relay_op *to = &conn->halves[side == CLIENT ? DOWN : UP].op;
    return (from->pending && from->kind == RELAY_RECV) || (to->pending && to->kind == RELAY_SEND);
}

static void watch(struct relay_conn *conn)
{
    for (int side = 0; side < 2 && conn->state != CLOSING; side++) {
        if (conn->sockets[side] != INVALID_SOCKET && !is_watched(conn, side) && is_reset(conn, side)) {
            abort_relaying(conn, side, WSAECONNRESET);
        }
    }
}

/* No process of the tree is left: what the program has sent is still delivered, but an answer has no reader. */
static void end_without_program(struct relay_conn *conn)
{
    const struct half *sent = &conn->halves[conn->incoming ? DOWN : UP];
    if (relay_conn_is_expected(conn)) {
        relay_conn_abort(conn, REPORT_CLIENT_RESET, 0);
    }
    if (!sent->ended) {
        return;
    }
    if (conn->state == RELAYING) { /* its end of data has been passed on */
        close_both(conn);
    } else if (conn->state == DIALLING) { /* it has sent nothing */
        relay_conn_abort(conn, REPORT_CLIENT_RESET, 0);
    }
}

/* It was dialled and accepted, but has not come: its program has given up. */
static void give_up_late(struct relay_conn *conn, ULONGLONG now)
{
    if (conn->state == DIALLED && now >= conn->expected_until) {
        relay_conn_abort(conn, REPORT_CLIENT_RESET, 0);
    }
}

void relay_conn_watch_all(struct relay_host *host, bool programs_gone)
{
    ULONGLONG now = GetTickCount64();
    for (struct relay_conn *conn = host->first, *next; conn; conn = next) {
        next = conn->next;
        watch(conn);
        give_up_late(conn, now);
        if (programs_gone) {
            end_without_program(conn);
        }
        relay_conn_free_if_over(conn);
    }
}

void relay_conn_stop_all(struct relay_host *host)
{
    for (struct relay_conn *conn = host->first, *next; conn; conn = next) {
        next = conn->next;
        relay_conn_abort(conn, REPORT_STOPPED, 0);
        relay_conn_free_if_over(conn);
    }
}
