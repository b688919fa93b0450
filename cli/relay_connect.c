/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: connects to the destination directly, or through an upstream proxy by its protocol. Until then
 * the down half has nothing to relay, so its buffer and its operation are used for connecting and for that protocol.
 */
#include "relay_conn_internal.h"

#include "address.h"

#ifndef SO_REUSE_UNICASTPORT
#define SO_REUSE_UNICASTPORT 0x3007
#endif

/* Overlapped operations do not need it, but no other call on the relay's one thread may wait for a peer. */
void relay_set_up_socket(SOCKET s)
{
    BOOL on = TRUE;
    u_long nonblocking = 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
    ioctlsocket(s, (long)FIONBIO, &nonblocking);
}

bool relay_connect(struct relay_conn *conn, DWORD *error)
{
    const redirector_address *address = conn->via ? &conn->via->address : &conn->destination;
    LPFN_CONNECTEX connect_ex = conn->host->connect_ex[address->family == 6];
    struct sockaddr_storage to, any = {0};
    int size = address_to_sockaddr(address, &to);
    BOOL on = TRUE;
    if (!connect_ex) {
        *error = WSAENETUNREACH;
        return false;
    }
    SOCKET s = conn->sockets[SERVER] = relay_socket(to.ss_family);
    any.ss_family = to.ss_family;
    if (s != INVALID_SOCKET) {
        relay_set_up_socket(s);
        /* ConnectEx wants a bound socket. This keeps the port unchosen until the destination is known, so that ports
         * run out per destination and not for the whole machine; where it is not known, binding picks one at once. */
        setsockopt(s, SOL_SOCKET, SO_REUSE_UNICASTPORT, (const char *)&on, sizeof on);
    }
    if (s == INVALID_SOCKET || bind(s, (struct sockaddr *)&any, size) != 0 ||
        !CreateIoCompletionPort((HANDLE)s, conn->host->port, 0, 0)) {
        *error = (DWORD)WSAGetLastError();
        return false;
    }
    struct relay_op *op = relay_conn_prepare(conn, &conn->halves[DOWN], RELAY_CONNECT, SERVER);
    return relay_conn_started(op, connect_ex(s, (struct sockaddr *)&to, size, NULL, 0, NULL, &op->overlapped), error);
}

void relay_connect_failed(struct relay_conn *conn, DWORD error)
{
    if (conn->via) {
        relay_conn_abort(conn, REPORT_NO_UPSTREAM, error);
        return;
    }
    switch (error) {
    case WSAECONNREFUSED:
        relay_conn_abort(conn, REPORT_REFUSED, 0);
        break;
    case WSAETIMEDOUT:
        relay_conn_abort(conn, REPORT_TIMED_OUT, 0);
        break;
    case WSAECONNRESET: /* accepted, and reset at once */
        relay_conn_abort(conn, REPORT_SERVER_RESET, 0);
        break;
    case WSAENETUNREACH:
    case WSAEHOSTUNREACH:
        relay_conn_abort(conn, REPORT_UNREACHABLE, error);
        break;
    default:
        relay_conn_abort(conn, REPORT_FAILED, error);
    }
}

/* ---- talking with an upstream proxy */

static enum report_outcome outcome_of(enum upstream_failure failure)
{
    static const enum report_outcome outcomes[] = {
        [UPSTREAM_OK] = REPORT_FAILED,         [UPSTREAM_NOT_A_PROXY] = REPORT_NO_PROXY,
        [UPSTREAM_NO_LOGIN] = REPORT_NO_LOGIN, [UPSTREAM_FORBIDS] = REPORT_FORBIDDEN,
        [UPSTREAM_NO_WAY] = REPORT_NO_WAY,     [UPSTREAM_REFUSED] = REPORT_REFUSED,
    };
    return outcomes[failure];
}

static void act(struct relay_conn *conn, enum upstream_next next)
{
    struct half *down = &conn->halves[DOWN];
    down->sent = 0;
    switch (next) {
    case UPSTREAM_SEND:
        relay_conn_send(conn, DOWN, SERVER);
        break;
    case UPSTREAM_RECEIVE:
        relay_conn_receive(conn, DOWN);
        break;
    case UPSTREAM_DONE:
        relay_conn_relay(conn);
        break;
    case UPSTREAM_FAILED:
        relay_conn_abort(conn, outcome_of(conn->talk.failure), 0);
        break;
    }
}

void relay_connected(struct relay_conn *conn)
{
    struct half *down = &conn->halves[DOWN];
    setsockopt(conn->sockets[SERVER], SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0);
    down->length = down->sent = 0;
    if (!conn->via) {
        relay_conn_relay(conn);
        return;
    }
    conn->state = TALKING;
    conn->talk = (upstream_talk){.to = conn->via, .destination = &conn->destination};
    act(conn, upstream_begin(&conn->talk, down->buffer, &down->length));
}

void relay_talk_sent(struct relay_conn *conn, DWORD bytes, DWORD error)
{
    struct half *down = &conn->halves[DOWN];
    if (error) {
        relay_conn_abort(conn, REPORT_NO_UPSTREAM, error);
        return;
    }
    down->sent += bytes;
    if (down->sent < down->length) {
        relay_conn_send(conn, DOWN, SERVER);
        return;
    }
    down->length = down->sent = 0;
    relay_conn_receive(conn, DOWN);
}

void relay_talk_received(struct relay_conn *conn, DWORD bytes, DWORD error)
{
    struct half *down = &conn->halves[DOWN];
    if (error) {
        relay_conn_abort(conn, REPORT_NO_UPSTREAM, error);
        return;
    }
    if (bytes == 0) { /* many proxies close instead of saying that a login is wrong */
        relay_conn_abort(conn, conn->talk.step == TALK_LOGIN ? REPORT_NO_LOGIN : REPORT_NO_PROXY, 0);
        return;
    }
    down->length += bytes;
    act(conn, upstream_feed(&conn->talk, down->buffer, &down->length));
}
