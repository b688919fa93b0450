/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: an upstream's host may have several addresses, of which some lead nowhere. They are tried as RFC
 * 8305 has it: the next one begins as soon as one has failed, and 250 ms after the last one began in any case; the
 * first that connects wins, and the others are closed. Then the upstream's protocol is spoken, by upstream_talk.c. One
 * limit holds for all of it, so a peer that stops at any byte, or sends one now and then, does not hold it up longer.
 *
 * A dial that is over lives on until its last operation has come back, because their memory is its memory.
 */
#include "dial_internal.h"

#include "address.h"

#include <stdlib.h>
#include <string.h>

#ifndef SO_REUSE_UNICASTPORT
#define SO_REUSE_UNICASTPORT 0x3007
#endif

enum { STAGGER_MS = 250 };

/* ---- beginning and end */

/* The proxy that is connected to; NULL: none. */
static const struct upstream *near_proxy(const struct dial *d)
{
    return d->plan.over ? d->plan.over : d->plan.via;
}

static uint32_t address_count(const struct dial *d)
{
    return near_proxy(d) ? near_proxy(d)->address_count : 1;
}

static const redirector_address *address_of(const struct dial *d, uint32_t i)
{
    return near_proxy(d) ? &near_proxy(d)->addresses[i] : &d->plan.destination;
}

static bool connecting(const struct dial *d)
{
    for (uint32_t i = 0; i < d->tried; i++) {
        if (d->attempts[i].op.pending) {
            return true;
        }
    }
    return false;
}

static void free_if_over(struct dial *d)
{
    if (!d->over || d->op.pending || connecting(d)) {
        return;
    }
    if (d->next) {
        d->next->previous = d->previous;
    }
    if (d->previous) {
        d->previous->next = d->next;
    } else {
        d->dialler->first = d->next;
    }
    free(d);
}

static void close_attempts(struct dial *d)
{
    for (uint32_t i = 0; i < d->tried; i++) {
        struct attempt *a = &d->attempts[i];
        if (a->socket != INVALID_SOCKET) {
            CancelIoEx((HANDLE)a->socket, NULL);
            relay_reset(a->socket);
            a->socket = INVALID_SOCKET;
        }
    }
}

static void end(struct dial *d)
{
    d->over = true;
    close_attempts(d);
    if (d->socket != INVALID_SOCKET) {
        CancelIoEx((HANDLE)d->socket, NULL);
        relay_reset(d->socket);
        d->socket = INVALID_SOCKET;
    }
}

void dial_fail(struct dial *d, enum upstream_failure failure, DWORD error)
{
    bool asked = d->talk.to == d->plan.via && d->talk.step == TALK_REQUEST;
    struct dial_result result = {.socket = INVALID_SOCKET, .failure = failure, .asked = asked, .error = error};
    end(d);
    d->plan.done(d->plan.context, &result);
}

void dial_succeed(struct dial *d)
{
    struct dial_result result = {
        .socket = d->socket, .early = d->buffer, .early_size = d->length, .bound = d->talk.bound};
    d->socket = INVALID_SOCKET;
    end(d);
    d->plan.done(d->plan.context, &result);
}

/* ---- connecting */

/* 0, or the Winsock error with which it did not begin. */
static DWORD begin_attempt(struct dial *d, struct attempt *a, const redirector_address *address)
{
    LPFN_CONNECTEX connect_ex = d->dialler->connect_ex[address->family == 6];
    struct sockaddr_storage to, any = {0};
    int size = address_to_sockaddr(address, &to);
    BOOL on = TRUE;
    a->socket = connect_ex ? relay_socket(to.ss_family) : INVALID_SOCKET;
    if (a->socket == INVALID_SOCKET) {
        return connect_ex ? (DWORD)WSAGetLastError() : WSAENETUNREACH;
    }
    relay_set_up_socket(a->socket);
    /* ConnectEx wants a bound socket. This keeps the port unchosen until the destination is known, so that ports run
     * out per destination and not for the whole machine; where it is not known, binding picks one at once. */
    setsockopt(a->socket, SOL_SOCKET, SO_REUSE_UNICASTPORT, (const char *)&on, sizeof on);
    any.ss_family = to.ss_family;
    a->op = (struct relay_op){.kind = RELAY_DIAL, .socket = a->socket, .owner = d};
    DWORD error = bind(a->socket, (struct sockaddr *)&any, size) == 0 ? 0 : (DWORD)WSAGetLastError();
    if (!error && !CreateIoCompletionPort((HANDLE)a->socket, d->dialler->port, 0, 0)) {
        error = GetLastError();
    }
    if (!error) {
        error = relay_op_started(&a->op,
                                 connect_ex(a->socket, (struct sockaddr *)&to, size, NULL, 0, NULL, &a->op.overlapped));
    }
    if (error) {
        closesocket(a->socket);
        a->socket = INVALID_SOCKET;
    }
    return error;
}

/* Begins with the next address with which that is possible. */
static void begin_next(struct dial *d)
{
    while (d->tried < address_count(d)) {
        uint32_t i = d->tried++;
        DWORD error = begin_attempt(d, &d->attempts[i], address_of(d, i));
        if (!error) {
            d->next_at = GetTickCount64() + STAGGER_MS;
            return;
        }
        d->error = error;
    }
}

/* Sees to it that dial_tick() looks at it in time. */
static void schedule(struct dial *d)
{
    ULONGLONG due = d->deadline;
    if (d->socket == INVALID_SOCKET && d->tried < address_count(d)) {
        due = d->next_at < due ? d->next_at : due;
    } else if (d->socket == INVALID_SOCKET && !connecting(d)) {
        due = 0; /* it has failed, and that is to be told */
    }
    if (due < d->dialler->due) {
        d->dialler->due = due;
    }
}

/* ---- progress */

static void on_attempt(struct dial *d, struct attempt *a, DWORD error)
{
    if (a->socket == INVALID_SOCKET) { /* closed meanwhile: another one has won, or the dial is over */
        return;
    }
    SOCKET s = a->socket;
    a->socket = INVALID_SOCKET;
    if (error) {
        closesocket(s);
        d->error = error;
        begin_next(d);
        if (!connecting(d) && d->tried == address_count(d)) {
            dial_fail(d, UPSTREAM_OK, d->error);
        }
        return;
    }
    d->socket = s;
    close_attempts(d);
    setsockopt(s, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0);
    if (d->plan.via) {
        dial_begin_talk(d, address_of(d, (uint32_t)(a - d->attempts)));
    } else {
        dial_succeed(d);
    }
}

void dial_complete(struct dial *d, struct relay_op *op, DWORD bytes, DWORD error)
{
    if (op != &d->op) {
        on_attempt(d, CONTAINING_RECORD(op, struct attempt, op), error);
    } else if (!d->over) {
        dial_on_talk(d, bytes, error);
    }
    if (!d->over) {
        schedule(d);
    }
    free_if_over(d);
}

static void look_at(struct dial *d, ULONGLONG now)
{
    bool all = d->tried == address_count(d);
    if (d->socket == INVALID_SOCKET && all && !connecting(d)) {
        dial_fail(d, UPSTREAM_OK, d->error);
    } else if (now >= d->deadline) {
        dial_fail(d, d->socket == INVALID_SOCKET ? UPSTREAM_OK : UPSTREAM_SILENT, WSAETIMEDOUT);
    } else if (d->socket == INVALID_SOCKET && !all && now >= d->next_at) {
        begin_next(d);
    }
}

DWORD dial_tick(struct dialler *dialler)
{
    ULONGLONG now = GetTickCount64();
    if (now >= dialler->due) {
        dialler->due = UINT64_MAX;
        for (struct dial *d = dialler->first, *next; d; d = next) {
            next = d->next;
            if (!d->over) {
                look_at(d, now);
            }
            if (!d->over) {
                schedule(d);
            }
            free_if_over(d);
        }
    }
    if (dialler->due == UINT64_MAX) {
        return INFINITE;
    }
    return dialler->due > now ? (DWORD)(dialler->due - now) : 0;
}

struct dial *dial_start(struct dialler *dialler, const struct dial_plan *plan)
{
    struct dial *d = calloc(1, sizeof *d + (plan->via ? UPSTREAM_MESSAGE_MAX : 0));
    if (!d) {
        return NULL;
    }
    d->dialler = dialler;
    d->plan = *plan;
    d->socket = INVALID_SOCKET;
    d->deadline = GetTickCount64() + plan->limit_ms;
    d->next = dialler->first;
    if (d->next) {
        d->next->previous = d;
    }
    dialler->first = d;
    begin_next(d);
    schedule(d);
    return d;
}

SOCKET dial_upstream(const struct dial *d)
{
    return d->socket;
}

void dial_cancel(struct dial *d)
{
    if (d) {
        end(d);
        free_if_over(d);
    }
}

bool dialler_open(struct dialler *dialler, HANDLE port)
{
    static const int families[] = {AF_INET, AF_INET6};
    *dialler = (struct dialler){.port = port, .due = UINT64_MAX};
    for (int i = 0; i < 2; i++) {
        SOCKET s = relay_socket(families[i]);
        if (s != INVALID_SOCKET) {
            relay_extension(s, (GUID)WSAID_CONNECTEX, &dialler->connect_ex[i]);
            closesocket(s);
        }
    }
    return dialler->connect_ex[0] || dialler->connect_ex[1];
}
