/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Listening. The redirector takes one port for both families; without IPv6, the machine has nothing to redirect there.
 */
#include "relay_listen.h"

#include <mstcpip.h>

enum {
    PORT_ATTEMPTS = 64,       /* to find a port that is free in both families */
    RECEIVE_BUFFER = 4 << 20, /* bytes of datagrams of all programs, while the relay is busy */
};

void relay_listen_close(struct relay_listener *l)
{
    if (l->socket != INVALID_SOCKET) {
        closesocket(l->socket);
    }
    l->socket = INVALID_SOCKET;
}

/* Binds to `port`, or to a free one if that is 0, and returns the port; 0: see WSAGetLastError(). */
static uint16_t bind_one(struct relay_listener *l, uint16_t port, bool everywhere)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (!everywhere) {
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        v6.sin6_addr = in6addr_loopback;
    }
    struct sockaddr *address = l->family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    int size = l->family == AF_INET ? (int)sizeof v4 : (int)sizeof v6;
    BOOL on = TRUE;
    l->socket = l->datagrams ? relay_datagram_socket(l->family, RECEIVE_BUFFER) : relay_socket(l->family);
    if (l->socket == INVALID_SOCKET) {
        return 0;
    }
    /* else another program could bind the same port and take connections away from us */
    setsockopt(l->socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&on, sizeof on);
    if (l->family == AF_INET6) { /* IPv4 has a socket of its own */
        setsockopt(l->socket, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&on, sizeof on);
    }
    if (bind(l->socket, address, size) != 0 || getsockname(l->socket, address, &size) != 0) {
        return 0;
    }
    return ntohs(l->family == AF_INET ? v4.sin_port : v6.sin6_port);
}

static DWORD bind_both(struct relay_listener pair[2], uint16_t *port, bool everywhere)
{
    uint16_t wanted = *port;
    DWORD error = 0;
    for (int attempt = 0; attempt < (wanted ? 1 : PORT_ATTEMPTS); attempt++) {
        *port = bind_one(&pair[0], wanted, everywhere);
        if (!*port) {
            return (DWORD)WSAGetLastError();
        }
        if (bind_one(&pair[1], *port, everywhere)) {
            return 0;
        }
        error = (DWORD)WSAGetLastError();
        relay_listen_close(&pair[1]);
        if (error == WSAEAFNOSUPPORT || error == WSAEADDRNOTAVAIL) {
            return 0;
        }
        relay_listen_close(&pair[0]);
    }
    return error;
}

static DWORD attach(const struct relay_listener *l, HANDLE completion_port)
{
    return CreateIoCompletionPort((HANDLE)l->socket, completion_port, 0, 0) ? 0 : GetLastError();
}

static DWORD prepare(struct relay_listener *l, HANDLE completion_port)
{
    if (l->socket == INVALID_SOCKET) {
        return 0;
    }
    if (!relay_extension(l->socket, (GUID)WSAID_ACCEPTEX, &l->accept_ex) || listen(l->socket, SOMAXCONN) != 0) {
        return (DWORD)WSAGetLastError();
    }
    return attach(l, completion_port);
}

DWORD relay_listen(struct relay_listener pair[2], uint16_t *port, bool everywhere, HANDLE completion_port)
{
    DWORD error = bind_both(pair, port, everywhere);
    for (int i = 0; i < 2 && !error; i++) {
        error = prepare(&pair[i], completion_port);
    }
    return error;
}

DWORD relay_receive_datagrams(struct relay_listener pair[2], uint16_t *port, HANDLE completion_port)
{
    static const int families[] = {AF_INET, AF_INET6};
    BOOL told = FALSE; /* of an answer that did not reach its program */
    DWORD bytes, error;
    for (int i = 0; i < 2; i++) {
        pair[i] = (struct relay_listener){.socket = INVALID_SOCKET, .family = families[i], .datagrams = true};
    }
    error = bind_both(pair, port, false);
    for (int i = 0; i < 2 && !error; i++) {
        if (pair[i].socket != INVALID_SOCKET) {
            WSAIoctl(pair[i].socket, SIO_UDP_CONNRESET, &told, sizeof told, NULL, 0, &bytes, NULL, NULL);
            error = attach(&pair[i], completion_port);
        }
    }
    return error;
}
