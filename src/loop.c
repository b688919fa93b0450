/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The engine's thread: driver -> receive batch -> engine -> send batch -> driver.
 *
 * Theory of operation: the thread sleeps until the driver has something, it is asked to stop, or the engine's next tick
 * is due. On each wake-up it takes socket events first, and before them process events, so that a CONNECT that came
 * before its SYN is also seen before it; then packets. A batch is judged in place: what passes or was rewritten moves
 * up over what was held or dropped, and the whole goes back to the driver in one call.
 *
 * All of this is done for each lane by itself (lane.h), TCP's first.
 */
#include "decide.h"
#include "host.h"
#include "table_feed.h"

#include "engine/packet.h"
#include "windows/debug_privilege.h"

#include <stdio.h>

enum {
    BATCHES_PER_WAKE_UP = 32,     /* then ticks and stop requests get their turn */
    PROCESS_EVENTS_MS = 20,       /* so that process events do not pile up while the engine asks for none */
    RECEIVE_ERRORS_IN_A_ROW = 64, /* then the handle is taken for dead */
    DRAIN_MS = 150,               /* how long stop empties the queue; the rest leaves when the handle is closed */
};

enum { LANES = 2 }; /* TCP, UDP */

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
static bool drain_events(redirector *r, struct lane *l)
{
    struct divert_batch batch;
    if (l->event_errors > RECEIVE_ERRORS_IN_A_ROW) {
        return false; /* seen between two batches of packets, where nobody asks */
    }
    for (int i = 0; i < BATCHES_PER_WAKE_UP && l->events; i++) {
        uint32_t os_error = 0;
        enum divert_result result = divert_next(l->events, &batch, &os_error);
        if (result == DIVERT_NOTHING) {
            return true;
        }
        if (!note_receive(r, result, os_error, &l->event_errors)) {
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
        divert_recycle(l->events);
    }
    return true;
}

/* Judges the batch and sends what is to be sent. */
static void process_batch(redirector *r, const struct lane *l, struct divert_batch *batch, uint64_t now_ms)
{
    bool tcp = l->protocol == PROTOCOL_TCP;
    uint8_t sum = tcp ? DIVERT_TCP_CHECKSUM : DIVERT_UDP_CHECKSUM;
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
        struct packet_meta meta = divert_packet_meta(&batch->addresses[i], sum);
        enum verdict verdict = (tcp ? engine_packet : engine_datagram)(r->engine, &meta, data, length, now_ms);
        if (verdict == VERDICT_REWRITE) {
            divert_apply_meta(&batch->addresses[i], &meta, sum);
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

static void tell_replaced(redirector *r, const struct lane *l, bool ok)
{
    (l->protocol == PROTOCOL_TCP ? engine_capture_replaced : engine_udp_capture_replaced)(r->engine, ok, host_now_ms());
}

static const struct capture_set *ask_wanted(redirector *r, const struct lane *l)
{
    return (l->protocol == PROTOCOL_TCP ? engine_capture_wanted : engine_udp_capture_wanted)(r->engine, host_now_ms());
}

/* Has the filter replaced when the engine wants another one, and tells it when that is done. */
static void follow_capture(redirector *r, struct lane *l)
{
    if (!l->captures) {
        return;
    }
    redirector_error error = {.size = sizeof error};
    enum packet_handles_result result = packet_handles_poll(&l->packets, &error);
    if (result != PACKET_HANDLES_NOTHING) {
        tell_replaced(r, l, result == PACKET_HANDLES_REPLACED);
    }
    if (result == PACKET_HANDLES_FAILED) {
        log_line(r->log, REDIRECTOR_LOG_WARN, "the driver's filter could not be replaced: %s", error.text);
    }
    const struct capture_set *wanted = packet_handles_is_idle(&l->packets) ? ask_wanted(r, l) : NULL;
    if (wanted && !packet_handles_replace(&l->packets, wanted)) {
        tell_replaced(r, l, false);
    }
}

/*
 * Takes what packets there are: in at most so many batches, and no more once a stop is asked for (S2). false: the handle
 * is of no use any more.
 */
static bool drain_packets(redirector *r, struct lane *l, int batches)
{
    struct divert_batch batch;
    for (int i = 0; i < batches && l->captures; i++) {
        uint32_t os_error = 0;
        enum divert_result result = packet_handles_next(&l->packets, &batch, &os_error);
        if (result == DIVERT_NOTHING) {
            return true;
        }
        atomic_fetch_add_explicit(&r->progress, 1, memory_order_relaxed);
        if (!note_receive(r, result, os_error, &l->packet_errors)) {
            l->dry = true;
            return false;
        }
        if (result == DIVERT_BATCH) {
            note_queue_delay(r, &batch);
            drain_events(r, l);
            process_batch(r, l, &batch, host_now_ms());
        }
        packet_handles_recycle(&l->packets);
        if (atomic_load(&r->stop_requested)) {
            break;
        }
        follow_capture(r, l); /* under load the next wake-up is thousands of packets away */
    }
    return true;
}

static bool is_dry(const struct lane *l)
{
    return l->dry || !l->captures;
}

/* One batch at a time, so that the clock has its say. */
static void run_dry(redirector *r, struct lane *const lanes[LANES])
{
    HANDLE handles[LANES];
    DWORD count = 0;
    for (int i = 0; i < LANES; i++) {
        if (!is_dry(lanes[i])) {
            HANDLE of_lane[2];
            packet_handles_to_wait_for(&lanes[i]->packets, of_lane);
            handles[count++] = of_lane[0];
        }
    }
    WaitForMultipleObjects(count, handles, FALSE, 10);
    for (int i = 0; i < LANES; i++) {
        if (!is_dry(lanes[i])) {
            drain_packets(r, lanes[i], 1);
        }
    }
    host_flush(r);
}

/*
 * Stop: flows are reset while nothing can slip past us, then the driver lets new traffic pass, then its queue is
 * emptied.
 */
static void wind_down(redirector *r, struct lane *const lanes[LANES])
{
    uint64_t began = host_now_ms();
    engine_stop(r->engine, !(r->flags & REDIRECTOR_KEEP_FLOWS_ON_STOP), began);
    host_flush(r);
    for (int i = 0; i < LANES; i++) {
        if (!is_dry(lanes[i])) {
            packet_handles_shutdown(&lanes[i]->packets);
        }
    }
    while (!(is_dry(lanes[0]) && is_dry(lanes[1])) && host_now_ms() - began < DRAIN_MS) {
        run_dry(r, lanes);
    }
    if (!is_dry(lanes[0]) || !is_dry(lanes[1])) {
        log_line(r->log, REDIRECTOR_LOG_WARN, "the driver's queue did not run dry within %d ms", DRAIN_MS);
    }
}

/* Sleeps until there is something to do. */
static void await_work(redirector *r, struct lane *const lanes[LANES], bool busy)
{
    HANDLE handles[1 + LANES * LANE_WAIT_MAX] = {r->wake};
    DWORD count = 1;
    for (int i = 0; i < LANES; i++) {
        count += lane_to_wait_for(lanes[i], handles + count);
        busy = busy || (lanes[i]->captures && !packet_handles_may_sleep(&lanes[i]->packets));
    }
    WaitForMultipleObjects(count, handles, FALSE, busy ? 0 : engine_next_tick_ms(r->engine, host_now_ms()));
}

/* Events and packets of a lane. false: its handles are of no use any more, and redirection has ended. */
static bool serve(redirector *r, struct lane *l)
{
    bool alive = drain_events(r, l), gives = drain_packets(r, l, BATCHES_PER_WAKE_UP);
    if (gives && alive) {
        return true;
    }
    if (!atomic_load(&r->watchdog_trips)) { /* else the watchdog has closed the handles, and says why */
        char why[40];
        snprintf(why, sizeof why, "it gives no more %s%s", l->protocol == PROTOCOL_TCP ? "" : "UDP ",
                 alive ? "packets" : "events");
        service_fail(r, REDIRECTOR_DRIVER_FAILED, 0, why);
    }
    return false;
}

DWORD WINAPI loop_thread(void *redirector_pointer)
{
    redirector *r = redirector_pointer;
    struct lane *const lanes[LANES] = {&r->tcp, &r->udp};
    struct debug_privilege privilege;
    bool feeding = false;
    if (r->flags & REDIRECTOR_DEBUG_PRIVILEGE) {
        debug_privilege_take(&privilege); /* to the thread's end; it opens the process of each connection */
    }
    while (!atomic_load(&r->stop_requested)) {
        await_work(r, lanes, feeding);
        atomic_fetch_add_explicit(&r->progress, 1, memory_order_relaxed);
        if (host_now_ms() - r->process_events_ms >= PROCESS_EVENTS_MS) {
            host_take_process_events(r);
        }
        request_serve(r);
        host_take_addresses(r);
        if (!serve(r, lanes[0]) || !serve(r, lanes[1])) {
            break;
        }
        feeding = table_feed_slice(r);
        engine_tick(r->engine, host_now_ms());
        engine_read_table(r->engine, host_now_ms());
        follow_capture(r, lanes[0]);
        follow_capture(r, lanes[1]);
        host_flush(r);
        decide_wake(r);
        if (!proof_task_poll(r)) {
            break;
        }
    }
    if (!is_dry(lanes[0]) || !is_dry(lanes[1])) {
        wind_down(r, lanes);
    }
    service_abandon(r); /* traffic must not wait for a reader that is gone (S3) */
    lane_settle(lanes[0]);
    lane_settle(lanes[1]);
    if (r->flags & REDIRECTOR_DEBUG_PRIVILEGE) {
        debug_privilege_drop(&privilege);
    }
    return 0;
}
