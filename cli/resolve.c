/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: looking up a name has no limit that would hold for all name services of a machine. So it is done
 * by a thread of its own, which is left alone when it takes too long. What the two share belongs to the one that lets
 * go of it last.
 */
#include "resolve.h"

#include "address.h"

#include <process.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct question {
    atomic_int holders;
    char host[256];
    int error;
    struct addrinfo *found;
};

static void let_go(struct question *q)
{
    if (atomic_fetch_sub(&q->holders, 1) == 1) {
        if (q->found) {
            freeaddrinfo(q->found);
        }
        free(q);
    }
}

static unsigned __stdcall look_up(void *argument)
{
    struct question *q = argument;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    q->error = getaddrinfo(q->host, NULL, &hints, &q->found);
    let_go(q);
    return 0;
}

static const struct addrinfo *next_of(const struct addrinfo *at, bool same_family, int family)
{
    while (at && (at->ai_family == family) != same_family) {
        at = at->ai_next;
    }
    return at;
}

/* The first family of the list and the other one, in turn, each in its order. */
static uint32_t take_in_turn(const struct addrinfo *all, uint32_t port, redirector_address *out, uint32_t max)
{
    uint32_t count = 0;
    int first = all->ai_family;
    const struct addrinfo *next[] = {all, next_of(all, false, first)};
    for (unsigned turn = 0; count < max && (next[0] || next[1]); turn++) {
        const struct addrinfo *one = next[turn % 2];
        if (!one) {
            continue;
        }
        struct sockaddr_storage address = {0};
        memcpy(&address, one->ai_addr, one->ai_addrlen);
        out[count] = address_from_sockaddr(&address);
        out[count++].port = port;
        next[turn % 2] = next_of(one->ai_next, turn % 2 == 0, first);
    }
    return count;
}

DWORD resolve(const char *host, uint32_t port, redirector_address *out, uint32_t max, DWORD limit_ms, uint32_t *found)
{
    struct question *q = calloc(1, sizeof *q);
    *found = 0;
    if (!q) {
        return ERROR_OUTOFMEMORY;
    }
    snprintf(q->host, sizeof q->host, "%s", host);
    atomic_init(&q->holders, 2);
    HANDLE thread = (HANDLE)_beginthreadex(NULL, 0, look_up, q, 0, NULL);
    if (!thread) {
        free(q);
        return ERROR_OUTOFMEMORY;
    }
    DWORD error = WSAETIMEDOUT;
    if (WaitForSingleObject(thread, limit_ms) == WAIT_OBJECT_0) {
        error = (DWORD)q->error;
        *found = !error && q->found ? take_in_turn(q->found, port, out, max) : 0;
        if (!error && !*found) {
            error = WSAHOST_NOT_FOUND;
        }
    }
    CloseHandle(thread);
    let_go(q);
    return error;
}
