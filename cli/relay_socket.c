/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Keep-alive. A program sets it on its own socket, whose other end is the relay: what it is told of is the relay's end,
 * and no process can read the setting of another one's socket. So the relay keeps both its legs alive by a setting of
 * its own, and an end that has vanished ends the other one, too. A minute, because routers forget a silent connection
 * after some minutes; ten seconds between the probes, of which Windows sends ten, so that an outage of a minute and a
 * half ends nothing.
 *
 * Urgent data. The byte that TCP marks as urgent stays in its place among the others, which is how RFC 6093 wants
 * programs to take it; else it would be taken out and be lost. The mark itself is not passed on: Winsock tells an
 * overlapped receive neither that there is one nor where it is.
 */
#include "relay_socket.h"

#include <mstcpip.h>

enum {
    KEEPALIVE_IDLE_MS = 60000,
    KEEPALIVE_PROBE_MS = 10000,
};

DWORD relay_op_started(struct relay_op *op, bool accepted)
{
    DWORD error = accepted ? 0 : (DWORD)WSAGetLastError();
    op->pending = error == 0 || error == WSA_IO_PENDING;
    return op->pending ? 0 : error;
}

/* The port gives a general status; Winsock translates it to its own codes, even for a socket closed meanwhile. */
DWORD relay_op_result(struct relay_op *op, const OVERLAPPED_ENTRY *entry, DWORD *error)
{
    DWORD bytes = 0, flags;
    *error = 0;
    if (entry->Internal != 0 && !WSAGetOverlappedResult(op->socket, &op->overlapped, &bytes, FALSE, &flags)) {
        *error = (DWORD)WSAGetLastError();
    }
    op->pending = false;
    return entry->dwNumberOfBytesTransferred;
}

SOCKET relay_socket(int family)
{
    return WSASocketW(family, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
}

SOCKET relay_datagram_socket(int family, int buffer)
{
    SOCKET s = WSASocketW(family, SOCK_DGRAM, IPPROTO_UDP, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    u_long nonblocking = 1;
    if (s != INVALID_SOCKET) {
        setsockopt(s, SOL_SOCKET, SO_RCVBUF, (const char *)&buffer, sizeof buffer);
        ioctlsocket(s, (long)FIONBIO, &nonblocking);
    }
    return s;
}

void relay_set_up_socket(SOCKET s)
{
    BOOL on = TRUE;
    u_long nonblocking = 1; /* overlapped operations do not need it, but no other call may wait for a peer */
    struct tcp_keepalive alive = {
        .onoff = 1, .keepalivetime = KEEPALIVE_IDLE_MS, .keepaliveinterval = KEEPALIVE_PROBE_MS};
    DWORD bytes;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
    setsockopt(s, SOL_SOCKET, SO_OOBINLINE, (const char *)&on, sizeof on);
    ioctlsocket(s, (long)FIONBIO, &nonblocking);
    WSAIoctl(s, SIO_KEEPALIVE_VALS, &alive, sizeof alive, NULL, 0, &bytes, NULL, NULL);
}

void relay_reset(SOCKET s)
{
    if (s == INVALID_SOCKET) {
        return;
    }
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s, SOL_SOCKET, SO_LINGER, (const char *)&now, sizeof now);
    closesocket(s);
}

bool relay_extension(SOCKET s, GUID id, void *function)
{
    DWORD bytes;
    return WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, function, sizeof(void *), &bytes, NULL,
                    NULL) == 0;
}
