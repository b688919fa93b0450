/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the engine's questions are answered at once, on its thread; all but those to the TCP table
 * (table_feed.h). Before that, pending process events
 * are passed to the engine, because a process that has ended is known by them only. Injected packets are collected, so
 * that they are sent in batches.
 */
#include "host.h"
#include "table_feed.h"

#include "engine/packet.h"

#include <stdio.h>

/* ntdll; declared here with `void`, so that Winsock's headers stay out. `text` takes 46 characters. */
NTSYSAPI PSTR NTAPI RtlIpv6AddressToStringA(const void *address, PSTR text);

uint64_t host_now_ms(void)
{
    LARGE_INTEGER frequency, now;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    uint64_t f = (uint64_t)frequency.QuadPart, n = (uint64_t)now.QuadPart;
    return n / f * 1000 + n % f * 1000 / f;
}

void host_send(redirector *r, const uint8_t *data, uint32_t bytes, struct divert_address *addresses, uint32_t packets)
{
    if (packets && divert_send(r->sender, data, bytes, addresses, packets) != 0) {
        /* Some of them may have left, and the driver does not say which: sending again could double them. */
        atomic_fetch_add_explicit(&r->send_errors, 1, memory_order_relaxed);
    }
}

void host_flush(redirector *r)
{
    host_send(r, r->outbox.data, r->outbox.bytes, r->outbox.addresses, r->outbox.count);
    r->outbox.count = r->outbox.bytes = 0;
}

static void host_inject(void *context, const struct packet_meta *meta, const uint8_t *data, uint32_t length)
{
    redirector *r = context;
    struct outbox *o = &r->outbox;
    if (o->count == OUTBOX_PACKETS || length > OUTBOX_BYTES - o->bytes) {
        host_flush(r);
    }
    o->addresses[o->count] = (struct divert_address){.layer = DIVERT_LAYER_NETWORK};
    divert_apply_meta(&o->addresses[o->count++], meta, DIVERT_TCP_CHECKSUM | DIVERT_UDP_CHECKSUM);
    memcpy(o->data + o->bytes, data, length);
    o->bytes += length;
}
static_assert((int)OUTBOX_BYTES >= (int)PACKET_MAX, "any packet finds room in an empty outbox");

static bool host_process_facts(void *context, uint32_t pid, struct process_facts *out)
{
    redirector *r = context;
    host_take_process_events(r);
    return process_facts(r->job, pid, out);
}

static void host_process_path(void *context, uint32_t pid, char *out, uint32_t size)
{
    (void)context;
    process_path(pid, out, size);
}

static void address_text(const ip_addr *a, uint32_t family, uint32_t scope, char out[64])
{
    if (family == FAMILY_IP4) {
        const uint8_t *b = a->bytes + 12;
        snprintf(out, 64, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    } else {
        char text[50], zone[12] = "";
        RtlIpv6AddressToStringA(a->bytes, text);
        if (scope && ip_addr_is_link_local(a)) {
            snprintf(zone, sizeof zone, "%%%lu", (unsigned long)scope);
        }
        snprintf(out, 64, "[%s%s]", text, zone);
    }
}

static void host_flow_event(void *context, const struct flow *f, const struct tuple *original, bool ended)
{
    redirector *r = context;
    uint32_t level = ended ? REDIRECTOR_LOG_INFO : REDIRECTOR_LOG_DEBUG;
    if (!log_wants(r->log, level)) {
        return;
    }
    char src[64], dst[64];
    address_text(&original->src, original->family, f->scope, src);
    address_text(&original->dst, original->family, f->scope, dst);
    uint32_t src_port = be16_to_host(original->src_port), dst_port = be16_to_host(original->dst_port);
    const char *what = f->protocol == PROTOCOL_UDP ? "UDP flow" : "connection";
    if (ended) {
        log_line(r->log, level, "%s of pid %lu %s:%u -> %s:%u ended after %llu ms, %llu bytes up, %llu bytes down",
                 what, (unsigned long)f->pid, src, src_port, dst, dst_port,
                 (unsigned long long)(host_now_ms() - f->opened_ms), (unsigned long long)f->bytes[LEG_FORWARD],
                 (unsigned long long)f->bytes[LEG_REPLY]);
    } else {
        log_line(r->log, level, "%s of pid %lu %s:%u -> %s:%u redirected", what, (unsigned long)f->pid, src, src_port,
                 dst, dst_port);
    }
}

static void host_read_table(void *context, const struct table_wanted *wanted)
{
    redirector *r = context;
    table_feed_begin(&r->tcp_table, wanted);
}

static void host_read_udp_table(void *context)
{
    redirector *r = context;
    table_feed_begin(&r->udp_table, &(struct table_wanted){.sockets = true});
}

static void host_proxy_not_listening(void *context, uint8_t protocol, const struct tuple *redirected)
{
    redirector *r = context;
    char address[64];
    bool udp = protocol == PROTOCOL_UDP, closed = r->flags & REDIRECTOR_FAIL_CLOSED;
    address_text(&redirected->dst, redirected->family, redirected->scope, address);
    log_line(r->log, REDIRECTOR_LOG_WARN, "nothing %s on %s:%u: %s %s until the proxy is there",
             udp ? "receives datagrams" : "listens", address, be16_to_host(redirected->dst_port),
             udp ? "those of the tree" : "connections",
             !closed ? "pass directly"
             : udp   ? "are dropped"
                     : "are refused");
}

static void host_filter_too_late(void *context, const struct tuple *original)
{
    redirector *r = context;
    char address[64];
    address_text(&original->dst, original->family, original->scope, address);
    log_line(r->log, REDIRECTOR_LOG_WARN,
             "the driver's filter was not replaced in time: a connection to %s:%u %s, and so do others like it",
             address, be16_to_host(original->dst_port),
             r->flags & REDIRECTOR_FAIL_CLOSED ? "is refused" : "passes directly");
}

static void host_proxy_spared(void *context, uint8_t protocol, uint32_t pid, const struct tuple *proxy)
{
    redirector *r = context;
    char address[64];
    bool udp = protocol == PROTOCOL_UDP;
    address_text(&proxy->dst, proxy->family, proxy->scope, address);
    log_line(r->log, REDIRECTOR_LOG_INFO, "%s of pid %lu are not redirected: it %s as the proxy on %s:%u does",
             udp ? "datagrams" : "connections", (unsigned long)pid, udp ? "receives" : "listens", address,
             be16_to_host(proxy->dst_port));
}

static void host_decision_wanted(void *context)
{
    redirector *r = context;
    r->decision_asked = true;
}

static void host_led_by_other(void *context, const struct tuple *original, uint32_t pid)
{
    redirector *r = context;
    char address[64];
    address_text(&original->dst, original->family, original->scope, address);
    log_line(r->log, REDIRECTOR_LOG_WARN,
             "another redirector leads the connection of pid %lu to %s:%u; led_by_others counts such ones",
             (unsigned long)pid, address, be16_to_host(original->dst_port));
}

static void host_no_listener(void *context)
{
    redirector *r = context;
    log_line(r->log, REDIRECTOR_LOG_WARN,
             "no process of the tree listens yet, so nothing comes in; a program whose requests http.sys takes (IIS "
             "Express, HttpListener, WCF) listens as PID 4: name its port in listen_ports");
}

static void host_bypassed(void *context, enum bypass way, uint64_t times)
{
    static const struct {
        const char *what, *why;
    } ways[] = {
        [BYPASS_OWNER_UNKNOWN] = {"connections", "it was not known in time whose they are"},
        [BYPASS_PROCESS_UNKNOWN] = {"connections", "their process had ended before it could be asked for its parents"},
        [BYPASS_TABLE_LATE] = {"connections", "Windows did not give the TCP table in time; what was known counted"},
        [BYPASS_UDP_OWNER_UNKNOWN] = {"datagrams", "it was not known in time whose they are"},
        [BYPASS_UDP_FRAGMENTS] = {"fragments of datagrams", "it is not known whose datagram they are of"},
        [BYPASS_UDP_UNCAPTURED] = {"the first datagrams of sockets", "the driver's filter had left their ports out"},
        [BYPASS_HELD_FULL] = {"connections", "too many waited at a time"},
        [BYPASS_FLOWS_FULL] = {"connections", "the flow table is full, or their source port is taken"},
        [BYPASS_LISTENERS_FULL] = {"connections", "more sockets listen on this machine than there is room for"},
        [BYPASS_UDP_HELD_FULL] = {"datagrams", "too many waited at a time, or they were too large to wait"},
        [BYPASS_UDP_FLOWS_FULL] = {"datagrams", "the table of UDP flows is full of busy ones"},
    };
    static_assert(sizeof ways / sizeof *ways == BYPASSES, "each way has its words");
    redirector *r = context;
    log_line(r->log, REDIRECTOR_LOG_WARN, "%s may have passed directly (%llu): %s", ways[way].what,
             (unsigned long long)times, ways[way].why);
}

static void host_segments_lost(void *context)
{
    redirector *r = context;
    log_line(r->log, REDIRECTOR_LOG_WARN,
             "packets larger than a network card's do not reach programs on this machine: new connections do without, "
             "which costs speed and nothing else");
}

struct engine_host host_of(redirector *r)
{
    return (struct engine_host){
        .context = r,
        .process_facts = host_process_facts,
        .process_path = host_process_path,
        .read_table = host_read_table,
        .read_udp_table = host_read_udp_table,
        .inject = host_inject,
        .flow_event = host_flow_event,
        .proxy_not_listening = host_proxy_not_listening,
        .filter_too_late = host_filter_too_late,
        .proxy_spared = host_proxy_spared,
        .decision_wanted = host_decision_wanted,
        .led_by_other = host_led_by_other,
        .no_listener = host_no_listener,
        .bypassed = host_bypassed,
        .segments_lost = host_segments_lost,
    };
}

void host_take_addresses(redirector *r)
{
    struct own_addresses *all = r->addresses ? address_watch_take(r->addresses) : NULL;
    if (all) {
        if (own_addresses_link_local_doubled(all)) {
            log_line(r->log, REDIRECTOR_LOG_WARN,
                     "several interfaces have the same link-local address: connections to "
                     "and from link-local addresses are left alone");
        }
        proof_task_note_addresses(r, all);
        engine_set_own_addresses(r->engine, all);
    }
}

/* The kernel does not keep track of a member: says so, and what follows. */
static void note_outside(redirector *r, const struct process_event *event)
{
    char note[300];
    snprintf(note, sizeof note,
             "process %lu cannot be put into a job (Windows error %lu): what it starts is found by looking at all "
             "processes many times a second, except behind a process that lives only between two looks",
             (unsigned long)event->id.pid, (unsigned long)event->os_error);
    atomic_fetch_add_explicit(&r->members_outside, 1, memory_order_relaxed);
    log_line(r->log, r->outside_told ? REDIRECTOR_LOG_INFO : REDIRECTOR_LOG_WARN, "%s", note);
    service_limit(r, event->os_error, note);
    r->outside_told = r->limited = true;
}

static void poll_job(redirector *r, uint64_t now_ms)
{
    struct process_event event;
    while (process_job_poll(r->job, &event)) {
        if (event.exited) {
            engine_process_exited(r->engine, event.id, event.to, now_ms);
        } else if (event.gone) {
            engine_process_gone(r->engine, event.id.pid, event.from, event.to, now_ms);
        } else {
            engine_process(r->engine, event.id);
        }
        if (event.outside) {
            note_outside(r, &event);
        }
    }
}

/* Begins to look at all processes, or rests. false: there is nothing to be taken. */
static bool run_watch(redirector *r)
{
    bool wanted = process_job_needs_watch(r->job);
    if (!r->watch && wanted) {
        r->watch = process_watch_start(r->wake);
    }
    if (r->watch) {
        process_watch_run(r->watch, wanted);
    }
    if (r->limited && !wanted) {
        r->limited = false;
        service_limit(r, 0, NULL);
    }
    return r->watch != NULL;
}

void host_take_process_events(redirector *r)
{
    uint64_t now_ms = r->process_events_ms = host_now_ms();
    struct process_table seen;
    poll_job(r, now_ms);
    if (!run_watch(r) || !process_watch_take(r->watch, &seen)) {
        return;
    }
    for (uint32_t i = 0; i < seen.count; i++) {
        const struct process_facts *facts = &seen.all[i];
        if (engine_process_seen(r->engine, facts) && !process_job_adopt(r->job, facts)) {
            engine_process_exited(r->engine, facts->self, process_clock(), now_ms);
        }
    }
    process_table_free(&seen);
    poll_job(r, now_ms);
}
