/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The relay. One thread and one completion port drive everything: accepts, and all connections (relay_conn.c). Nothing
 * is locked, because nothing of the relay's is touched by another thread while it serves, but the event and the counter
 * that relay_wait_idle() looks at.
 *
 * A peer is accepted only if the redirector knows it: the ports are reachable for every program of this machine, and
 * for a stranger there is no destination to connect to.
 */
#include "relay.h"

#include "relay_conn.h"

#include <process.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    ACCEPTS = 16,       /* outstanding, per family; the backlog holds what comes faster */
    PORT_ATTEMPTS = 64, /* to find a port that is free in both families */
    REARM_MS = 1000,    /* pause after Windows refused to accept */
    IDLE_MS = 250,      /* a connection on its way through driver and backlog shows up within this */
    COMPLETIONS = 64,   /* taken from the port at once */
};

typedef struct relay_listener {
    SOCKET socket;
    int family;
    LPFN_ACCEPTEX accept_ex;
    LPFN_CONNECTEX connect_ex;
} relay_listener;

typedef struct relay_accept {
    relay_op op; /* its socket is the listener's */
    relay_listener *listener;
    SOCKET socket;
    char addresses[2 * (sizeof(struct sockaddr_in6) + 16)];
} relay_accept;

struct relay {
    relay_host host;
    redirector *redirector;
    relay_listener listeners[2]; /* IPv4; IPv6, whose socket is invalid on a machine without it */
    relay_accept accepts[2][ACCEPTS];
    uint16_t port;
    HANDLE thread;
    HANDLE idle;          /* set while no connection is live */
    atomic_uint accepted; /* connections so far */
    bool stopping;
};

/* ---- listening */

static void close_listeners(relay *r)
{
    for (int i = 0; i < 2; i++) {
        if (r->listeners[i].socket != INVALID_SOCKET)
            closesocket(r->listeners[i].socket);
        r->listeners[i].socket = INVALID_SOCKET;
    }
}

/* Binds to loopback, to `port` or to a free one if that is 0, and returns the port; 0: see WSAGetLastError(). */
static uint16_t bind_loopback(relay_listener *l, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr *address = l->family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    int size = l->family == AF_INET ? (int)sizeof v4 : (int)sizeof v6;
    BOOL on = TRUE;
    l->socket = relay_socket(l->family);
    if (l->socket == INVALID_SOCKET)
        return 0;
    /* else another program could bind the same port and take connections away from us */
    setsockopt(l->socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&on, sizeof on);
    if (bind(l->socket, address, size) != 0 || getsockname(l->socket, address, &size) != 0)
        return 0;
    return ntohs(l->family == AF_INET ? v4.sin_port : v6.sin6_port);
}

/* The same port in both families: the redirector takes one number. Without IPv6 there is nothing of it to redirect. */
static DWORD bind_both(relay *r)
{
    DWORD error = 0;
    for (int attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
        r->port = bind_loopback(&r->listeners[0], 0);
        if (!r->port)
            return (DWORD)WSAGetLastError();
        if (bind_loopback(&r->listeners[1], r->port))
            return 0;
        error = (DWORD)WSAGetLastError();
        if (error == WSAEAFNOSUPPORT || error == WSAEADDRNOTAVAIL) {
            if (r->listeners[1].socket != INVALID_SOCKET)
                closesocket(r->listeners[1].socket);
            r->listeners[1].socket = INVALID_SOCKET;
            return 0;
        }
        close_listeners(r);
    }
    return error;
}

static bool load_extension(SOCKET s, GUID id, void *function)
{
    DWORD bytes;
    return WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, function, sizeof(void *), &bytes, NULL,
                    NULL) == 0;
}

static DWORD prepare_listener(relay *r, relay_listener *l)
{
    if (l->socket == INVALID_SOCKET)
        return 0;
    if (!load_extension(l->socket, (GUID)WSAID_ACCEPTEX, &l->accept_ex) ||
        !load_extension(l->socket, (GUID)WSAID_CONNECTEX, &l->connect_ex) || listen(l->socket, SOMAXCONN) != 0)
        return (DWORD)WSAGetLastError();
    return CreateIoCompletionPort((HANDLE)l->socket, r->host.port, 0, 0) ? 0 : GetLastError();
}

relay *relay_open(report *report, uint32_t *error)
{
    WSADATA data;
    relay *r = calloc(1, sizeof *r);
    *error = r ? (uint32_t)WSAStartup(MAKEWORD(2, 2), &data) : ERROR_OUTOFMEMORY;
    if (*error) {
        free(r);
        return NULL;
    }
    r->listeners[0] = (relay_listener){.socket = INVALID_SOCKET, .family = AF_INET};
    r->listeners[1] = (relay_listener){.socket = INVALID_SOCKET, .family = AF_INET6};
    r->host.report = report;
    r->host.port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    r->idle = CreateEventW(NULL, TRUE, TRUE, NULL);
    *error = r->host.port && r->idle ? bind_both(r) : GetLastError();
    for (int i = 0; i < 2 && !*error; i++)
        *error = prepare_listener(r, &r->listeners[i]);
    if (*error) {
        relay_close(r);
        return NULL;
    }
    return r;
}

uint16_t relay_port(const relay *r)
{
    return r->port;
}

/* ---- serving; all of this on the relay's thread */

/* False: Windows refuses for now (out of sockets or memory). */
static bool arm(relay_accept *a)
{
    enum { ADDRESS_SIZE = sizeof a->addresses / 2 };
    DWORD bytes;
    a->socket = relay_socket(a->listener->family);
    if (a->socket == INVALID_SOCKET)
        return false;
    a->op = (relay_op){.kind = RELAY_ACCEPT, .socket = a->listener->socket, .owner = a};
    a->op.pending = a->listener->accept_ex(a->listener->socket, a->socket, a->addresses, 0, ADDRESS_SIZE, ADDRESS_SIZE,
                                           &bytes, &a->op.overlapped) ||
                    WSAGetLastError() == WSA_IO_PENDING;
    if (!a->op.pending)
        closesocket(a->socket);
    return a->op.pending;
}

/* Arms every accept that is not; false if some could not be. */
static bool arm_all(relay *r)
{
    bool all = true;
    for (int family = 0; family < 2; family++) {
        if (r->listeners[family].socket == INVALID_SOCKET)
            continue;
        for (int i = 0; i < ACCEPTS; i++) {
            relay_accept *a = &r->accepts[family][i];
            a->listener = &r->listeners[family];
            if (!a->op.pending)
                all = arm(a) && all;
        }
    }
    return all;
}

static bool find_peer(SOCKET client, redirector_address *out)
{
    struct sockaddr_storage from;
    int size = sizeof from;
    redirector_address peer = {0};
    if (getpeername(client, (struct sockaddr *)&from, &size) != 0)
        return false;
    if (from.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&from;
        peer.family = 6;
        peer.port = ntohs(v6->sin6_port);
        memcpy(peer.bytes, &v6->sin6_addr, 16);
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&from;
        peer.family = 4;
        peer.port = ntohs(v4->sin_port);
        memcpy(peer.bytes, &v4->sin_addr, 4);
    }
    *out = peer;
    return true;
}

static void on_accepted(relay *r, relay_accept *a, DWORD error)
{
    redirector_destination destination = {.size = sizeof destination};
    redirector_address peer;
    SOCKET client = a->socket;
    if (error || r->stopping) { /* for instance: the peer has gone before it was accepted */
        closesocket(client);
        return;
    }
    atomic_fetch_add(&r->accepted, 1);
    setsockopt(client, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&a->listener->socket,
               sizeof a->listener->socket);
    if (!find_peer(client, &peer)) { /* it has gone meanwhile */
        closesocket(client);
        return;
    }
    if (redirector_lookup(r->redirector, &peer, &destination) != REDIRECTOR_OK) {
        report_stranger(r->host.report);
        relay_reset(client);
        return;
    }
    const relay_listener *l = &r->listeners[destination.destination.family == 6];
    relay_conn_open(&r->host, client, l->connect_ex, &destination);
}

static void on_completion(relay *r, const OVERLAPPED_ENTRY *entry)
{
    if (!entry->lpOverlapped) { /* relay_close() */
        r->stopping = true;
        return;
    }
    relay_op *op = CONTAINING_RECORD(entry->lpOverlapped, relay_op, overlapped);
    /* The port gives a general status; Winsock translates it to its own codes, even for a socket closed meanwhile. */
    DWORD bytes = 0, flags, error = 0;
    if (entry->Internal != 0 && !WSAGetOverlappedResult(op->socket, &op->overlapped, &bytes, FALSE, &flags))
        error = (DWORD)WSAGetLastError();
    bytes = entry->dwNumberOfBytesTransferred;
    op->pending = false;
    if (op->kind == RELAY_ACCEPT)
        on_accepted(r, op->owner, error);
    else
        relay_conn_complete(op->owner, op, bytes, error);
}

static bool accepts_pending(const relay *r)
{
    for (int i = 0; i < 2 * ACCEPTS; i++) {
        if (r->accepts[i / ACCEPTS][i % ACCEPTS].op.pending)
            return true;
    }
    return false;
}

static void take_completions(relay *r, DWORD patience_ms)
{
    OVERLAPPED_ENTRY entries[COMPLETIONS];
    ULONG count = 0;
    if (!GetQueuedCompletionStatusEx(r->host.port, entries, COMPLETIONS, &count, patience_ms, FALSE))
        return;
    for (ULONG i = 0; i < count; i++)
        on_completion(r, &entries[i]);
    if (r->host.first)
        ResetEvent(r->idle);
    else
        SetEvent(r->idle);
}

static unsigned __stdcall serve(void *context)
{
    relay *r = context;
    while (!r->stopping)
        take_completions(r, arm_all(r) ? INFINITE : REARM_MS);

    for (int i = 0; i < 2; i++) {
        if (r->listeners[i].socket != INVALID_SOCKET)
            CancelIoEx((HANDLE)r->listeners[i].socket, NULL);
    }
    close_listeners(r);
    relay_conn_stop_all(&r->host);
    while (r->host.first || accepts_pending(r))
        take_completions(r, INFINITE);
    return 0;
}

/* ---- from outside */

bool relay_start(relay *r, redirector *redirector, uint32_t *error)
{
    r->redirector = redirector;
    r->thread = (HANDLE)_beginthreadex(NULL, 0, serve, r, 0, NULL);
    *error = r->thread ? 0 : ERROR_OUTOFMEMORY;
    return r->thread != NULL;
}

bool relay_wait_idle(relay *r, void *until)
{
    HANDLE handles[] = {until, r->idle};
    for (;;) {
        if (WaitForMultipleObjects(2, handles, FALSE, INFINITE) == WAIT_OBJECT_0)
            return false;
        unsigned before = atomic_load(&r->accepted);
        if (WaitForSingleObject(until, IDLE_MS) == WAIT_OBJECT_0)
            return false;
        if (before == atomic_load(&r->accepted) && WaitForSingleObject(r->idle, 0) == WAIT_OBJECT_0)
            return true;
    }
}

void relay_close(relay *r)
{
    if (r->thread) {
        PostQueuedCompletionStatus(r->host.port, 0, 0, NULL);
        WaitForSingleObject(r->thread, INFINITE);
        CloseHandle(r->thread);
    }
    close_listeners(r);
    if (r->host.port)
        CloseHandle(r->host.port);
    if (r->idle)
        CloseHandle(r->idle);
    free(r);
    WSACleanup();
}
