/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The engine's thread: driver -> receive batch -> engine -> send batch -> driver.
 *
 * Theory of operation: the thread sleeps until the driver has something, somebody wants it to stop, or the engine's
 * next tick is due. On each wake-up it takes socket events first, and before them process news, so that a CONNECT that came
 * before its SYN is also seen before it; then packets. A batch is judged in place: what passes or was rewritten moves up
 * over what was held or dropped, and the whole goes back to the driver in one call.
 */
#include "service_internal.h"

#include "engine/packet.h"

#include <stdio.h>

enum {
    BATCHES_PER_WAKE_UP = 32,     /* then ticks and stop requests get their turn */
    NEWS_MS = 20,                 /* so that news of processes do not pile up while nobody asks for them */
    RECEIVE_ERRORS_IN_A_ROW = 64, /* then the handle is taken for dead */
    DRAIN_MS = 150,               /* how long stop empties the queue; the rest leaves when the handle is closed */
};

/* ntdll; declared here with `void`, so that Winsock's headers stay out. `text` takes 46 characters. */
NTSYSAPI PSTR NTAPI RtlIpv6AddressToStringA(const void *address, PSTR text);

uint64_t loop_now_ms(void)
{
    LARGE_INTEGER frequency, now;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    uint64_t f = (uint64_t)frequency.QuadPart, n = (uint64_t)now.QuadPart;
    return n / f * 1000 + n % f * 1000 / f;
}

static void count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static void send_batch(redirector *r, const uint8_t *data, uint32_t bytes, struct divert_address *addresses,
                       uint32_t packets)
{
    if (packets && diversion_send(&r->diversion, data, bytes, addresses, packets) != 0) {
        /* Some of them may have left, and the driver does not say which: sending again could double them. */
        count(&r->send_errors, 1);
    }
}

/* ---- what the engine asks of us ---- */

static void outbox_flush(redirector *r)
{
    send_batch(r, r->outbox.data, r->outbox.bytes, r->outbox.addresses, r->outbox.count);
    r->outbox.count = r->outbox.bytes = 0;
}

static void host_inject(void *context, const struct packet_meta *meta, const uint8_t *data, uint32_t length)
{
    redirector *r = context;
    struct outbox *o = &r->outbox;
    if (o->count == OUTBOX_PACKETS || length > OUTBOX_BYTES - o->bytes) {
        outbox_flush(r);
    }
    o->addresses[o->count] = (struct divert_address){.layer = DIVERT_LAYER_NETWORK};
    divert_apply_meta(&o->addresses[o->count++], meta);
    memcpy(o->data + o->bytes, data, length);
    o->bytes += length;
}
static_assert((int)OUTBOX_BYTES >= (int)PACKET_MAX, "any packet finds room in an empty outbox");

static bool host_process_facts(void *context, uint32_t pid, struct process_facts *out)
{
    redirector *r = context;
    loop_take_process_news(r); /* the process may be gone: then the news are all that is left of it */
    return process_facts(r->job, pid, out);
}

static void host_process_path(void *context, uint32_t pid, char *out, uint32_t size)
{
    (void)context;
    process_path(pid, out, size);
}

static uint32_t host_socket_owner(void *context, const struct tuple *tuple)
{
    redirector *r = context;
    loop_take_process_news(r);
    return tcptable_owner(r->tcptable, tuple);
}

static void address_text(const ip_addr *a, uint32_t family, char out[64])
{
    if (family == FAMILY_IP4) {
        const uint8_t *b = a->bytes + 12;
        snprintf(out, 64, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    } else {
        char text[50];
        RtlIpv6AddressToStringA(a->bytes, text);
        snprintf(out, 64, "[%s]", text);
    }
}

static void host_flow_news(void *context, const struct flow *f, const struct tuple *original, bool ended)
{
    redirector *r = context;
    uint32_t level = ended ? REDIRECTOR_LOG_INFO : REDIRECTOR_LOG_DEBUG;
    if (!log_wants(r->log, level)) {
        return;
    }
    char src[64], dst[64];
    address_text(&original->src, original->family, src);
    address_text(&original->dst, original->family, dst);
    uint32_t src_port = be16_to_host(original->src_port), dst_port = be16_to_host(original->dst_port);
    if (ended) {
        log_line(
            r->log, level, "connection of pid %lu %s:%u -> %s:%u ended after %llu ms, %llu bytes up, %llu bytes down",
            (unsigned long)f->pid, src, src_port, dst, dst_port, (unsigned long long)(loop_now_ms() - f->opened_ms),
            (unsigned long long)f->bytes[LEG_FORWARD], (unsigned long long)f->bytes[LEG_REPLY]);
    } else {
        log_line(r->log, level, "connection of pid %lu %s:%u -> %s:%u redirected", (unsigned long)f->pid, src, src_port,
                 dst, dst_port);
    }
}

static void give_listener(void *context, const struct tuple *row, uint32_t pid)
{
    engine_listener(context, row, pid);
}

static bool host_list_listeners(void *context)
{
    redirector *r = context;
    loop_take_process_news(r);
    return tcptable_listeners(r->tcptable, give_listener, r->engine);
}

static void give_socket(void *context, const struct tuple *row, uint32_t pid)
{
    (void)pid;
    engine_socket(context, row);
}

static bool host_list_sockets(void *context)
{
    redirector *r = context;
    return tcptable_sockets(r->tcptable, give_socket, r->engine);
}

static void host_proxy_missing(void *context, const struct tuple *steered)
{
    redirector *r = context;
    char address[64];
    address_text(&steered->dst, steered->family, address);
    log_line(r->log, REDIRECTOR_LOG_WARN, "nothing listens on %s:%u: connections %s until the proxy is there", address,
             be16_to_host(steered->dst_port), r->flags & REDIRECTOR_REFUSE ? "are refused" : "pass directly");
}

struct engine_host loop_engine_host(redirector *r)
{
    return (struct engine_host){
        .context = r,
        .process_facts = host_process_facts,
        .process_path = host_process_path,
        .socket_owner = host_socket_owner,
        .inject = host_inject,
        .list_listeners = host_list_listeners,
        .list_sockets = host_list_sockets,
        .flow_news = host_flow_news,
        .proxy_missing = host_proxy_missing,
    };
}

/* ---- intake ---- */

void loop_take_process_news(redirector *r)
{
    struct process_news news;
    uint64_t now_ms = r->news_ms = loop_now_ms();
    while (process_job_poll(r->job, &news)) {
        if (news.exited) {
            engine_process_exited(r->engine, news.id, now_ms);
        } else {
            engine_process(r->engine, news.id);
        }
    }
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
            loop_take_process_news(r);
        }
        for (uint32_t k = 0; result == DIVERT_BATCH && k < batch.count; k++) {
            struct socket_event event;
            if (divert_socket_event(&batch.addresses[k], &event)) {
                engine_event(r->engine, &event, loop_now_ms());
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
    send_batch(r, batch->data, keep_bytes, batch->addresses, keep);
}

static void note_queue_delay(redirector *r, const struct divert_batch *batch)
{
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    queue_delay_note(&r->queue_delay, batch, now.QuadPart);
}

/* Takes what packets there are, in at most so many batches. false: the handle is of no use any more. */
static bool drain_packets(redirector *r, int batches, uint32_t *errors, uint32_t *event_errors, bool *dry)
{
    struct divert_batch batch;
    for (int i = 0; i < batches; i++) {
        uint32_t os_error = 0;
        enum divert_result result = diversion_next(&r->diversion, &batch, &os_error);
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
            process_batch(r, &batch, loop_now_ms());
        }
        diversion_recycle(&r->diversion);
    }
    return true;
}

/*
 * Stop: flows are reset while nothing can slip past us, then the driver lets new traffic pass, then its queue is
 * emptied.
 */
static void wind_down(redirector *r, uint32_t *errors, uint32_t *event_errors)
{
    uint64_t began = loop_now_ms();
    bool dry = false;
    engine_stop(r->engine, !(r->flags & REDIRECTOR_LEAVE_FLOWS), began);
    outbox_flush(r);
    diversion_shutdown(&r->diversion);
    while (!dry && loop_now_ms() - began < DRAIN_MS) {
        HANDLE handles[2];
        diversion_wait_handles(&r->diversion, handles);
        WaitForSingleObject(handles[0], 10);
        drain_packets(r, 1, errors, event_errors, &dry); /* one at a time, so that the clock has its say */
        outbox_flush(r);
    }
    if (!dry) {
        log_line(r->log, REDIRECTOR_LOG_WARN, "the driver's queue did not run dry within %d ms", DRAIN_MS);
    }
}

/* Has the filter replaced when the engine wants another one, and tells it when that is done. */
static void follow_cover(redirector *r)
{
    redirector_error error = {.size = sizeof error};
    enum diversion_news news = diversion_poll(&r->diversion, &error);
    if (news != DIVERSION_NONE) {
        engine_cover_replaced(r->engine, news == DIVERSION_REPLACED, loop_now_ms());
    }
    if (news == DIVERSION_FAILED) {
        log_line(r->log, REDIRECTOR_LOG_WARN, "the driver's filter could not be replaced: %s", error.text);
    }
    const struct cover *cover = diversion_is_idle(&r->diversion) ? engine_cover_wanted(r->engine, loop_now_ms()) : NULL;
    if (cover && !diversion_replace(&r->diversion, cover)) {
        engine_cover_replaced(r->engine, false, loop_now_ms());
    }
}

/* Sleeps until there is something to do. */
static void await_work(redirector *r)
{
    HANDLE handles[4] = {r->wake, divert_wait_handle(r->events)};
    DWORD count = 2 + diversion_wait_handles(&r->diversion, handles + 2);
    uint32_t patience_ms = diversion_is_at_rest(&r->diversion) ? engine_next_tick_ms(r->engine, loop_now_ms()) : 0;
    WaitForMultipleObjects(count, handles, FALSE, patience_ms);
}

DWORD WINAPI loop_thread(void *redirector_pointer)
{
    redirector *r = redirector_pointer;
    uint32_t packet_errors = 0, event_errors = 0;
    bool dry = false;
    while (!atomic_load(&r->stop_requested)) {
        await_work(r);
        atomic_fetch_add_explicit(&r->progress, 1, memory_order_relaxed);
        if (loop_now_ms() - r->news_ms >= NEWS_MS) {
            loop_take_process_news(r);
        }
        request_serve(r);
        bool alive = drain_events(r, &event_errors);
        if (!drain_packets(r, BATCHES_PER_WAKE_UP, &packet_errors, &event_errors, &dry) || !alive) {
            service_fail(r, REDIRECTOR_DRIVER_FAILED, 0,
                         alive ? "it gives no more packets" : "it gives no more events");
            break;
        }
        engine_tick(r->engine, loop_now_ms());
        follow_cover(r);
        outbox_flush(r);
    }
    if (!dry) {
        wind_down(r, &packet_errors, &event_errors);
    }
    diversion_abandon(&r->diversion); /* traffic must not wait for a reader that is gone (S3) */
    divert_abandon(r->events);
    diversion_settle(&r->diversion);
    divert_settle(r->events);
    return 0;
}
