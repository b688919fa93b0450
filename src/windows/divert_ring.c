/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a ring is a WinDivert handle with several overlapped receives outstanding.
 *
 *   receives[]:   head ──→ oldest, taken by divert_next()
 *                 ...      the driver serves them in the order in which they were posted
 *                 tail     posted last, by divert_recycle()
 *
 * The receives form a circle: the one that was taken is posted again behind all others, so head only ever advances by
 * one and order is kept without any queue. Each has its own event, buffer, address array and length variable; the
 * driver writes to all of these until the receive is complete, so they live as long as it may.
 *
 * Windows cancels the outstanding I/O of a thread that ends, and the thread that opens the ring may end before the ring
 * does. So opening posts nothing: the receives of a new ring are marked as cancelled, and divert_next() posts them on
 * the thread that uses the ring.
 *
 * divert_abandon() can close the handle while the engine's thread is inside a call. The value of a closed handle can
 * soon belong to another object, so it must not be used after the close: `gate` counts the threads inside a call and
 * has a bit that forbids new calls; the last thread that leaves closes the handle. divert_abandon() also handles a
 * thread that never leaves.
 */
#include "windows/divert_internal.h"

#include "engine/packet.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Four receives keep the driver supplied while the engine works on one batch. 64 addresses: batching pays up to
 * a few tens of packets. 128 KiB holds 64 full-sized Ethernet packets and, at least, one packet of the largest size
 * (65575 bytes); a packet that finds a smaller buffer is lost. Events have no data.
 */
enum {
    RECEIVES_MAX = 4,
    NETWORK_RECEIVES = 4,
    SOCKET_RECEIVES = 2,
    REFLECT_RECEIVES = 1, /* it is read once */
    BATCH_ADDRESSES = 64,
    NETWORK_BUFFER = 128 * 1024,
};
static_assert((int)NETWORK_BUFFER >= (int)PACKET_MAX, "the driver cuts what does not fit, and the rest is gone");

/* WinDivert's numbers. */
enum { SHUTDOWN_RECV = 1 };

enum { CANCEL_MS = 250, SETTLE_MS = 100, ABANDON_GRACE_MS = 50 };

#define GATE_CLOSED 0x80000000u

struct receive {
    OVERLAPPED overlapped;
    struct divert_address *addresses;
    uint8_t *data;
    UINT address_bytes; /* in: room, out: what was written; the driver writes it */
    bool pending;       /* the driver may still write to it */
    uint32_t os_error;  /* of the attempt to post it, when not pending */
};

struct divert_ring {
    const struct divert_api *api;
    _Atomic(HANDLE) handle; /* the thread that swaps it to NULL closes it */
    _Atomic uint32_t gate;  /* number of threads in a call | GATE_CLOSED */
    HANDLE closed_event;    /* set by divert_abandon(): ends the wait for a send */
    struct receive receives[RECEIVES_MAX];
    unsigned count, head;
    UINT buffer_bytes;
    bool taken; /* receives[head] is with the caller */
    bool drained;
    OVERLAPPED send;
    bool send_pending; /* a send that was given up on; the driver may still complete it */
    bool given_up;     /* the driver did not complete its requests in time */
    void *memory;      /* all buffers and address arrays */
};

/* ---- the gate */

static void close_handle_once(struct divert_ring *ring)
{
    HANDLE handle = atomic_exchange(&ring->handle, NULL);
    if (handle) {
        ring->api->close(handle);
    }
}

static void gate_leave(struct divert_ring *ring)
{
    if (atomic_fetch_sub(&ring->gate, 1) == (GATE_CLOSED | 1)) {
        close_handle_once(ring);
    }
}

/* The handle, which stays open until gate_leave(); NULL when it is closed. */
static HANDLE gate_enter(struct divert_ring *ring)
{
    HANDLE handle = NULL;
    if (!(atomic_fetch_add(&ring->gate, 1) & GATE_CLOSED)) {
        handle = atomic_load(&ring->handle);
    }
    if (!handle) {
        gate_leave(ring);
    }
    return handle;
}

static bool is_closed(struct divert_ring *ring)
{
    return atomic_load(&ring->gate) & GATE_CLOSED;
}

void divert_abandon(struct divert_ring *ring)
{
    HANDLE handle = gate_enter(ring);
    if (!handle) {
        return;
    }
    atomic_fetch_or(&ring->gate, GATE_CLOSED);
    SetEvent(ring->closed_event);
    gate_leave(ring);
    /*
     * The handle is closed now, unless another thread is inside a call. Such calls take microseconds; one that takes
     * longer hangs in the driver, and its handle has been resolved by the kernel, so that its value no longer matters.
     */
    ULONGLONG deadline = GetTickCount64() + ABANDON_GRACE_MS;
    while (atomic_load(&ring->handle) && GetTickCount64() < deadline) {
        Sleep(1);
    }
    close_handle_once(ring);
}

/* ---- receives */

static void post(struct divert_ring *ring, struct receive *r)
{
    r->overlapped = (OVERLAPPED){.hEvent = r->overlapped.hEvent};
    r->address_bytes = BATCH_ADDRESSES * sizeof *r->addresses;
    r->pending = false;
    r->os_error = ERROR_OPERATION_ABORTED;
    HANDLE handle = gate_enter(ring);
    if (handle) {
        bool done = ring->api->recv_ex(handle, r->data, ring->buffer_bytes, NULL, 0, r->addresses, &r->address_bytes,
                                       &r->overlapped);
        r->os_error = done ? ERROR_SUCCESS : GetLastError();
        r->pending = done || r->os_error == ERROR_IO_PENDING;
        gate_leave(ring);
    }
    if (!r->pending || r->os_error == ERROR_SUCCESS) {
        SetEvent(r->overlapped.hEvent); /* it is complete already */
    }
}

static void advance(struct divert_ring *ring)
{
    post(ring, &ring->receives[ring->head]);
    ring->head = (ring->head + 1) % ring->count;
}

void *divert_wait_handle(const struct divert_ring *ring)
{
    return ring->receives[ring->head].overlapped.hEvent;
}

enum divert_result divert_next(struct divert_ring *ring, struct divert_batch *batch, uint32_t *os_error)
{
    struct receive *r = &ring->receives[ring->head];
    DWORD bytes = 0;
    if (ring->drained) {
        return DIVERT_DRAINED;
    }
    if (ring->taken) {
        return DIVERT_NOTHING;
    }
    bool closed = is_closed(ring);
    *os_error = closed ? ERROR_OPERATION_ABORTED : r->os_error;
    if (!closed && r->pending) {
        if (!HasOverlappedIoCompleted(&r->overlapped)) {
            return DIVERT_NOTHING;
        }
        *os_error = GetOverlappedResult(NULL, &r->overlapped, &bytes, FALSE) ? ERROR_SUCCESS : GetLastError();
        r->pending = false;
        r->os_error = *os_error;
    }
    if (*os_error == ERROR_NO_DATA) {
        ring->drained = true;
        return DIVERT_DRAINED;
    }
    if (*os_error == ERROR_OPERATION_ABORTED && !closed) {
        /* it held no packet */
        advance(ring);
        return DIVERT_NOTHING;
    }
    ring->taken = true;
    if (*os_error != ERROR_SUCCESS) {
        return DIVERT_ERROR;
    }
    UINT room = BATCH_ADDRESSES * sizeof *r->addresses;
    *batch = (struct divert_batch){
        .addresses = r->addresses,
        .data = r->data,
        .bytes = bytes < ring->buffer_bytes ? bytes : ring->buffer_bytes,
        .count = (uint32_t)((r->address_bytes < room ? r->address_bytes : room) / sizeof *r->addresses),
    };
    return DIVERT_BATCH;
}

void divert_recycle(struct divert_ring *ring)
{
    if (!ring->taken) {
        return;
    }
    ring->taken = false;
    if (!is_closed(ring)) { /* the driver may still write to receives of a closed handle: leave them */
        advance(ring);
    }
}

/* ---- sending */

/* Waits until the send is complete, or the watchdog abandons the handle. */
static uint32_t await_send(struct divert_ring *ring)
{
    HANDLE events[2] = {ring->send.hEvent, ring->closed_event};
    DWORD bytes;
    WaitForMultipleObjects(2, events, FALSE, INFINITE);
    if (!HasOverlappedIoCompleted(&ring->send)) {
        ring->send_pending = true;
        return ERROR_OPERATION_ABORTED;
    }
    return GetOverlappedResult(NULL, &ring->send, &bytes, FALSE) ? ERROR_SUCCESS : GetLastError();
}

uint32_t divert_send(struct divert_ring *ring, const uint8_t *data, uint32_t bytes, struct divert_address *addresses,
                     uint32_t count)
{
    HANDLE handle = ring->send_pending ? NULL : gate_enter(ring);
    if (!handle) {
        return ERROR_OPERATION_ABORTED;
    }
    ring->send = (OVERLAPPED){.hEvent = ring->send.hEvent};
    bool done =
        ring->api->send_ex(handle, data, bytes, NULL, 0, addresses, (UINT)(count * sizeof *addresses), &ring->send);
    uint32_t os_error = done ? ERROR_SUCCESS : GetLastError();
    gate_leave(ring); /* the wait needs no handle, and must not delay divert_abandon() */
    return os_error == ERROR_IO_PENDING ? await_send(ring) : os_error;
}

void divert_shutdown_receive(struct divert_ring *ring)
{
    HANDLE handle = gate_enter(ring);
    if (!handle) {
        return;
    }
    ring->api->shutdown(handle, SHUTDOWN_RECV);
    gate_leave(ring);
}

/* ---- opening and closing */

static unsigned receives_of(enum divert_layer layer)
{
    switch (layer) {
    case DIVERT_LAYER_SOCKET:
        return SOCKET_RECEIVES;
    case DIVERT_LAYER_REFLECT:
        return REFLECT_RECEIVES;
    default:
        return NETWORK_RECEIVES;
    }
}

static struct divert_ring *ring_create(const struct divert_api *api, enum divert_layer layer, bool receives)
{
    struct divert_ring *ring = calloc(1, sizeof *ring);
    if (!ring) {
        return NULL;
    }
    size_t address_bytes = BATCH_ADDRESSES * sizeof(struct divert_address);
    ring->api = api;
    ring->count = receives ? receives_of(layer) : 0;
    ring->buffer_bytes = layer == DIVERT_LAYER_SOCKET ? 0 : NETWORK_BUFFER; /* its events have no data */
    ring->closed_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ring->send.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
    /* Whole pages: the driver locks them for each receive. */
    if (ring->count) {
        ring->memory = VirtualAlloc(NULL, ring->count * (ring->buffer_bytes + address_bytes), MEM_RESERVE | MEM_COMMIT,
                                    PAGE_READWRITE);
    }
    bool complete = ring->closed_event && ring->send.hEvent && (ring->memory || !ring->count);
    uint8_t *at = ring->memory;
    for (unsigned i = 0; complete && i < ring->count; i++) {
        struct receive *r = &ring->receives[i];
        r->data = ring->buffer_bytes ? at : NULL;
        r->addresses = (struct divert_address *)(void *)(at + ring->buffer_bytes);
        at += ring->buffer_bytes + address_bytes;
        r->os_error = ERROR_OPERATION_ABORTED;
        r->overlapped.hEvent = CreateEventW(NULL, TRUE, TRUE, NULL);
        complete = r->overlapped.hEvent != NULL;
    }
    if (complete) {
        return ring;
    }
    divert_close(ring);
    return NULL;
}

static struct divert_ring *open_ring(struct divert_api *api, const char *filter, enum divert_layer layer,
                                     int16_t priority, bool sends_only, redirector_error *error)
{
    struct divert_ring *ring = ring_create(api, layer, !sends_only);
    if (!ring) {
        error_set(error, REDIRECTOR_NO_MEMORY, 0, NULL);
        return NULL;
    }
    HANDLE handle = divert_open_handle(api, filter, layer, priority, sends_only, error);
    if (!handle) {
        divert_close(ring);
        return NULL;
    }
    atomic_store(&ring->handle, handle);
    return ring;
}

struct divert_ring *divert_open(struct divert_api *api, const char *filter, enum divert_layer layer, int16_t priority,
                                redirector_error *error)
{
    return open_ring(api, filter, layer, priority, false, error);
}

struct divert_ring *divert_open_sender(struct divert_api *api, const char *filter, int16_t priority,
                                       redirector_error *error)
{
    return open_ring(api, filter, DIVERT_LAYER_NETWORK, priority, true, error);
}

/* Waits for all outstanding requests, for so long at most. Whether they are complete. */
static bool settle(struct divert_ring *ring, DWORD milliseconds)
{
    ULONGLONG deadline = GetTickCount64() + milliseconds;
    for (unsigned i = 0; i <= ring->count; i++) {
        bool is_send = i == ring->count;
        OVERLAPPED *overlapped = is_send ? &ring->send : &ring->receives[i].overlapped;
        if (!(is_send ? ring->send_pending : ring->receives[i].pending)) {
            continue;
        }
        ULONGLONG now = GetTickCount64();
        WaitForSingleObject(overlapped->hEvent, now < deadline ? (DWORD)(deadline - now) : 0);
        if (!HasOverlappedIoCompleted(overlapped)) {
            return false;
        }
    }
    return true;
}

void divert_settle(struct divert_ring *ring)
{
    ring->given_up = !settle(ring, SETTLE_MS);
}

static void close_event(HANDLE event)
{
    if (event) {
        CloseHandle(event);
    }
}

void divert_close(struct divert_ring *ring)
{
    if (!ring) {
        return;
    }
    HANDLE handle = gate_enter(ring);
    bool settled = false;
    if (handle) {
        if (CancelIoEx(handle, NULL)) {
            settled = settle(ring, CANCEL_MS);
        }
        gate_leave(ring);
        divert_abandon(ring);
    }
    /* A driver that does not complete cancelled requests may write to this memory at any time: it is leaked. */
    if (!settled && !settle(ring, ring->given_up ? 0 : CANCEL_MS)) {
        return;
    }
    for (unsigned i = 0; i < ring->count; i++) {
        close_event(ring->receives[i].overlapped.hEvent);
    }
    close_event(ring->send.hEvent);
    close_event(ring->closed_event);
    if (ring->memory) {
        VirtualFree(ring->memory, 0, MEM_RELEASE);
    }
    free(ring);
}
