/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: sockets never block, and are asked by select() what they can do. Strangers may connect to the
 * listener, too: only the peer that the connection must have there is let in.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "windows/own_connection.h"
#include "windows/text.h"

#include <stdlib.h>

enum { DISCARD_PORT = 9, STRANGERS_AT_A_TIME = 8, BACKLOG = 8 };

#ifndef WSA_FLAG_NO_HANDLE_INHERIT
#define WSA_FLAG_NO_HANDLE_INHERIT 0x80
#endif

#define WINSOCK_FUNCTIONS(X)                                                                                           \
    X(WSAStartup)                                                                                                      \
    X(WSACleanup)                                                                                                      \
    X(WSAGetLastError)                                                                                                 \
    X(WSASocketW)                                                                                                      \
    X(bind)                                                                                                            \
    X(listen)                                                                                                          \
    X(connect)                                                                                                         \
    X(accept)                                                                                                          \
    X(send)                                                                                                            \
    X(recv)                                                                                                            \
    X(select)                                                                                                          \
    X(getsockname)                                                                                                     \
    X(getsockopt)                                                                                                      \
    X(setsockopt)                                                                                                      \
    X(ioctlsocket)                                                                                                     \
    X(closesocket)

struct winsock {
    HMODULE module;
    bool started;
/* NOLINTNEXTLINE(bugprone-macro-parentheses): it is a name */
#define FUNCTION(name) __typeof__(name) *name;
    WINSOCK_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

struct winsock *winsock_open(void)
{
    struct winsock *w = calloc(1, sizeof *w);
    wchar_t *path = path_system_file(L"ws2_32.dll");
    WSADATA data;
    if (w && path) {
        w->module = LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    }
    free(path);
    bool ok = w && w->module;
#define FUNCTION(name)                                                                                                 \
    ok = ok && (w->name = (__typeof__(name) *)(void (*)(void))GetProcAddress(w->module, #name)) != NULL;
    WINSOCK_FUNCTIONS(FUNCTION)
#undef FUNCTION
    if (ok && w->WSAStartup(MAKEWORD(2, 2), &data) == 0) {
        w->started = true;
        return w;
    }
    winsock_close(w);
    return NULL;
}

void winsock_close(struct winsock *w)
{
    if (!w) {
        return;
    }
    if (w->started) {
        w->WSACleanup();
    }
    if (w->module) {
        FreeLibrary(w->module);
    }
    free(w);
}

/* ---- addresses */

static int to_sockaddr(const ip_addr *a, uint32_t family, be16 port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (family == FAMILY_IP4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)out;
        v4->sin_family = AF_INET;
        v4->sin_port = port.wire;
        memcpy(&v4->sin_addr, a->bytes + 12, sizeof v4->sin_addr);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = port.wire;
    memcpy(&v6->sin6_addr, a->bytes, sizeof v6->sin6_addr);
    return sizeof *v6;
}

static ip_addr from_sockaddr(const struct sockaddr_storage *from, be16 *port)
{
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
        *port = (be16){v4->sin_port};
        return ip_addr_from_ip4((const uint8_t *)&v4->sin_addr);
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
    *port = (be16){v6->sin6_port};
    return ip_addr_from_ip6((const uint8_t *)&v6->sin6_addr);
}

static SOCKET open_socket(struct winsock *w, uint32_t family, int type)
{
    BOOL on = TRUE;
    u_long nonblocking = 1;
    SOCKET s = w->WSASocketW(family == FAMILY_IP4 ? AF_INET : AF_INET6, type, 0, NULL, 0,
                             WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (s != INVALID_SOCKET) {
        /* else another program could bind the same port */
        w->setsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&on, sizeof on);
        w->ioctlsocket(s, (long)FIONBIO, &nonblocking);
    }
    return s;
}

/* The address that packets to `to` leave with: connecting a datagram socket asks for the route, and sends nothing. */
static bool route_to(struct winsock *w, uint32_t family, const ip_addr *to, ip_addr *from)
{
    struct sockaddr_storage address;
    be16 port = be16_from_host(DISCARD_PORT);
    int size = to_sockaddr(to, family, port, &address);
    SOCKET s = open_socket(w, family, SOCK_DGRAM);
    bool found = s != INVALID_SOCKET && w->connect(s, (struct sockaddr *)&address, size) == 0 &&
                 w->getsockname(s, (struct sockaddr *)&address, &size) == 0;
    if (s != INVALID_SOCKET) {
        w->closesocket(s);
    }
    *from = found ? from_sockaddr(&address, &port) : ip_addr_any(family);
    ip_addr loopback = ip_addr_loopback(family);
    return found && !ip_addr_is_any(from, family) && !ip_addr_equal(from, &loopback) && !ip_addr_is_link_local(from) &&
           !ip_addr_equal(from, to);
}

static bool is_among(const ip_addr *a, const ip_addr *all, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ip_addr_equal(a, &all[i])) {
            return true;
        }
    }
    return false;
}

bool own_connection_find_route(struct winsock *w, struct tuple *t, const ip_addr *own, uint32_t own_count)
{
    static const uint8_t nobody4[4] = {192, 0, 2, 1};
    static const uint8_t nobody6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    t->dst = t->family == FAMILY_IP4 ? ip_addr_from_ip4(nobody4) : ip_addr_from_ip6(nobody6);
    t->dst_port = be16_from_host(DISCARD_PORT);
    bool found = route_to(w, t->family, &t->dst, &t->src);
    for (uint32_t i = 0; i < own_count && !found; i++) {
        t->dst = own[i];
        t->dst.bytes[15] ^= 2;
        found = !is_among(&t->dst, own, own_count) && route_to(w, t->family, &t->dst, &t->src);
    }
    return found;
}

/* To the port that is asked for if it is free, else to any. 0: it failed. */
static uint16_t bind_port(struct winsock *w, SOCKET s, const ip_addr *address, uint32_t family, uint16_t wanted)
{
    struct sockaddr_storage local;
    be16 port = be16_from_host(0);
    int size = to_sockaddr(address, family, be16_from_host(wanted), &local);
    if (!wanted || w->bind(s, (struct sockaddr *)&local, size) != 0) {
        size = to_sockaddr(address, family, port, &local);
        if (w->bind(s, (struct sockaddr *)&local, size) != 0) {
            return 0;
        }
    }
    if (w->getsockname(s, (struct sockaddr *)&local, &size) == 0) {
        from_sockaddr(&local, &port);
    }
    return be16_to_host(port);
}

bool own_connection_bind(struct winsock *w, struct own_connection *c, const struct tuple *route)
{
    uint32_t family = route->family;
    be16 wanted = c->tuple.src_port;
    c->begun = c->connected = c->arrived = c->done = c->whole = c->kept_in = false;
    c->heard[0] = c->heard[1] = c->error = 0;
    c->accepted = INVALID_SOCKET;
    c->tuple = *route;
    ip_addr listening = c->reflect ? c->tuple.src : ip_addr_loopback(family);
    c->bound = true;
    c->client = open_socket(w, family, SOCK_STREAM);
    c->listener = open_socket(w, family, SOCK_STREAM);
    if (c->client != INVALID_SOCKET && c->listener != INVALID_SOCKET) {
        c->tuple.src_port = be16_from_host(bind_port(w, c->client, &c->tuple.src, family, be16_to_host(wanted)));
        c->listener_port = bind_port(w, c->listener, &listening, family, c->listener_port);
    }
    if (!c->tuple.src_port.wire || !c->listener_port) {
        own_connection_close(w, c);
    }
    return c->bound;
}

void own_connection_begin(struct winsock *w, struct own_connection *c)
{
    struct sockaddr_storage to;
    int size = to_sockaddr(&c->tuple.dst, c->tuple.family, c->tuple.dst_port, &to);
    c->begun = true;
    if (w->listen(c->listener, BACKLOG) != 0 || w->connect(c->client, (struct sockaddr *)&to, size) != 0) {
        uint32_t error = (uint32_t)w->WSAGetLastError();
        c->error = error == WSAEWOULDBLOCK ? 0 : error;
        c->kept_in = c->error;
    }
}

bool own_connection_was_refused(const struct own_connection *c)
{
    return c->error == WSAECONNREFUSED;
}

void own_connection_close(struct winsock *w, struct own_connection *c)
{
    const struct linger at_once = {.l_onoff = 1};
    const uintptr_t sockets[] = {c->client, c->accepted, c->listener};
    for (int i = 0; c->bound && i < 3; i++) {
        if (sockets[i] != INVALID_SOCKET) {
            w->setsockopt(sockets[i], SOL_SOCKET, SO_LINGER, (const char *)&at_once, sizeof at_once);
            w->closesocket(sockets[i]);
        }
    }
    c->bound = false;
}

/* ---- step by step */

static void say(struct winsock *w, struct own_connection *c, uintptr_t s, const uint8_t *word)
{
    const int at_once = 1;
    uint8_t again[OWN_SPEECH_SIZE - OWN_WORD_SIZE];
    for (size_t i = 0; i < sizeof again; i++) {
        again[i] = word[i % OWN_WORD_SIZE];
    }
    w->setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&at_once, sizeof at_once);
    if (w->send(s, (const char *)word, OWN_WORD_SIZE, 0) != OWN_WORD_SIZE) {
        c->error = (uint32_t)w->WSAGetLastError();
    }
    w->send(s, (const char *)again, sizeof again, 0); /* if not, the other end hears that it does not come */
}

/* Reads what has come. */
static void hear(struct winsock *w, struct own_connection *c, uintptr_t s, int end)
{
    uint8_t got[OWN_SPEECH_SIZE];
    int count = w->recv(s, (char *)got, OWN_SPEECH_SIZE - (int)c->heard[end], 0);
    if (count <= 0) {
        uint32_t error = count ? (uint32_t)w->WSAGetLastError() : WSAECONNRESET;
        c->error = error == WSAEWOULDBLOCK ? 0 : error;
    }
    for (int i = 0; i < count; i++) {
        if (got[i] != c->words[end][c->heard[end]++ % OWN_WORD_SIZE]) {
            c->error = WSAECONNABORTED; /* that is not what was said */
            return;
        }
    }
}

static void let_in(struct winsock *w, struct own_connection *c)
{
    struct sockaddr_storage from;
    ip_addr expected = c->reflect ? c->tuple.dst : ip_addr_loopback(c->tuple.family);
    for (int i = 0; i < STRANGERS_AT_A_TIME && !c->arrived; i++) {
        int size = sizeof from;
        SOCKET s = w->accept(c->listener, (struct sockaddr *)&from, &size);
        if (s == INVALID_SOCKET) {
            return;
        }
        be16 port;
        ip_addr peer = from_sockaddr(&from, &port);
        c->arrived = port.wire == c->tuple.src_port.wire && ip_addr_equal(&peer, &expected);
        if (c->arrived) {
            c->accepted = s; /* it does not block either: that is inherited */
        } else {
            w->closesocket(s);
        }
    }
}

static void note_connected(struct winsock *w, struct own_connection *c, bool writable, bool broken)
{
    int error = 0, size = sizeof error;
    if (broken) {
        w->getsockopt(c->client, SOL_SOCKET, SO_ERROR, (char *)&error, &size);
        c->error = error ? (uint32_t)error : WSAECONNREFUSED;
        c->kept_in = c->error == WSAEACCES; /* "unreachable" may come from a router, or from a neighbour that is not */
    } else if (writable) {
        c->connected = true;
        say(w, c, c->client, c->words[0]);
    }
}

/* FD_ISSET would be an import. */
static bool has(const fd_set *set, uintptr_t s)
{
    for (u_int i = 0; i < set->fd_count; i++) {
        if (set->fd_array[i] == s) {
            return true;
        }
    }
    return false;
}

static void add(fd_set *set, uintptr_t s)
{
    set->fd_array[set->fd_count++] = s;
}

/* What is to be read at the listener's end; INVALID_SOCKET: all has been. */
static uintptr_t awaited_there(const struct own_connection *c)
{
    return !c->arrived ? c->listener : c->heard[0] < OWN_SPEECH_SIZE ? c->accepted : INVALID_SOCKET;
}

static bool is_under_way(const struct own_connection *c)
{
    return c->bound && c->begun && !c->whole && !c->error;
}

static void go_on(struct winsock *w, struct own_connection *c, const fd_set *readable, const fd_set *writable,
                  const fd_set *broken)
{
    if (!c->connected) {
        note_connected(w, c, has(writable, c->client), has(broken, c->client));
    }
    if (!c->error && has(readable, awaited_there(c))) {
        if (!c->arrived) {
            let_in(w, c);
        } else {
            bool answered = c->heard[0] >= OWN_WORD_SIZE;
            hear(w, c, c->accepted, 0);
            if (!answered && !c->error && c->heard[0] >= OWN_WORD_SIZE) {
                say(w, c, c->accepted, c->words[1]);
            }
        }
    }
    if (!c->error && c->connected && has(readable, c->client)) {
        hear(w, c, c->client, 1);
    }
    c->done = c->done || (!c->error && c->heard[0] >= OWN_WORD_SIZE && c->heard[1] >= OWN_WORD_SIZE);
    c->whole = !c->error && c->heard[0] == OWN_SPEECH_SIZE && c->heard[1] == OWN_SPEECH_SIZE;
}

void own_connections_await(struct winsock *w, struct own_connection *all, uint32_t count, uint32_t ms)
{
    struct timeval patience = {.tv_usec = (long)ms * 1000};
    fd_set readable = {0}, writable = {0}, broken = {0};
    for (uint32_t i = 0; i < count; i++) {
        const struct own_connection *c = &all[i];
        if (is_under_way(c)) {
            if (awaited_there(c) != INVALID_SOCKET) {
                add(&readable, awaited_there(c));
            }
            if (c->connected) {
                add(&readable, c->client);
            } else {
                add(&writable, c->client);
                add(&broken, c->client);
            }
        }
    }
    if (!readable.fd_count) {
        Sleep(ms); /* select() wants something to look at */
        return;
    }
    if (w->select(0, &readable, &writable, &broken, &patience) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            if (is_under_way(&all[i])) {
                go_on(w, &all[i], &readable, &writable, &broken);
            }
        }
    }
}
