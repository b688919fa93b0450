/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * One relayed connection: two sockets and two halves.
 *
 *   program ── client socket ──[ up ]──→ server socket ── original destination
 *                            ←─[down]──
 *
 * Each half has one buffer and at most one operation under way: receive, then send all of it, then receive again. That
 * is the whole of back-pressure: what the slow side does not take is not read from the fast one, and memory per
 * connection is fixed. A half that receives the end of data shuts down sending on its other side and is done; when both
 * are done the connection is closed. So each direction ends for itself, as between two programs without a relay.
 *
 * The up half starts before the server answers: the first that the program sends waits in the buffer, and a program
 * that gives up before it sends anything is noticed.
 *
 * Any error ends both halves with RST at both ends. Then the connection only waits for its operations to come back
 * (their memory is its memory), reports itself and is freed.
 */
#include "relay_conn.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { HALF_BUFFER = 16384 };

#ifndef SO_REUSE_UNICASTPORT
#define SO_REUSE_UNICASTPORT 0x3007
#endif

enum { CLIENT, SERVER };
enum { UP, DOWN }; /* half n receives from socket n and sends to the other one */

typedef struct half {
    relay_op op;
    uint32_t length; /* bytes in the buffer */
    uint32_t sent;   /* of these, bytes passed on */
    bool ended;      /* the end of data has been received */
    char buffer[HALF_BUFFER];
} half;

struct relay_conn {
    relay_host *host;
    relay_conn *next, *previous;
    SOCKET sockets[2];
    half halves[2];
    enum { CONNECTING, RELAYING, CLOSING } state;
    LARGE_INTEGER started;
    report_connection record;
};

SOCKET relay_socket(int family)
{
    return WSASocketW(family, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
}

void relay_reset(SOCKET socket)
{
    if (socket == INVALID_SOCKET)
        return;
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, (const char *)&now, sizeof now);
    closesocket(socket);
}

/* ---- beginning and end */

/* At the beginning, because at the end the process may be gone. */
static void find_process_name(report_connection *record)
{
    wchar_t path[1024];
    DWORD size = sizeof path / sizeof path[0];
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, record->pid);
    if (!process)
        return;
    if (QueryFullProcessImageNameW(process, 0, path, &size)) {
        const wchar_t *name = text_base_name(path);
        wcsncpy(record->process, name, sizeof record->process / sizeof record->process[0] - 1);
    }
    CloseHandle(process);
}

static void report_end(relay_conn *conn)
{
    LARGE_INTEGER now, frequency;
    FILETIME end;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    GetSystemTimePreciseAsFileTime(&end);
    double seconds = (double)(now.QuadPart - conn->started.QuadPart) / (double)frequency.QuadPart;
    conn->record.duration_us = (uint64_t)(seconds * 1e6);
    conn->record.end_time = (uint64_t)end.dwHighDateTime << 32 | end.dwLowDateTime;
    report_add(conn->host->report, &conn->record);
}

static void free_if_over(relay_conn *conn)
{
    if (conn->state != CLOSING || conn->halves[UP].op.pending || conn->halves[DOWN].op.pending)
        return;
    relay_host *host = conn->host;
    report_end(conn);
    if (conn->next)
        conn->next->previous = conn->previous;
    if (conn->previous)
        conn->previous->next = conn->next;
    else
        host->first = conn->next;
    free(conn);
}

static void abort_both(relay_conn *conn, report_outcome outcome, DWORD error)
{
    if (conn->state == CLOSING)
        return;
    conn->state = CLOSING;
    conn->record.outcome = outcome;
    conn->record.os_error = error;
    for (int i = 0; i < 2; i++) {
        if (conn->sockets[i] != INVALID_SOCKET)
            CancelIoEx((HANDLE)conn->sockets[i], NULL);
        relay_reset(conn->sockets[i]);
        conn->sockets[i] = INVALID_SOCKET;
    }
}

static void close_both(relay_conn *conn)
{
    conn->state = CLOSING;
    conn->record.outcome = REPORT_CLOSED;
    for (int i = 0; i < 2; i++) {
        closesocket(conn->sockets[i]);
        conn->sockets[i] = INVALID_SOCKET;
    }
}

/* `side` is the socket that failed. */
static void abort_relaying(relay_conn *conn, int side, DWORD error)
{
    switch (error) {
    case WSAECONNRESET:
    case WSAECONNABORTED:
    case WSAENETRESET:
        abort_both(conn, side == CLIENT ? REPORT_CLIENT_RESET : REPORT_SERVER_RESET, 0);
        break;
    case WSAETIMEDOUT:
        abort_both(conn, REPORT_TIMED_OUT, error);
        break;
    default:
        abort_both(conn, REPORT_FAILED, error);
    }
}

static void abort_connecting(relay_conn *conn, DWORD error)
{
    switch (error) {
    case WSAECONNREFUSED:
        abort_both(conn, REPORT_REFUSED, 0);
        break;
    case WSAETIMEDOUT:
        abort_both(conn, REPORT_TIMED_OUT, 0);
        break;
    case WSAECONNRESET: /* accepted, and reset at once */
        abort_both(conn, REPORT_SERVER_RESET, 0);
        break;
    case WSAENETUNREACH:
    case WSAEHOSTUNREACH:
        abort_both(conn, REPORT_UNREACHABLE, error);
        break;
    default:
        abort_both(conn, REPORT_FAILED, error);
    }
}

/* ---- operations */

static relay_op *prepare(relay_conn *conn, half *h, relay_op_kind kind, int side)
{
    h->op = (relay_op){.kind = kind, .socket = conn->sockets[side], .owner = conn};
    return &h->op;
}

/* Takes the result of starting an operation; false if it could not be started. */
static bool started(relay_op *op, bool accepted, DWORD *error)
{
    *error = accepted ? 0 : (DWORD)WSAGetLastError();
    op->pending = *error == 0 || *error == WSA_IO_PENDING;
    return op->pending;
}

static void receive(relay_conn *conn, int direction)
{
    half *h = &conn->halves[direction];
    int side = direction == UP ? CLIENT : SERVER;
    WSABUF buffer = {.len = HALF_BUFFER, .buf = h->buffer};
    DWORD flags = 0, error;
    h->length = h->sent = 0;
    relay_op *op = prepare(conn, h, RELAY_RECV, side);
    if (!started(op, WSARecv(op->socket, &buffer, 1, NULL, &flags, &op->overlapped, NULL) == 0, &error))
        abort_relaying(conn, side, error);
}

static void send_rest(relay_conn *conn, int direction)
{
    half *h = &conn->halves[direction];
    int side = direction == UP ? SERVER : CLIENT;
    WSABUF buffer = {.len = h->length - h->sent, .buf = h->buffer + h->sent};
    DWORD error;
    relay_op *op = prepare(conn, h, RELAY_SEND, side);
    if (!started(op, WSASend(op->socket, &buffer, 1, NULL, 0, &op->overlapped, NULL) == 0, &error))
        abort_relaying(conn, side, error);
}

/* The end of data has come in this direction: pass it on. */
static void end_half(relay_conn *conn, int direction)
{
    int side = direction == UP ? SERVER : CLIENT;
    if (shutdown(conn->sockets[side], SD_SEND) != 0)
        abort_relaying(conn, side, (DWORD)WSAGetLastError());
    else if (conn->halves[UP].ended && conn->halves[DOWN].ended)
        close_both(conn);
}

/* Passes on what is in the buffer: data, or the end of it. */
static void pass_on(relay_conn *conn, int direction)
{
    half *h = &conn->halves[direction];
    if (h->ended)
        end_half(conn, direction);
    else
        send_rest(conn, direction);
}

static void on_connected(relay_conn *conn, DWORD error)
{
    if (error) {
        abort_connecting(conn, error);
        return;
    }
    setsockopt(conn->sockets[SERVER], SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0);
    conn->state = RELAYING;
    receive(conn, DOWN);
    if (conn->state == RELAYING && !conn->halves[UP].op.pending)
        pass_on(conn, UP);
}

/*
 * Wine reports a reset that came between two receives as the end of data. Sending nothing tells them apart: it does
 * nothing on a half-closed connection, and fails on a reset one. It would fail too where sending is shut down, or stand
 * behind a send that is under way; there the end of data is taken for what it says.
 */
static bool is_reset(const relay_conn *conn, int side)
{
    const half *back = &conn->halves[side == CLIENT ? DOWN : UP]; /* what sends on this socket */
    if (back->ended || (back->op.pending && back->op.kind == RELAY_SEND))
        return false;
    return send(conn->sockets[side], "", 0, 0) != 0 && WSAGetLastError() != WSAEWOULDBLOCK;
}

static void on_received(relay_conn *conn, int direction, DWORD bytes, DWORD error)
{
    half *h = &conn->halves[direction];
    int side = direction == UP ? CLIENT : SERVER;
    if (!error && bytes == 0 && is_reset(conn, side))
        error = WSAECONNRESET;
    if (error) {
        abort_relaying(conn, side, error);
        return;
    }
    h->length = bytes;
    h->ended = bytes == 0;
    if (conn->state == RELAYING)
        pass_on(conn, direction);
}

static void on_sent(relay_conn *conn, int direction, DWORD bytes, DWORD error)
{
    half *h = &conn->halves[direction];
    if (error) {
        abort_relaying(conn, direction == UP ? SERVER : CLIENT, error);
        return;
    }
    h->sent += bytes;
    if (h->sent < h->length)
        send_rest(conn, direction);
    else
        receive(conn, direction);
}

void relay_conn_complete(relay_conn *conn, relay_op *op, DWORD bytes, DWORD error)
{
    int direction = op == &conn->halves[UP].op ? UP : DOWN;
    if (op->kind == RELAY_SEND && !error) /* also while closing: it has been sent */
        *(direction == UP ? &conn->record.bytes_up : &conn->record.bytes_down) += bytes;
    if (conn->state != CLOSING) {
        if (op->kind == RELAY_CONNECT)
            on_connected(conn, error);
        else if (op->kind == RELAY_RECV)
            on_received(conn, direction, bytes, error);
        else
            on_sent(conn, direction, bytes, error);
    }
    free_if_over(conn);
}

/* ---- opening */

/* Overlapped operations do not care, but nothing else on the relay's one thread may wait for a peer. */
static void set_up_socket(SOCKET s)
{
    BOOL on = TRUE;
    u_long nonblocking = 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
    ioctlsocket(s, (long)FIONBIO, &nonblocking);
}

static int to_sockaddr(const redirector_address *address, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (address->family == 6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)address->port);
        memcpy(&v6->sin6_addr, address->bytes, 16);
        return sizeof *v6;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)address->port);
    memcpy(&v4->sin_addr, address->bytes, 4);
    return sizeof *v4;
}

/* Starts connecting to the destination: the down half is free until then, so its operation carries this one. */
static bool connect_server(relay_conn *conn, LPFN_CONNECTEX connect_ex, DWORD *error)
{
    struct sockaddr_storage to, any = {0};
    int size = to_sockaddr(&conn->record.destination, &to);
    BOOL on = TRUE;
    SOCKET s = conn->sockets[SERVER] = relay_socket(to.ss_family);
    any.ss_family = to.ss_family;
    if (s != INVALID_SOCKET) {
        set_up_socket(s);
        /* ConnectEx wants a bound socket. This keeps the port unchosen until the destination is known, so that ports
         * run out per destination and not for the whole machine; where it is not known, binding picks one at once. */
        setsockopt(s, SOL_SOCKET, SO_REUSE_UNICASTPORT, (const char *)&on, sizeof on);
    }
    if (s == INVALID_SOCKET || bind(s, (struct sockaddr *)&any, size) != 0 ||
        !CreateIoCompletionPort((HANDLE)s, conn->host->port, 0, 0)) {
        *error = (DWORD)WSAGetLastError();
        return false;
    }
    relay_op *op = prepare(conn, &conn->halves[DOWN], RELAY_CONNECT, SERVER);
    return started(op, connect_ex(s, (struct sockaddr *)&to, size, NULL, 0, NULL, &op->overlapped), error);
}

void relay_conn_open(relay_host *host, SOCKET client, LPFN_CONNECTEX connect_ex,
                     const redirector_destination *destination)
{
    relay_conn *conn = calloc(1, sizeof *conn);
    if (!conn) {
        relay_reset(client);
        return;
    }
    conn->host = host;
    conn->sockets[CLIENT] = client;
    conn->sockets[SERVER] = INVALID_SOCKET;
    conn->state = CONNECTING;
    conn->record.pid = destination->pid;
    conn->record.destination = destination->destination;
    QueryPerformanceCounter(&conn->started);
    find_process_name(&conn->record);
    conn->next = host->first;
    if (conn->next)
        conn->next->previous = conn;
    host->first = conn;

    DWORD error;
    set_up_socket(client);
    if (!CreateIoCompletionPort((HANDLE)client, host->port, 0, 0))
        abort_both(conn, REPORT_FAILED, GetLastError());
    else if (!connect_server(conn, connect_ex, &error))
        abort_connecting(conn, error);
    else
        receive(conn, UP);
    free_if_over(conn);
}

void relay_conn_stop_all(relay_host *host)
{
    for (relay_conn *conn = host->first, *next; conn; conn = next) {
        next = conn->next;
        abort_both(conn, REPORT_STOPPED, 0);
        free_if_over(conn);
    }
}
