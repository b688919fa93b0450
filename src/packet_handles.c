/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "packet_handles.h"

enum { RETIRING_BATCHES = 4 }; /* then the retired handle is shut down, empty or not */

enum { TASK_WAIT_MS = 200, LOCK_TRIES = 100 };

static void write_filter(struct packet_handles *h, const struct capture_set *captured)
{
    if (h->ports.udp_port) {
        divert_filter_write_udp(captured, h->ports.udp_port, h->filter);
    } else {
        divert_filter_write(captured, h->ports.proxy_port, h->ports.incoming_port, h->filter);
    }
}

bool packet_handles_open(struct packet_handles *h, struct divert_api *api, int16_t band,
                         const struct packet_filter *ports, const struct capture_set *captured, redirector_error *error)
{
    InitializeSRWLock(&h->lock);
    h->api = divert_retain(api);
    h->ports = *ports;
    h->band = band;
    h->turn = DIVERT_BAND_FIRST;
    write_filter(h, captured);
    h->current = divert_open(api, h->filter, DIVERT_LAYER_NETWORK, (int16_t)(h->band + h->turn), error);
    return h->current;
}

bool packet_handles_is_idle(const struct packet_handles *h)
{
    return !h->opening && !h->retired && !h->closing;
}

static void set_task(struct packet_handles *h, struct divert_task **which, struct divert_task *task)
{
    AcquireSRWLockExclusive(&h->lock);
    bool abandoned = h->abandoned;
    *which = abandoned ? NULL : task;
    ReleaseSRWLockExclusive(&h->lock);
    if (abandoned) {
        divert_task_leave(task);
    }
}

/* Removes the task, so that only the caller ends it. NULL: it is not done, or there is none. */
static struct divert_task *take_done(struct packet_handles *h, struct divert_task **which)
{
    struct divert_task *task = NULL;
    AcquireSRWLockExclusive(&h->lock);
    if (*which && WaitForSingleObject(divert_task_wait_handle(*which), 0) == WAIT_OBJECT_0) {
        task = *which;
        *which = NULL;
    }
    ReleaseSRWLockExclusive(&h->lock);
    return task;
}

static int16_t next_turn(const struct packet_handles *h)
{
    return h->turn == DIVERT_BAND_FIRST ? DIVERT_BAND_SECOND : DIVERT_BAND_FIRST;
}

bool packet_handles_replace(struct packet_handles *h, const struct capture_set *captured)
{
    if (h->abandoned) {
        return false; /* the watchdog has closed all handles: none is opened any more */
    }
    write_filter(h, captured);
    struct divert_task *task = divert_task_open(h->api, h->filter, (int16_t)(h->band + next_turn(h)));
    if (task) {
        set_task(h, &h->opening, task);
    }
    return task;
}

enum packet_handles_result packet_handles_poll(struct packet_handles *h, redirector_error *error)
{
    struct divert_task *closed = h->closing ? take_done(h, &h->closing) : NULL;
    if (closed) {
        divert_task_end(closed, NULL);
    }
    struct divert_task *opened = h->opening ? take_done(h, &h->opening) : NULL;
    if (!opened) {
        return PACKET_HANDLES_NOTHING;
    }
    struct divert_ring *ring = divert_task_end(opened, error);
    if (!ring) {
        return PACKET_HANDLES_FAILED;
    }
    AcquireSRWLockExclusive(&h->lock);
    h->retired = h->current;
    h->current = ring;
    bool abandoned = h->abandoned;
    ReleaseSRWLockExclusive(&h->lock);
    if (abandoned) {
        divert_abandon(ring);
    }
    h->turn = next_turn(h);
    h->shut = false;
    h->retiring_batches = 0;
    return PACKET_HANDLES_REPLACED;
}

bool packet_handles_may_sleep(const struct packet_handles *h)
{
    return !h->retired || h->shut;
}

DWORD packet_handles_to_wait_for(const struct packet_handles *h, HANDLE out[2])
{
    out[0] = divert_wait_handle(h->retired ? h->retired : h->current);
    if (!h->opening && !h->closing) {
        return 1;
    }
    out[1] = divert_task_wait_handle(h->opening ? h->opening : h->closing);
    return 2;
}

static void close_retired(struct packet_handles *h)
{
    struct divert_ring *ring = h->retired;
    AcquireSRWLockExclusive(&h->lock);
    h->retired = NULL;
    ReleaseSRWLockExclusive(&h->lock);
    set_task(h, &h->closing, divert_task_close(h->api, ring));
}

enum divert_result packet_handles_next(struct packet_handles *h, struct divert_batch *batch, uint32_t *os_error)
{
    while (h->retired) {
        h->taken_from = h->retired;
        enum divert_result result = divert_next(h->retired, batch, os_error);
        if (!h->shut && (result == DIVERT_NOTHING || ++h->retiring_batches >= RETIRING_BATCHES)) {
            divert_shutdown_receive(h->retired);
            h->shut = true;
            if (result == DIVERT_NOTHING) {
                continue; /* now it returns what was captured meanwhile, or that it is drained */
            }
        }
        if (result != DIVERT_DRAINED) {
            return result;
        }
        close_retired(h);
    }
    h->taken_from = h->current;
    return divert_next(h->current, batch, os_error);
}

void packet_handles_recycle(struct packet_handles *h)
{
    divert_recycle(h->taken_from);
}

/* Ends an opening that is under way; waits for TASK_WAIT_MS at most. */
static void cancel_opening(struct packet_handles *h)
{
    AcquireSRWLockExclusive(&h->lock);
    struct divert_task *opening = h->opening;
    h->opening = NULL;
    ReleaseSRWLockExclusive(&h->lock);
    if (opening && WaitForSingleObject(divert_task_wait_handle(opening), TASK_WAIT_MS) == WAIT_OBJECT_0) {
        divert_close(divert_task_end(opening, NULL));
    } else {
        divert_task_leave(opening);
    }
}

void packet_handles_shutdown(struct packet_handles *h)
{
    if (h->retired && !h->shut) {
        divert_shutdown_receive(h->retired);
        h->shut = true;
    }
    divert_shutdown_receive(h->current);
    cancel_opening(h);
}

void packet_handles_abandon(struct packet_handles *h)
{
    /* The engine's thread holds the lock for moments only, but may have been suspended in such a moment. */
    bool locked = false;
    for (int i = 0; i < LOCK_TRIES && !(locked = TryAcquireSRWLockExclusive(&h->lock)); i++) {
        Sleep(1);
    }
    struct divert_ring *rings[] = {h->current, h->retired};
    struct divert_task *opening = h->opening;
    h->abandoned = true;
    h->opening = NULL;
    for (int i = 0; i < 2; i++) {
        if (rings[i]) {
            divert_abandon(rings[i]);
        }
    }
    divert_task_leave(opening);
    if (locked) {
        ReleaseSRWLockExclusive(&h->lock);
    }
}

void packet_handles_settle(struct packet_handles *h)
{
    divert_settle(h->current);
    if (h->retired) {
        divert_settle(h->retired);
    }
}

void packet_handles_close(struct packet_handles *h)
{
    cancel_opening(h);
    if (h->closing) {
        WaitForSingleObject(divert_task_wait_handle(h->closing), TASK_WAIT_MS);
        divert_task_leave(h->closing);
    }
    divert_close(h->retired);
    divert_close(h->current);
    divert_unload(h->api);
    h->closing = NULL;
    h->retired = h->current = NULL;
    h->api = NULL;
}
