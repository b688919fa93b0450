/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: start builds the parts in the order in which they depend on each other, and unwinds them in
 * reverse when one cannot be had. The socket layer is opened before the packet layer, so that no SYN is diverted
 * whose event was missed; processes and listeners that exist already are looked at after that, so that none falls
 * between.
 */
#include "service_internal.h"

#include <stdlib.h>

/*
 * Odd on purpose: among handles of equal priority the one opened later wins, so it had better not be a round number
 * that others use. WinDivert's range is -30000..30000, higher first.
 */
enum { PRIORITY = 817 };

/*
 * Every packet that leaves: SYNs and data of the tree, and the proxy's replies. Never an inbound one, so that no
 * inbound callout is installed at all.
 */
static const char outgoing_filter[] = "outbound and tcp";

/* With incoming on, also what comes in: to listeners that come and go. */
static const char incoming_filter[] = "tcp";

static const char event_filter[] =
    "tcp and (event == CONNECT or event == LISTEN or (event == CLOSE and remotePort == 0))";

enum { STOP_WAIT_MS = 850, STOP_FORCE_WAIT_MS = 100 }; /* together less than the second that is promised (S2) */

static void unwind(redirector *r)
{
    divert_close(r->packets);
    divert_close(r->events);
    process_job_close(r->job);
    tcptable_close(r->tcptable);
    divert_unload(r->api);
    r->packets = r->events = NULL;
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

static bool identify(const redirector_config *config, struct process_id *client, redirector_error *error)
{
    struct process_id agent;
    if (config->client_pid == config->agent_pid) {
        error_set(error, REDIRECTOR_INVALID_ARGUMENT, 0, "the agent cannot be its own client");
        return false;
    }
    if (!process_identify(config->client_pid, client, error)) {
        return false;
    }
    return config->agent_pid == GetCurrentProcessId() || process_identify(config->agent_pid, &agent, error);
}

static uint64_t random_seed(const void *address)
{
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    uint64_t seed = (uint64_t)now.QuadPart * 0x9e3779b97f4a7c15 ^ (uint64_t)(uintptr_t)address << 16;
    return seed ^ (uint64_t)GetCurrentProcessId() << 40 ^ GetTickCount64();
}

static bool build_engine(redirector *r, const redirector_config *config, struct rules **rules, redirector_error *error)
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
    engine_set_rules(r->engine, *rules);
    *rules = NULL;
    return true;
}

static bool open_driver(redirector *r, const redirector_config *config, struct process_id client,
                        redirector_error *error)
{
    r->api = divert_load(config->windivert_dir, error);
    if (!r->api) {
        return false;
    }
    r->events = divert_open(r->api, event_filter, DIVERT_LAYER_SOCKET, PRIORITY, error);
    if (!r->events) {
        return false;
    }
    r->job = process_job_open(client, error);
    if (!r->job) {
        return false;
    }
    loop_take_process_news(r, loop_now_ms());
    engine_look_at_listeners(r->engine, loop_now_ms());
    const char *filter = config->incoming_port ? incoming_filter : outgoing_filter;
    r->packets = divert_open(r->api, filter, DIVERT_LAYER_NETWORK, PRIORITY, error);
    return r->packets != NULL;
}

static bool start_thread(redirector *r, redirector_error *error)
{
    r->thread = CreateThread(NULL, 0, loop_thread, r, 0, NULL);
    if (!r->thread) {
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
        return false;
    }
    SetThreadPriority(r->thread, THREAD_PRIORITY_HIGHEST); /* everybody's packets wait for this thread */
    return true;
}

redirector *service_start(const redirector_config *config, struct rules *rules, redirector_error *error)
{
    struct process_id client;
    if (!identify(config, &client, error)) {
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
    InitializeSRWLock(&r->rules_lock);
    r->flags = config->flags;
    r->log = log_open(config->log_path, config->log_level, config->log_fn, config->log_context, error);
    bool ok = r->log && build_engine(r, config, &rules, error) && open_driver(r, config, client, error) &&
              start_thread(r, error);
    rules_free(rules);
    if (!ok) {
        if (r->log) {
            log_line(r->log, REDIRECTOR_LOG_ERROR, "start failed: %s", error->text);
        }
        destroy(r);
        return NULL;
    }
    log_line(r->log, REDIRECTOR_LOG_INFO,
             "started: connections of pid %lu and its descendants go to port %lu of agent %lu",
             (unsigned long)config->client_pid, (unsigned long)config->proxy_port, (unsigned long)config->agent_pid);
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
    divert_abandon(r->packets);
    divert_abandon(r->events);
    r->forced = true;
    return WaitForSingleObject(r->thread, STOP_FORCE_WAIT_MS) == WAIT_OBJECT_0;
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

bool service_set_rules(redirector *r, struct rules *rules)
{
    enum { TAKE_MS = 1000 };
    struct rule_change *change = calloc(1, sizeof *change);
    HANDLE taken = CreateEventW(NULL, TRUE, FALSE, NULL);
    bool ok = false;
    if (change && taken) {
        *change = (struct rule_change){rules, taken};
        AcquireSRWLockExclusive(&r->rules_lock);
        atomic_store(&r->rule_change, change);
        SetEvent(r->wake);
        HANDLE ends[] = {taken, r->thread};
        WaitForMultipleObjects(2, ends, FALSE, TAKE_MS);
        struct rule_change *left = change;
        if (!atomic_compare_exchange_strong(&r->rule_change, &left, NULL)) {
            WaitForSingleObject(taken, INFINITE); /* the engine has it in hand */
            ok = true;
        }
        ReleaseSRWLockExclusive(&r->rules_lock);
    }
    if (!ok) {
        rules_free(rules);
    }
    if (taken) {
        CloseHandle(taken);
    }
    free(change);
    return ok;
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
#undef LOAD
}

void service_stats(redirector *r, redirector_stats *out)
{
    fill_counters(r, out);
    AcquireSRWLockShared(&r->stop_lock);
    out->log_lines_lost = r->log ? log_lines_lost(r->log) : r->log_lines_lost;
    ReleaseSRWLockShared(&r->stop_lock);
}
