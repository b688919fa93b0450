/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: start builds the parts in the order in which they depend on each other, and unwinds them in
 * reverse when one cannot be had. The socket layer is opened before the packet layer, so that no SYN is diverted
 * whose event was missed; processes and listeners that exist already are looked at after that, so that none falls
 * between.
 */
#include "service_internal.h"

#include "roots.h"

#include <stdio.h>

enum { PRIORITY = 817 }; /* of the socket layer's handle; see diversion.c */

/*
 * Events are not free: each wakes the engine's thread. A CLOSE matters where it leaves nobody to listen: on the proxy's port,
 * and with incoming on anywhere. (A listener of the agent's elsewhere stays known until the next look, or until somebody else
 * listens there; meanwhile a connection to it finds nobody, whichever way it goes.)
 */
static struct divert_ring *open_events(redirector *r, const redirector_config *config, redirector_error *error)
{
    char filter[160], port[40] = "";
    if (!config->incoming_port) {
        snprintf(port, sizeof port, " and localPort == %u", (unsigned)config->proxy_port);
    }
    snprintf(filter, sizeof filter,
             "tcp and (event == CONNECT or event == LISTEN or (event == CLOSE and remotePort == 0%s))", port);
    return divert_open(r->api, filter, DIVERT_LAYER_SOCKET, PRIORITY, error);
}

enum { STOP_WAIT_MS = 850, STOP_FORCE_WAIT_MS = 100 }; /* together less than the second that is promised (S2) */

static void unwind(redirector *r)
{
    watchdog_stop(r);
    diversion_close(&r->diversion);
    divert_close(r->events);
    process_job_close(r->job);
    tcptable_close(r->tcptable);
    if (r->api && r->flags & REDIRECTOR_UNLOAD_DRIVER) {
        log_line(r->log, REDIRECTOR_LOG_INFO, "the driver %s",
                 divert_stop_driver(r->api) ? "is being unloaded" : "stays loaded: others use it, or Windows keeps it");
    }
    divert_unload(r->api);
    r->events = NULL;
    r->job = NULL;
    r->tcptable = NULL;
    r->api = NULL;
}

static void destroy(redirector *r)
{
    unwind(r);
    engine_free(r->engine);
    log_close(r->log);
    if (r->thread) {
        CloseHandle(r->thread);
    }
    if (r->wake) {
        CloseHandle(r->wake);
    }
    VirtualFree(r, 0, MEM_RELEASE);
}

static uint64_t random_seed(const void *address)
{
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    uint64_t seed = (uint64_t)now.QuadPart * 0x9e3779b97f4a7c15 ^ (uint64_t)(uintptr_t)address << 16;
    return seed ^ (uint64_t)GetCurrentProcessId() << 40 ^ GetTickCount64();
}

static bool build_engine(redirector *r, const redirector_config *config, const struct roots *roots,
                         struct rules **rules, redirector_error *error)
{
    struct engine_config engine = {
        .agent_pid = config->agent_pid,
        .proxy_port = (uint16_t)config->proxy_port,
        .incoming_port = (uint16_t)config->incoming_port,
        .reflect = config->flags & REDIRECTOR_REFLECT,
        .refuse = config->flags & REDIRECTOR_REFUSE,
        .look_ms = config->look_ms ? config->look_ms : ENGINE_LOOK_MS_DEFAULT,
        .hold_ms = config->hold_ms ? config->hold_ms : ENGINE_HOLD_MS_DEFAULT,
        .max_flows = ENGINE_FLOWS_DEFAULT,
        .seed = random_seed(r),
    };
    struct engine_host host = loop_engine_host(r);
    r->engine = engine_new(&engine, &host);
    r->tcptable = tcptable_open();
    r->wake = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (!r->engine || !r->tcptable || !r->wake) {
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
        return false;
    }
    for (uint32_t i = 0; config->flags & REDIRECTOR_DESCENDANTS_ONLY && i < roots->count; i++) {
        engine_spare_root(r->engine, roots->all[i]);
    }
    engine_set_rules(r->engine, *rules);
    *rules = NULL;
    return true;
}

static bool open_driver(redirector *r, const redirector_config *config, const struct roots *roots,
                        redirector_error *error)
{
    r->api = divert_load(config->windivert_dir, error);
    if (!r->api) {
        return false;
    }
    r->events = open_events(r, config, error);
    if (!r->events) {
        return false;
    }
    r->job = process_job_open(roots->all, roots->count, error);
    if (!r->job) {
        return false;
    }
    loop_take_process_news(r);
    engine_look_at_listeners(r->engine, loop_now_ms());
    const struct cover *cover = engine_cover_wanted(r->engine, loop_now_ms());
    bool ok = diversion_open(&r->diversion, r->api, cover, (uint16_t)config->proxy_port,
                             (uint16_t)config->incoming_port, error);
    engine_cover_replaced(r->engine, ok, loop_now_ms());
    return ok;
}

/*
 * Ends the engine's thread. false: it does not end; then its driver handles are closed all the same, and what it uses
 * stays.
 */
static bool end_thread(redirector *r)
{
    atomic_store(&r->stop_requested, true);
    SetEvent(r->wake);
    if (WaitForSingleObject(r->thread, STOP_WAIT_MS) == WAIT_OBJECT_0) {
        return true;
    }
    diversion_abandon(&r->diversion);
    divert_abandon(r->events);
    r->forced = true;
    return WaitForSingleObject(r->thread, STOP_FORCE_WAIT_MS) == WAIT_OBJECT_0;
}

static bool start_thread(redirector *r, redirector_error *error)
{
    r->thread = CreateThread(NULL, 0, loop_thread, r, 0, NULL);
    if (!r->thread) {
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
        return false;
    }
    SetThreadPriority(r->thread, THREAD_PRIORITY_HIGHEST); /* everybody's packets wait for this thread */
    if (!watchdog_start(r)) {
        end_thread(r);
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
        return false;
    }
    return true;
}

redirector *service_start(const redirector_config *config, struct rules *rules, redirector_error *error)
{
    struct roots roots;
    if (!roots_identify(config, &roots, error)) {
        rules_free(rules);
        return NULL;
    }
    redirector *r = VirtualAlloc(NULL, sizeof *r, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE); /* zeroed */
    if (!r) {
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
        rules_free(rules);
        return NULL;
    }
    InitializeSRWLock(&r->stop_lock);
    InitializeSRWLock(&r->request_lock);
    InitializeSRWLock(&r->failure_lock);
    r->failure.size = sizeof r->failure;
    r->flags = config->flags;
    r->log = log_open(config->log_path, config->log_level, config->log_fn, config->log_context, error);
    bool ok = r->log && build_engine(r, config, &roots, &rules, error) && open_driver(r, config, &roots, error) &&
              start_thread(r, error);
    rules_free(rules);
    if (!ok) {
        if (r->log) {
            log_line(r->log, REDIRECTOR_LOG_ERROR, "start failed: %s", error->text);
        }
        destroy(r);
        return NULL;
    }
    char who[40];
    roots_describe(&roots, who);
    log_line(r->log, REDIRECTOR_LOG_INFO, "started: connections of %s%s descendants go to port %lu of agent %lu", who,
             config->flags & REDIRECTOR_DESCENDANTS_ONLY ? "'s" : " and its", (unsigned long)config->proxy_port,
             (unsigned long)config->agent_pid);
    return r;
}

static void fill_counters(redirector *r, redirector_stats *out);

static void log_summary(redirector *r)
{
    redirector_stats s;
    fill_counters(r, &s);
    log_line(r->log, REDIRECTOR_LOG_INFO,
             "stopped: %llu connections redirected, %llu packets seen, %llu passed, %llu rewritten, %llu dropped",
             (unsigned long long)s.flows_total, (unsigned long long)s.packets_seen,
             (unsigned long long)s.packets_passed, (unsigned long long)s.packets_rewritten,
             (unsigned long long)s.packets_dropped);
}

void service_fail(redirector *r, redirector_status status, uint32_t os_error, const char *detail)
{
    redirector_error error = {.size = sizeof error};
    error_set(&error, status, os_error, detail);
    AcquireSRWLockExclusive(&r->failure_lock);
    bool first = r->failure.code == REDIRECTOR_OK;
    if (first) {
        r->failure = error;
    }
    ReleaseSRWLockExclusive(&r->failure_lock);
    if (first) {
        log_line(r->log, REDIRECTOR_LOG_ERROR, "redirection has ended: %s", error.text);
    }
}

uint32_t service_state(redirector *r, redirector_error *why)
{
    AcquireSRWLockShared(&r->failure_lock);
    redirector_error failure = r->failure;
    ReleaseSRWLockShared(&r->failure_lock);
    if (why) {
        *why = failure;
    }
    return atomic_load(&r->stop_requested) ? REDIRECTOR_STOPPED : failure.code ? REDIRECTOR_FAILED : REDIRECTOR_RUNNING;
}

bool service_stop(redirector *r)
{
    AcquireSRWLockExclusive(&r->stop_lock);
    if (!r->stopped) {
        r->stopped = true;
        if (end_thread(r)) {
            log_summary(r);
            unwind(r);
            r->log_lines_lost = log_lines_lost(r->log);
            log_close(r->log);
            r->log = NULL;
        }
    }
    bool clean = !r->forced;
    ReleaseSRWLockExclusive(&r->stop_lock);
    return clean;
}

void service_free(redirector *r)
{
    service_stop(r);
    if (WaitForSingleObject(r->thread, 0) == WAIT_OBJECT_0) {
        destroy(r);
    } /* else its thread still runs: leaking it beats pulling its memory away */
}

static void take_rules(redirector *r, void *rules)
{
    engine_set_rules(r->engine, rules);
}

bool service_set_rules(redirector *r, struct rules *rules)
{
    bool taken = request_make(r, take_rules, rules);
    if (!taken) {
        rules_free(rules);
    }
    return taken;
}

static bool peer_matches(const struct destination *d, const void *context)
{
    const struct tuple *peer = context;
    return d->family == peer->family &&
           (ip_addr_is_any(&peer->src, peer->family) || ip_addr_equal(&d->peer, &peer->src));
}

bool service_lookup(redirector *r, uint16_t port, const struct tuple *peer, struct destination *out)
{
    bool hit = destinations_find(engine_destinations(r->engine), port, out) && (!peer || peer_matches(out, peer));
    atomic_fetch_add_explicit(hit ? &r->lookups_hit : &r->lookups_missed, 1, memory_order_relaxed);
    return hit;
}

bool service_forget(redirector *r, uint16_t port, const struct tuple *peer)
{
    return destinations_delete(engine_destinations(r->engine), port, peer ? peer_matches : NULL, peer);
}

static void fill_queue_delay(const redirector *r, redirector_stats *out)
{
    LARGE_INTEGER frequency;
    QueryPerformanceFrequency(&frequency);
    struct queue_delay_us us = queue_delay_read(&r->queue_delay, (uint64_t)frequency.QuadPart);
    out->queue_delay_last_us = us.last;
    out->queue_delay_max_us = us.max;
    out->queue_delay_mean_us = us.mean;
}

static void fill_counters(redirector *r, redirector_stats *out)
{
    const struct engine_counters *c = engine_counters(r->engine);
#define LOAD(counter) atomic_load_explicit(&(counter), memory_order_relaxed)
    out->flows_live = (uint32_t)LOAD(c->flows_live);
    out->flows_total = LOAD(c->flows_total);
    out->flows_refused = LOAD(c->flows_refused);
    out->packets_seen = LOAD(c->packets_seen);
    out->packets_passed = LOAD(c->packets_passed);
    out->packets_rewritten = LOAD(c->packets_rewritten);
    out->packets_held = LOAD(c->packets_held);
    out->packets_dropped = LOAD(c->packets_dropped);
    out->packets_malformed = LOAD(c->packets_malformed);
    out->proxy_missing = LOAD(c->proxy_missing);
    out->hold_timeouts = LOAD(c->hold_timeouts);
    out->hold_refused = LOAD(c->hold_refused);
    out->events_seen = LOAD(c->events_seen);
    out->send_errors = LOAD(r->send_errors);
    out->receive_errors = LOAD(r->receive_errors);
    out->lookups_hit = LOAD(r->lookups_hit);
    out->lookups_missed = LOAD(r->lookups_missed);
    out->cover_waits = LOAD(c->cover_waits);
    out->filter_swaps = LOAD(c->filter_swaps);
    out->watchdog_trips = LOAD(r->watchdog_trips);
#undef LOAD
    fill_queue_delay(r, out);
}

void service_stats(redirector *r, redirector_stats *out)
{
    fill_counters(r, out);
    AcquireSRWLockShared(&r->stop_lock);
    out->log_lines_lost = r->log ? log_lines_lost(r->log) : r->log_lines_lost;
    ReleaseSRWLockShared(&r->stop_lock);
}
