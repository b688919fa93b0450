/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The engine's thread: driver -> receive batch -> engine -> send batch -> driver.
 *
 * Theory of operation: the thread sleeps until the driver has something, it is asked to stop, or the engine's next tick
 * is due. On each wake-up it takes socket events first, and before them process events, so that a CONNECT that came
 * before its SYN is also seen before it; then packets. A batch is judged in place: what passes or was rewritten moves
 * up over what was held or dropped, and the whole goes back to the driver in one call.
 */
#include "decide.h"
#include "host.h"
#include "table_feed.h"

#include "engine/packet.h"
#include "windows/debug_privilege.h"

enum {
    BATCHES_PER_WAKE_UP = 32,     /* then ticks and stop requests get their turn */
    PROCESS_EVENTS_MS = 20,       /* so that process events do not pile up while the engine asks for none */
    RECEIVE_ERRORS_IN_A_ROW = 64, /* then the handle is taken for dead */
    DRAIN_MS = 150,               /* how long stop empties the queue; the rest leaves when the handle is closed */
};

static void count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* Counts what went wrong with a receive. false: nothing more is to be expected of this handle. */
static bool note_receive(redirector *r, enum divert_result result, uint32_t os_error, uint32_t *errors_in_a_row)
{
    if (result == DIVERT_ERROR) {
        count(&r->receive_errors, 1);
        ++*errors_in_a_row;
        log_line(r->log, REDIRECTOR_LOG_DEBUG, "a receive from the driver failed with error %lu",
                 (unsigned long)os_error);
    } else if (result == DIVERT_BATCH) {
        *errors_in_a_row = 0;
    }
    return result != DIVERT_DRAINED && *errors_in_a_row <= RECEIVE_ERRORS_IN_A_ROW;
}

/* false: the handle is of no use any more. */
static bool drain_events(redirector *r, uint32_t *errors)
{
    struct divert_batch batch;
    if (*errors > RECEIVE_ERRORS_IN_A_ROW) {
        return false; /* seen between two batches of packets, where nobody asks */
    }
    for (int i = 0; i < BATCHES_PER_WAKE_UP; i++) {
        uint32_t os_error = 0;
        enum divert_result result = divert_next(r->events, &batch, &os_error);
        if (result == DIVERT_NOTHING) {
            return true;
        }
        if (!note_receive(r, result, os_error, errors)) {
            return false;
        }
        if (result == DIVERT_BATCH) {
            host_take_process_events(r);
        }
        for (uint32_t k = 0; result == DIVERT_BATCH && k < batch.count; k++) {
            struct socket_event event;
            if (divert_socket_event(&batch.addresses[k], &event)) {
                engine_event(r->engine, &event, host_now_ms());
            }
        }
        divert_recycle(r->events);
    }
    return true;
}

/* Judges the batch and sends what is to be sent. */
static void process_batch(redirector *r, struct divert_batch *batch, uint64_t now_ms)
{
    uint32_t at = 0, keep_bytes = 0, keep = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint8_t *data = batch->data + at;
        uint32_t length = packet_length(data, batch->bytes - at);
        if (!length) {
            /*
             * The driver only hands over packets whose headers state their length; past this one nothing can be
             * found.
             */
            log_line(r->log, REDIRECTOR_LOG_ERROR, "the driver's batch cannot be read: %lu packets dropped",
                     (unsigned long)(batch->count - i));
            break;
        }
        struct packet_meta meta = divert_packet_meta(&batch->addresses[i]);
        enum verdict verdict = engine_packet(r->engine, &meta, data, length, now_ms);
        if (verdict == VERDICT_REWRITE) {
            divert_apply_meta(&batch->addresses[i], &meta);
        }
        if (verdict == VERDICT_PASS || verdict == VERDICT_REWRITE) {
            if (keep != i) {
                batch->addresses[keep] = batch->addresses[i];
                memmove(batch->data + keep_bytes, data, length);
            }
            keep_bytes += length;
            keep++;
        }
        at += length;
    }
    host_send(r, batch->data, keep_bytes, batch->addresses, keep);
}

static void note_queue_delay(redirector *r, const struct divert_batch *batch)
{
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    queue_delay_note(&r->queue_delay, batch, now.QuadPart);
}

/* Has the filter replaced when the engine wants another one, and tells it when that is done. */
static void follow_capture(redirector *r)
{
    redirector_error error = {.size = sizeof error};
    enum packet_handles_result result = packet_handles_poll(&r->packets, &error);
    if (result != PACKET_HANDLES_NOTHING) {
        engine_capture_replaced(r->engine, result == PACKET_HANDLES_REPLACED, host_now_ms());
    }
    if (result == PACKET_HANDLES_FAILED) {
        log_line(r->log, REDIRECTOR_LOG_WARN, "the driver's filter could not be replaced: %s", error.text);
    }
    const struct capture_set *wanted =
        packet_handles_is_idle(&r->packets) ? engine_capture_wanted(r->engine, host_now_ms()) : NULL;
    if (wanted && !packet_handles_replace(&r->packets, wanted)) {
        engine_capture_replaced(r->engine, false, host_now_ms());
    }
}

/*
 * Takes what packets there are: in at most so many batches, and no more once a stop is asked for (S2). false: the handle
 * is of no use any more.
 */
static bool drain_packets(redirector *r, int batches, uint32_t *errors, uint32_t *event_errors, bool *dry)
{
    struct divert_batch batch;
    for (int i = 0; i < batches; i++) {
        uint32_t os_error = 0;
        enum divert_result result = packet_handles_next(&r->packets, &batch, &os_error);
        if (result == DIVERT_NOTHING) {
            return true;
        }
        atomic_fetch_add_explicit(&r->progress, 1, memory_order_relaxed);
        if (!note_receive(r, result, os_error, errors)) {
            *dry = true;
            return false;
        }
        if (result == DIVERT_BATCH) {
            note_queue_delay(r, &batch);
            drain_events(r, event_errors);
            process_batch(r, &batch, host_now_ms());
        }
        packet_handles_recycle(&r->packets);
        if (atomic_load(&r->stop_requested)) {
            break;
        }
        follow_capture(r); /* under load the next wake-up is thousands of packets away */
    }
    return true;
}

/*
 * Stop: flows are reset while nothing can slip past us, then the driver lets new traffic pass, then its queue is
 * emptied.
 */
static void wind_down(redirector *r, uint32_t *errors, uint32_t *event_errors)
{
    uint64_t began = host_now_ms();
    bool dry = false;
    engine_stop(r->engine, !(r->flags & REDIRECTOR_KEEP_FLOWS_ON_STOP), began);
    host_flush(r);
    packet_handles_shutdown(&r->packets);
    while (!dry && host_now_ms() - began < DRAIN_MS) {
        HANDLE handles[2];
        packet_handles_to_wait_for(&r->packets, handles);
        WaitForSingleObject(handles[0], 10);
        drain_packets(r, 1, errors, event_errors, &dry); /* one at a time, so that the clock has its say */
        host_flush(r);
    }
    if (!dry) {
        log_line(r->log, REDIRECTOR_LOG_WARN, "the driver's queue did not run dry within %d ms", DRAIN_MS);
    }
}

/* Sleeps until there is something to do. */
static void await_work(redirector *r, bool busy)
{
    HANDLE handles[4] = {r->wake, divert_wait_handle(r->events)};
    DWORD count = 2 + packet_handles_to_wait_for(&r->packets, handles + 2);
    bool may_sleep = !busy && packet_handles_may_sleep(&r->packets);
    uint32_t patience_ms = may_sleep ? engine_next_tick_ms(r->engine, host_now_ms()) : 0;
    WaitForMultipleObjects(count, handles, FALSE, patience_ms);
}

DWORD WINAPI loop_thread(void *redirector_pointer)
{
    redirector *r = redirector_pointer;
    uint32_t packet_errors = 0, event_errors = 0;
    struct debug_privilege privilege;
    bool dry = false, feeding = false;
    if (r->flags & REDIRECTOR_DEBUG_PRIVILEGE) {
        debug_privilege_take(&privilege); /* to the thread's end; it opens the process of each connection */
    }
    while (!atomic_load(&r->stop_requested)) {
        await_work(r, feeding);
        atomic_fetch_add_explicit(&r->progress, 1, memory_order_relaxed);
        if (host_now_ms() - r->process_events_ms >= PROCESS_EVENTS_MS) {
            host_take_process_events(r);
        }
        request_serve(r);
        host_take_addresses(r);
        bool alive = drain_events(r, &event_errors);
        if (!drain_packets(r, BATCHES_PER_WAKE_UP, &packet_errors, &event_errors, &dry) || !alive) {
            if (!atomic_load(&r->watchdog_trips)) { /* else the watchdog has closed the handles, and says why */
                service_fail(r, REDIRECTOR_DRIVER_FAILED, 0,
                             alive ? "it gives no more packets" : "it gives no more events");
            }
            break;
        }
        feeding = table_feed_slice(r);
        engine_tick(r->engine, host_now_ms());
        engine_read_table(r->engine, host_now_ms());
        follow_capture(r);
        host_flush(r);
        decide_wake(r);
        if (!proof_task_poll(r)) {
            break;
        }
    }
    if (!dry) {
        wind_down(r, &packet_errors, &event_errors);
    }
    packet_handles_abandon(&r->packets); /* traffic must not wait for a reader that is gone (S3) */
    divert_abandon(r->events);
    packet_handles_settle(&r->packets);
    divert_settle(r->events);
    if (r->flags & REDIRECTOR_DEBUG_PRIVILEGE) {
        debug_privilege_drop(&privilege);
    }
    return 0;
}
