/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The relay. One thread and one completion port drive everything: accepts, dials (dial.c) and all connections
 * (relay_conn.c). Nothing is locked, because nothing of the relay's is touched by another thread while it serves, but
 * the event and the two numbers that relay_wait_idle() uses.
 *
 * A program's connect() waits until its destination is connected: a second thread asks the redirector for those that
 * wait, and hands them to the port.
 *
 * A peer is accepted only if the redirector knows it: the ports are reachable for every program of this machine, and
 * for a stranger there is no destination to connect to.
 *
 * Datagrams are a part of their own (relay_udp.c), served by the same thread and port.
 */
#include "relay.h"

#include "address.h"
#include "relay_conn.h"
#include "relay_listen.h"
#include "relay_udp.h"
#include "worker.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    ACCEPTS = 16,     /* outstanding, per listener; the backlog holds what comes faster */
    REARM_MS = 1000,  /* pause after Windows refused to accept */
    IDLE_MS = 250,    /* a connection on its way through driver and backlog shows up within this */
    WATCH_MS = 1000,  /* how often connections are looked at whose end no operation tells of, */
    HASTE_MS = 100,   /* and when no process of the tree is left */
    COMPLETIONS = 64, /* taken from the port at once */
    ASK_MS = 100,     /* so often the thread that asks looks whether it shall end */
};

enum { END, LOOK }; /* what the port is told without an operation */

enum { OUT4, OUT6, IN4, IN6, LISTENERS };

struct relay_accept {
    struct relay_op op; /* its socket is the listener's */
    struct relay_listener *listener;
    SOCKET socket;
    char addresses[2 * (sizeof(struct sockaddr_in6) + 16)];
};

/* A connect() that waits. */
struct relay_question {
    struct relay_op op;
    redirector_connection asked;
};

struct relay {
    struct relay_host host;
    struct relay_udp *udp; /* NULL: no datagrams */
    struct relay_listener listeners[LISTENERS];
    struct relay_accept accepts[LISTENERS][ACCEPTS];
    uint16_t port, incoming_port;
    struct worker worker, asker;
    HANDLE idle;          /* set while no connection is live */
    atomic_uint accepted; /* connections so far */
    atomic_bool programs_gone;
    ULONGLONG watch_at;
    bool stopping;
};

/* ---- opening */

static uint32_t listen_all(struct relay *r, const struct relay_config *config)
{
    static const int families[LISTENERS] = {AF_INET, AF_INET6, AF_INET, AF_INET6};
    uint32_t error = 0;
    for (int i = 0; i < LISTENERS; i++) {
        r->listeners[i].family = families[i];
    }
    r->port = config->port;
    if (config->outgoing) {
        error = relay_listen(&r->listeners[OUT4], &r->port, config->everywhere, r->host.dialler.port);
    }
    /* What comes in keeps its addresses, so it arrives wherever the program listens. */
    if (config->incoming && !error) {
        error = relay_listen(&r->listeners[IN4], &r->incoming_port, true, r->host.dialler.port);
    }
    if (config->datagrams && !error) {
        struct relay_udp_config udp = {.port = config->port,
                                       .block = config->datagrams == RELAY_REFUSE_DATAGRAMS,
                                       .block_quic = config->refuse_quic};
        r->udp = relay_udp_open(&r->host, &udp, &error);
    }
    return error;
}

struct relay *relay_open(const struct relay_config *config, uint32_t *error)
{
    WSADATA data;
    struct relay *r = calloc(1, sizeof *r);
    *error = r ? (uint32_t)WSAStartup(MAKEWORD(2, 2), &data) : ERROR_OUTOFMEMORY;
    if (*error) {
        free(r);
        return NULL;
    }
    for (int i = 0; i < LISTENERS; i++) {
        r->listeners[i].socket = INVALID_SOCKET;
    }
    r->host.report = config->report;
    r->host.upstreams = config->upstreams;
    r->host.rules = config->rules;
    r->host.connect_ms = config->connect_ms;
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    r->idle = CreateEventW(NULL, TRUE, TRUE, NULL);
    if (!dialler_open(&r->host.dialler, port) || !port || !r->idle) {
        *error = GetLastError();
    } else {
        *error = listen_all(r, config);
    }
    if (*error) {
        relay_close(r);
        return NULL;
    }
    return r;
}

uint16_t relay_port(const struct relay *r)
{
    return r->port;
}

uint16_t relay_incoming_port(const struct relay *r)
{
    return r->incoming_port;
}

uint16_t relay_datagram_port(const struct relay *r)
{
    return relay_udp_port(r->udp);
}

/* ---- serving; all of this on the relay's thread */

/* False: Windows refuses for now (out of sockets or memory). */
static bool arm(struct relay_accept *a)
{
    enum { ADDRESS_SIZE = sizeof a->addresses / 2 };
    DWORD bytes;
    a->socket = relay_socket(a->listener->family);
    if (a->socket == INVALID_SOCKET) {
        return false;
    }
    a->op = (struct relay_op){.kind = RELAY_ACCEPT, .socket = a->listener->socket, .owner = a};
    a->op.pending = a->listener->accept_ex(a->listener->socket, a->socket, a->addresses, 0, ADDRESS_SIZE, ADDRESS_SIZE,
                                           &bytes, &a->op.overlapped) ||
                    WSAGetLastError() == WSA_IO_PENDING;
    if (!a->op.pending) {
        closesocket(a->socket);
    }
    return a->op.pending;
}

/* Arms every accept that is not; false if some could not be. */
static bool arm_all(struct relay *r)
{
    bool all = true;
    for (int l = 0; l < LISTENERS; l++) {
        if (r->listeners[l].socket == INVALID_SOCKET) {
            continue;
        }
        for (int i = 0; i < ACCEPTS; i++) {
            struct relay_accept *a = &r->accepts[l][i];
            a->listener = &r->listeners[l];
            if (!a->op.pending) {
                all = arm(a) && all;
            }
        }
    }
    return all;
}

static void on_accepted(struct relay *r, struct relay_accept *a, DWORD error)
{
    redirector_destination destination = {.size = sizeof destination};
    struct sockaddr_storage from;
    int from_size = sizeof from;
    SOCKET client = a->socket;
    if (error || r->stopping) { /* for instance: the peer has gone before it was accepted */
        closesocket(client);
        return;
    }
    atomic_fetch_add(&r->accepted, 1);
    setsockopt(client, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&a->listener->socket,
               sizeof a->listener->socket);
    if (getpeername(client, (struct sockaddr *)&from, &from_size) != 0) { /* it has gone meanwhile */
        closesocket(client);
        return;
    }
    redirector_address peer = address_from_sockaddr(&from);
    if (redirector_lookup(r->host.redirector, &peer, &destination) != REDIRECTOR_OK) {
        report_stranger(r->host.report);
        relay_reset(client);
        return;
    }
    relay_conn_open(&r->host, client, &peer, &destination);
}

static void on_asked(struct relay *r, struct relay_question *question)
{
    if (!r->stopping) {
        atomic_fetch_add(&r->accepted, 1);
        relay_conn_expect(&r->host, &question->asked);
    }
    free(question);
}

static void on_completion(struct relay *r, const OVERLAPPED_ENTRY *entry)
{
    if (!entry->lpOverlapped) { /* relay_close(), relay_wait_idle() */
        r->stopping |= entry->lpCompletionKey == END;
        r->watch_at = 0;
        return;
    }
    struct relay_op *op = CONTAINING_RECORD(entry->lpOverlapped, struct relay_op, overlapped);
    DWORD error, bytes = relay_op_result(op, entry, &error);
    switch (op->kind) {
    case RELAY_ASKED:
        on_asked(r, op->owner);
        break;
    case RELAY_ACCEPT:
        on_accepted(r, op->owner, error);
        break;
    case RELAY_DIAL:
        dial_complete(op->owner, op, bytes, error);
        break;
    case RELAY_RECV:
    case RELAY_SEND:
        relay_conn_complete(op->owner, op, bytes, error);
        break;
    case RELAY_PEERS:
    case RELAY_SESSION:
        relay_udp_complete(op, error);
        break;
    }
}

static bool accepts_pending(const struct relay *r)
{
    for (int i = 0; i < LISTENERS * ACCEPTS; i++) {
        if (r->accepts[i / ACCEPTS][i % ACCEPTS].op.pending) {
            return true;
        }
    }
    return false;
}

static void take_completions(struct relay *r, DWORD patience_ms)
{
    OVERLAPPED_ENTRY entries[COMPLETIONS];
    ULONG count = 0;
    if (!GetQueuedCompletionStatusEx(r->host.dialler.port, entries, COMPLETIONS, &count, patience_ms, FALSE)) {
        count = 0; /* nothing within the time */
    }
    for (ULONG i = 0; i < count; i++) {
        on_completion(r, &entries[i]);
    }
}

static bool lives(const struct relay *r)
{
    return r->host.first || relay_udp_sessions(r->udp);
}

/* What time has brought. Milliseconds until the next time; INFINITE: there is none. */
static DWORD tick(struct relay *r)
{
    DWORD names_due = relay_names_tick(&r->host), due = min(dial_tick(&r->host.dialler), names_due);
    ULONGLONG now = GetTickCount64();
    if (lives(r) && now >= r->watch_at) {
        bool programs_gone = atomic_load(&r->programs_gone);
        relay_conn_watch_all(&r->host, programs_gone);
        relay_udp_watch(r->udp, programs_gone);
        routes_watch(r->host.rules, r->host.upstreams, &r->host.dialler, false);
        r->watch_at = now + (programs_gone ? HASTE_MS : WATCH_MS);
    }
    if (!lives(r)) {
        SetEvent(r->idle);
        return due;
    }
    ResetEvent(r->idle);
    return min(due, (DWORD)(r->watch_at - now));
}

static void serve(void *context)
{
    struct relay *r = context;
    while (!r->stopping) {
        bool all = relay_udp_serve(r->udp);
        DWORD patience = arm_all(r) && all ? INFINITE : REARM_MS;
        take_completions(r, min(patience, tick(r)));
    }

    for (int i = 0; i < LISTENERS; i++) {
        if (r->listeners[i].socket != INVALID_SOCKET) {
            CancelIoEx((HANDLE)r->listeners[i].socket, NULL);
        }
        relay_listen_close(&r->listeners[i]);
    }
    routes_watch(r->host.rules, r->host.upstreams, &r->host.dialler, true);
    relay_conn_stop_all(&r->host);
    relay_udp_stop(r->udp);
    while (r->host.first || relay_udp_pending(r->udp) || r->host.dialler.first || accepts_pending(r)) {
        take_completions(r, dial_tick(&r->host.dialler)); /* a check of a proxy may be of rules that were replaced */
    }
}

/* ---- asking; on a thread of its own */

static uint32_t hand_over_next(struct relay *r)
{
    struct relay_question *question = calloc(1, sizeof *question);
    uint32_t status = REDIRECTOR_NO_MEMORY;
    if (question) {
        question->op.kind = RELAY_ASKED;
        question->op.owner = question;
        question->asked.size = sizeof question->asked;
        status = redirector_next_connection(r->host.redirector, &question->asked, ASK_MS);
    }
    if (status != REDIRECTOR_OK || !PostQueuedCompletionStatus(r->host.dialler.port, 0, 0, &question->op.overlapped)) {
        free(question);
    }
    return status;
}

static void ask(void *context)
{
    struct relay *r = context;
    uint32_t status = REDIRECTOR_OK;
    while (worker_pause(&r->asker, status == REDIRECTOR_NO_MEMORY ? ASK_MS : 0) && status != REDIRECTOR_NOT_RUNNING &&
           status != REDIRECTOR_INVALID_ARGUMENT) {
        status = hand_over_next(r);
    }
}

/* ---- from outside */

bool relay_start(struct relay *r, redirector *redirector, const struct tree *tree, uint32_t *error)
{
    r->host.redirector = redirector;
    r->host.tree = tree;
    bool started =
        relay_udp_start(r->udp) && worker_start(&r->worker, serve, r) && (!r->port || worker_start(&r->asker, ask, r));
    *error = started ? 0 : ERROR_OUTOFMEMORY;
    return started;
}

/* Connections and sessions so far. */
static unsigned begun(const struct relay *r)
{
    return atomic_load(&r->accepted) + relay_udp_begun(r->udp);
}

bool relay_wait_idle(struct relay *r, void *until)
{
    HANDLE handles[] = {until, r->idle};
    atomic_store(&r->programs_gone, true);
    PostQueuedCompletionStatus(r->host.dialler.port, 0, LOOK, NULL);
    for (;;) {
        if (WaitForMultipleObjects(2, handles, FALSE, INFINITE) == WAIT_OBJECT_0) {
            return false;
        }
        unsigned before = begun(r);
        if (WaitForSingleObject(until, IDLE_MS) == WAIT_OBJECT_0) {
            return false;
        }
        if (before == begun(r) && WaitForSingleObject(r->idle, 0) == WAIT_OBJECT_0) {
            return true;
        }
    }
}

void relay_close(struct relay *r)
{
    worker_end(&r->asker);
    if (r->worker.thread) {
        PostQueuedCompletionStatus(r->host.dialler.port, 0, END, NULL);
    }
    worker_end(&r->worker);
    for (int i = 0; i < LISTENERS; i++) {
        relay_listen_close(&r->listeners[i]);
    }
    relay_udp_close(r->udp);
    if (r->host.dialler.port) {
        CloseHandle(r->host.dialler.port);
    }
    if (r->idle) {
        CloseHandle(r->idle);
    }
    free(r);
    WSACleanup();
}
