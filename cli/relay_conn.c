/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a relayed connection has two sockets and two halves.
 *
 *   program ── client socket ──[ up ]──→ server socket ── original destination
 *                            ←─[down]──
 *
 * Each half has one buffer and at most one operation under way: receive, then send all of it, then receive again. So
 * there is back-pressure: data that the slow side does not accept is not read from the fast one. The buffer is a small
 * one, because most connections of a program mostly wait. Data that fills it has more behind it, and then the half has
 * a large one until as little comes as fits into the small one; of large ones there are not more than so many, so the
 * memory per connection is bounded, too.
 *
 * A half that receives the end of data shuts down sending on its other side and is done; when both are done the
 * connection is closed. So each direction ends by itself, as between two programs without a relay.
 *
 * The up half starts before the server answers, so the program's first data waits in the buffer. relay_connect.c has
 * the server dialled, where rules name hosts perhaps not before that data has come.
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

/* ---- buffers */

static char *buffer_of(struct half *h)
{
    return h->large ? h->large : h->small;
}

/* Without memory for a large one it stays small. */
static void set_large(struct relay_conn *conn, int direction, bool large)
{
    struct half *h = &conn->halves[direction];
    if (large == (h->large != NULL)) {
        return;
    }
    if (large) {
        h->large = malloc(BUFFER_LARGE);
        conn->host->large_buffers += h->large != NULL;
    } else {
        free(h->large);
        h->large = NULL;
        conn->host->large_buffers--;
    }
}

/* By what was received last. */
static void fit_buffer(struct relay_conn *conn, int direction)
{
    struct half *h = &conn->halves[direction];
    if (h->length < BUFFER_SMALL) {
        set_large(conn, direction, false);
    } else if (conn->host->large_buffers < BUFFERS_LARGE_MAX) {
        set_large(conn, direction, true);
    }
}

bool relay_conn_take_early(struct relay_conn *conn, const char *data, uint32_t size)
{
    struct half *h = &conn->halves[DOWN];
    set_large(conn, DOWN, size > BUFFER_SMALL);
    if (size > (h->large ? BUFFER_LARGE : BUFFER_SMALL)) {
        return false;
    }
    if (size) {
        memcpy(buffer_of(h), data, size);
    }
    h->length = size;
    return true;
}

/* ---- beginning and end */

void relay_conn_free_if_over(struct relay_conn *conn)
{
    if (conn->state != CLOSING || conn->halves[UP].op.pending || conn->halves[DOWN].op.pending) {
        return;
    }
    struct relay_host *host = conn->host;
    report_end(host->report, conn->entry, conn->outcome, conn->os_error);
    set_large(conn, UP, false);
    set_large(conn, DOWN, false);
    free(conn->heard);
    relay_judge_free(conn->judge);
    free(conn->answers);
    if (conn->next) {
        conn->next->previous = conn->previous;
    }
    if (conn->previous) {
        conn->previous->next = conn->next;
    } else {
        host->first = conn->next;
    }
    routes_release(conn->routes);
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
    relay_name_wait_no_more(conn);
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

static struct relay_op *prepare(struct relay_conn *conn, struct half *h, enum relay_op_kind kind, int side)
{
    h->op = (struct relay_op){.kind = kind, .socket = conn->sockets[side], .owner = conn};
    return &h->op;
}

/* Behind what is there. */
static void receive(struct relay_conn *conn, int direction)
{
    struct half *h = &conn->halves[direction];
    int side = direction == UP ? CLIENT : SERVER;
    WSABUF buffer = {.len = (h->large ? BUFFER_LARGE : BUFFER_SMALL) - h->length, .buf = buffer_of(h) + h->length};
    DWORD flags = 0;
    struct relay_op *op = prepare(conn, h, RELAY_RECV, side);
    DWORD error = relay_op_started(op, WSARecv(op->socket, &buffer, 1, NULL, &flags, &op->overlapped, NULL) == 0);
    if (error) {
        abort_relaying(conn, side, error);
    }
}

void relay_conn_receive(struct relay_conn *conn, int direction)
{
    struct half *h = &conn->halves[direction];
    fit_buffer(conn, direction);
    h->length = h->sent = 0;
    receive(conn, direction);
}

bool relay_conn_receive_more(struct relay_conn *conn)
{
    struct half *h = &conn->halves[UP];
    bool room = h->length < (h->large ? BUFFER_LARGE : BUFFER_SMALL);
    if (room) {
        receive(conn, UP);
    }
    return room;
}

static void send_rest(struct relay_conn *conn, int direction)
{
    struct half *h = &conn->halves[direction];
    int side = direction == UP ? SERVER : CLIENT;
    WSABUF buffer = {.len = h->length - h->sent, .buf = buffer_of(h) + h->sent};
    struct relay_op *op = prepare(conn, h, RELAY_SEND, side);
    DWORD error = relay_op_started(op, WSASend(op->socket, &buffer, 1, NULL, 0, &op->overlapped, NULL) == 0);
    if (error) {
        abort_relaying(conn, side, error);
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
    } else {
        send_rest(conn, direction);
    }
}

void relay_conn_relay(struct relay_conn *conn)
{
    conn->state = RELAYING;
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
    const char *data = buffer_of(h) + h->length;
    h->length += bytes;
    h->ended = h->length == 0; /* else the end comes once more, behind what is there */
    if (direction == UP) {
        relay_name_heard(conn, data, bytes);
    } else {
        relay_name_answered(conn, (const uint8_t *)data, bytes);
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
        relay_conn_receive(conn, direction);
    }
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

/* It was accepted, but has not come: its program has given up. */
static void give_up_late(struct relay_conn *conn, ULONGLONG now)
{
    bool late = conn->state == DIALLED || (conn->state == NAMING && relay_conn_is_expected(conn));
    if (late && now >= conn->expected_until) {
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
