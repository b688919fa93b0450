/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "diversion.h"

/*
 * Odd on purpose: among handles of equal priority the one opened later wins, so these had better not be round numbers that
 * others use. WinDivert's range is -30000..30000, higher first. The two that divert take turns.
 */
enum { PRIORITY_SEND = 816, PRIORITY_FIRST = 817, PRIORITY_SECOND = 818 };

enum { RETIRING_BATCHES = 4 }; /* then the old handle is shut down, empty or not */

enum { TASK_WAIT_MS = 200, LOCK_TRIES = 100 };

bool diversion_open(struct diversion *d, struct divert_api *api, const struct cover *cover, uint16_t proxy_port,
                    uint16_t incoming_port, redirector_error *error)
{
    InitializeSRWLock(&d->lock);
    d->api = divert_retain(api);
    d->proxy_port = proxy_port;
    d->incoming_port = incoming_port;
    d->priority = PRIORITY_FIRST;
    divert_filter_write(cover, proxy_port, incoming_port, d->filter);
    /* Both at a time: opening takes Windows milliseconds. */
    struct divert_task *sender = divert_task_open(api, NULL, PRIORITY_SEND);
    d->current = divert_open(api, d->filter, DIVERT_LAYER_NETWORK, d->priority, error);
    if (sender) {
        WaitForSingleObject(divert_task_wait_handle(sender), INFINITE);
        d->sender = divert_task_end(sender, d->current ? error : NULL);
    } else {
        error_set(error, REDIRECTOR_NO_MEMORY, 0, NULL);
    }
    return d->current && d->sender;
}

bool diversion_is_idle(const struct diversion *d)
{
    return !d->opening && !d->retired && !d->closing;
}

static void set_task(struct diversion *d, struct divert_task **which, struct divert_task *task)
{
    AcquireSRWLockExclusive(&d->lock);
    bool abandoned = d->abandoned;
    *which = abandoned ? NULL : task;
    ReleaseSRWLockExclusive(&d->lock);
    if (abandoned) {
        divert_task_leave(task);
    }
}

/* Takes the task out, so that nobody else ends it. NULL: it is not done, or there is none. */
static struct divert_task *take_done(struct diversion *d, struct divert_task **which)
{
    struct divert_task *task = NULL;
    AcquireSRWLockExclusive(&d->lock);
    if (*which && WaitForSingleObject(divert_task_wait_handle(*which), 0) == WAIT_OBJECT_0) {
        task = *which;
        *which = NULL;
    }
    ReleaseSRWLockExclusive(&d->lock);
    return task;
}

static int16_t next_priority(const struct diversion *d)
{
    return d->priority == PRIORITY_FIRST ? PRIORITY_SECOND : PRIORITY_FIRST;
}

bool diversion_replace(struct diversion *d, const struct cover *cover)
{
    if (d->abandoned) {
        return false; /* the watchdog has closed everything: nothing is opened any more */
    }
    divert_filter_write(cover, d->proxy_port, d->incoming_port, d->filter);
    struct divert_task *task = divert_task_open(d->api, d->filter, next_priority(d));
    if (task) {
        set_task(d, &d->opening, task);
    }
    return task;
}

enum diversion_news diversion_poll(struct diversion *d, redirector_error *error)
{
    struct divert_task *closed = d->closing ? take_done(d, &d->closing) : NULL;
    if (closed) {
        divert_task_end(closed, NULL);
    }
    struct divert_task *opened = d->opening ? take_done(d, &d->opening) : NULL;
    if (!opened) {
        return DIVERSION_NONE;
    }
    struct divert_ring *ring = divert_task_end(opened, error);
    if (!ring) {
        return DIVERSION_FAILED;
    }
    AcquireSRWLockExclusive(&d->lock);
    d->retired = d->current;
    d->current = ring;
    bool abandoned = d->abandoned;
    ReleaseSRWLockExclusive(&d->lock);
    if (abandoned) {
        divert_abandon(ring);
    }
    d->priority = next_priority(d);
    d->shut = false;
    d->retiring_batches = 0;
    return DIVERSION_REPLACED;
}

bool diversion_is_at_rest(const struct diversion *d)
{
    return !d->retired || d->shut;
}

DWORD diversion_wait_handles(const struct diversion *d, HANDLE out[2])
{
    out[0] = divert_wait_handle(d->retired ? d->retired : d->current);
    if (!d->opening && !d->closing) {
        return 1;
    }
    out[1] = divert_task_wait_handle(d->opening ? d->opening : d->closing);
    return 2;
}

static void close_retired(struct diversion *d)
{
    struct divert_ring *ring = d->retired;
    AcquireSRWLockExclusive(&d->lock);
    d->retired = NULL;
    ReleaseSRWLockExclusive(&d->lock);
    set_task(d, &d->closing, divert_task_close(ring));
}

enum divert_result diversion_next(struct diversion *d, struct divert_batch *batch, uint32_t *os_error)
{
    while (d->retired) {
        d->taken_from = d->retired;
        enum divert_result result = divert_next(d->retired, batch, os_error);
        if (!d->shut && (result == DIVERT_NOTHING || ++d->retiring_batches >= RETIRING_BATCHES)) {
            divert_shutdown_receive(d->retired);
            d->shut = true;
            if (result == DIVERT_NOTHING) {
                continue; /* it answers at once: with what came at the last moment, or that it is empty */
            }
        }
        if (result != DIVERT_DRAINED) {
            return result;
        }
        close_retired(d);
    }
    d->taken_from = d->current;
    return divert_next(d->current, batch, os_error);
}

void diversion_recycle(struct diversion *d)
{
    divert_recycle(d->taken_from);
}

uint32_t diversion_send(struct diversion *d, const uint8_t *data, uint32_t bytes, struct divert_address *addresses,
                        uint32_t count)
{
    return divert_send(d->sender, data, bytes, addresses, count);
}

/* Ends an opening that is under way, without waiting for Windows for long. */
static void call_off(struct diversion *d)
{
    AcquireSRWLockExclusive(&d->lock);
    struct divert_task *opening = d->opening;
    d->opening = NULL;
    ReleaseSRWLockExclusive(&d->lock);
    if (opening && WaitForSingleObject(divert_task_wait_handle(opening), TASK_WAIT_MS) == WAIT_OBJECT_0) {
        divert_close(divert_task_end(opening, NULL));
    } else {
        divert_task_leave(opening);
    }
}

void diversion_shutdown(struct diversion *d)
{
    if (d->retired && !d->shut) {
        divert_shutdown_receive(d->retired);
        d->shut = true;
    }
    divert_shutdown_receive(d->current);
    call_off(d);
}

void diversion_abandon(struct diversion *d)
{
    /* The engine's thread, which holds the lock for instants only, may have been stopped in just such an instant. */
    bool locked = false;
    for (int i = 0; i < LOCK_TRIES && !(locked = TryAcquireSRWLockExclusive(&d->lock)); i++) {
        Sleep(1);
    }
    struct divert_ring *rings[] = {d->current, d->retired, d->sender};
    struct divert_task *opening = d->opening;
    d->abandoned = true;
    d->opening = NULL;
    for (int i = 0; i < 3; i++) {
        if (rings[i]) {
            divert_abandon(rings[i]);
        }
    }
    divert_task_leave(opening);
    if (locked) {
        ReleaseSRWLockExclusive(&d->lock);
    }
}

void diversion_settle(struct diversion *d)
{
    divert_settle(d->current);
    if (d->retired) {
        divert_settle(d->retired);
    }
}

void diversion_close(struct diversion *d)
{
    call_off(d);
    if (d->closing) {
        WaitForSingleObject(divert_task_wait_handle(d->closing), TASK_WAIT_MS);
        divert_task_leave(d->closing);
    }
    divert_close(d->retired);
    divert_close(d->current);
    divert_close(d->sender);
    divert_unload(d->api);
    d->closing = NULL;
    d->retired = d->current = d->sender = NULL;
    d->api = NULL;
}
