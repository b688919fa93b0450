/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Tries the proxies before the program runs: one that cannot be reached, or that rejects the password, is reported
 * once, before any connection fails.
 */
#include "upstream.h"

#include "address.h"
#include "output.h"

#include <windows.h>

enum { TRY_MS = 10000 };

/* Connects within the time. 0, or a Winsock error. */
static int connect_in_time(SOCKET s, const redirector_address *to)
{
    struct sockaddr_storage address;
    int size = address_to_sockaddr(to, &address), error = 0, error_size = sizeof error;
    u_long nonblocking = 1, blocking = 0;
    ioctlsocket(s, (long)FIONBIO, &nonblocking);
    if (connect(s, (struct sockaddr *)&address, size) != 0) {
        if (WSAGetLastError() != WSAEWOULDBLOCK) {
            return WSAGetLastError();
        }
        fd_set writable, failed;
        struct timeval patience = {.tv_sec = TRY_MS / 1000};
        FD_ZERO(&writable);
        FD_ZERO(&failed);
        FD_SET(s, &writable);
        FD_SET(s, &failed);
        if (select(0, NULL, &writable, &failed, &patience) <= 0) {
            return WSAETIMEDOUT;
        }
        if (getsockopt(s, SOL_SOCKET, SO_ERROR, (char *)&error, &error_size) != 0 || error) {
            return error ? error : WSAGetLastError();
        }
    }
    ioctlsocket(s, (long)FIONBIO, &blocking);
    return 0;
}

static bool send_all(SOCKET s, const char *data, uint32_t length)
{
    for (uint32_t sent = 0; sent < length;) {
        int count = send(s, data + sent, (int)(length - sent), 0);
        if (count <= 0) {
            return false;
        }
        sent += (uint32_t)count;
    }
    return true;
}

static enum upstream_failure talk_through(SOCKET s, const struct upstream *to)
{
    char buffer[UPSTREAM_MESSAGE_MAX];
    uint32_t length = 0;
    DWORD patience = TRY_MS;
    upstream_talk talk = {.to = to};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&patience, sizeof patience);
    enum upstream_next next = upstream_begin(&talk, buffer, &length);
    while (next == UPSTREAM_SEND || next == UPSTREAM_RECEIVE) {
        if (next == UPSTREAM_SEND) {
            if (!send_all(s, buffer, length)) {
                return UPSTREAM_NOT_A_PROXY;
            }
            length = 0;
        }
        int count = recv(s, buffer + length, (int)(sizeof buffer - length), 0);
        if (count <= 0) {
            return talk.step == TALK_LOGIN ? UPSTREAM_NO_LOGIN : UPSTREAM_NOT_A_PROXY;
        }
        length += (uint32_t)count;
        next = upstream_feed(&talk, buffer, &length);
    }
    return talk.failure;
}

static bool try_one(const struct upstream *u)
{
    SOCKET s = WSASocketW(u->address.family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0,
                          WSA_FLAG_NO_HANDLE_INHERIT);
    int error = s == INVALID_SOCKET ? WSAGetLastError() : connect_in_time(s, &u->address);
    enum upstream_failure failure = error ? UPSTREAM_OK : talk_through(s, u);
    if (s != INVALID_SOCKET) {
        closesocket(s);
    }
    if (error) {
        output_message("the upstream %s cannot be reached: %s (error %d)", u->name,
                       error == WSAECONNREFUSED ? "connection refused" : "no answer", error);
    } else if (failure) {
        output_message("the upstream %s %s", u->name, upstream_failure_text(failure));
    }
    return !error && !failure;
}

bool upstream_try_all(const struct upstream_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->entries[i].kind != UPSTREAM_DIRECT && !try_one(&list->entries[i])) {
            return false;
        }
    }
    return true;
}
