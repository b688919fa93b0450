/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Telling a program that nobody receives what it sends is a call that waits for the library's engine, so a thread of
 * its own makes it. As with ICMP everywhere, an error that comes while too many wait is not told: the program will get
 * the next one.
 */
#include "relay_udp_internal.h"

#include "address.h"

static bool take(struct udp_errors *e, redirector_address *peer)
{
    AcquireSRWLockExclusive(&e->lock);
    bool any = e->count != 0;
    if (any) {
        *peer = e->peers[--e->count];
    }
    ReleaseSRWLockExclusive(&e->lock);
    return any;
}

static void tell_all(void *context)
{
    struct udp_errors *e = context;
    HANDLE handles[] = {e->worker.ending, e->event};
    while (WaitForMultipleObjects(2, handles, FALSE, INFINITE) != WAIT_OBJECT_0) {
        redirector_address peer;
        while (worker_pause(&e->worker, 0) && take(e, &peer)) {
            redirector_udp_unreachable(e->redirector, &peer);
        }
    }
}

bool udp_errors_start(struct udp_errors *e, redirector *r)
{
    e->redirector = r;
    InitializeSRWLock(&e->lock);
    e->event = CreateEventW(NULL, FALSE, FALSE, NULL);
    return e->event && worker_start(&e->worker, tell_all, e);
}

void udp_errors_stop(struct udp_errors *e)
{
    worker_end(&e->worker);
    if (e->event) {
        CloseHandle(e->event);
    }
    e->event = NULL;
}

void udp_errors_tell(struct udp_errors *e, const redirector_address *peer)
{
    bool known = false, added;
    AcquireSRWLockExclusive(&e->lock);
    for (uint32_t i = 0; i < e->count; i++) {
        known |= address_equal(&e->peers[i], peer);
    }
    added = !known && e->count < ERRORS_MAX;
    if (added) {
        e->peers[e->count++] = *peer;
    }
    ReleaseSRWLockExclusive(&e->lock);
    if (added) {
        SetEvent(e->event);
    }
}
