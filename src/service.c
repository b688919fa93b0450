/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: start creates the parts in the order of their dependencies, and destroys them in reverse order
 * when one fails. What takes Windows long and needs nothing of the others is begun early, on threads of its own: the
 * firewall permit, this machine's addresses, the TCP table, the handles of the claim. The socket layer is opened before
 * the packet layer, so that no SYN is captured whose event was missed. Existing processes and listeners are read after
 * the socket layer is open, so that none is missed in between.
 */
#include "address.h"
#include "decide.h"
#include "firewall.h"
#include "host.h"
#include "roots.h"
#include "service_log.h"
#include "table_feed.h"
#include "windows/debug_privilege.h"

enum { ADDRESSES_WAIT_MS = 1000 };

enum { STOP_WAIT_MS = 700, STOP_FORCE_WAIT_MS = 100 }; /* with what comes behind them less than the second of S2 */

static void unwind(redirector *r)
{
    watchdog_stop(r);
    divert_claim_leave(r->claiming);
    lane_close(&r->tcp);
    lane_close(&r->udp);
    divert_close(r->sender);
    address_watch_stop(r->addresses);
    firewall_end(r);
    process_watch_stop(r->watch);
    process_job_close(r->job);
    table_reader_stop(r->tcp_table.reader);
    table_reader_stop(r->udp_table.reader);
    if (r->api && r->flags & REDIRECTOR_UNLOAD_DRIVER) {
        log_line(r->log, REDIRECTOR_LOG_INFO, "the driver %s",
                 divert_stop_driver(r->api) ? "is being unloaded" : "stays loaded: others use it, or Windows keeps it");
    }
    divert_unload(r->api);
    r->claiming = NULL;
    r->sender = NULL;
    r->addresses = NULL;
    r->watch = NULL;
    r->job = NULL;
    r->tcp_table.reader = r->udp_table.reader = NULL;
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
    if (r->decision_wanted) {
        CloseHandle(r->decision_wanted);
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
    struct tuple upstreams[ENGINE_UPSTREAMS_MAX];
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        address_from_public(&config->upstreams[i], &upstreams[i]);
        upstreams[i] = tuple_reversed(&upstreams[i]);
    }
    struct engine_config engine = {
        .agent_pid = config->agent_pid,
        .proxy_port = (uint16_t)config->proxy_port,
        .incoming_port = (uint16_t)config->incoming_port,
        .reflect = config->flags & REDIRECTOR_REFLECT,
        .fail_closed = config->flags & REDIRECTOR_FAIL_CLOSED,
        .no_loopback = config->flags & REDIRECTOR_NO_LOOPBACK,
        .small_segments = config->flags & REDIRECTOR_SMALL_SEGMENTS,
        .capture_all = config->flags & REDIRECTOR_CAPTURE_ALL,
        .scan_interval_ms = config->scan_interval_ms ? config->scan_interval_ms : ENGINE_SCAN_INTERVAL_MS_DEFAULT,
        .hold_timeout_ms = config->hold_timeout_ms ? config->hold_timeout_ms : ENGINE_HOLD_TIMEOUT_MS_DEFAULT,
        .max_flows = ENGINE_FLOWS_DEFAULT,
        .upstreams = upstreams,
        .upstream_count = config->upstream_count,
        .seed = random_seed(r),
        .decision_timeout_ms = config->decision_timeout_ms,
        .udp_port = (uint16_t)config->udp_port,
        .udp_idle_ms = config->udp_idle_ms ? config->udp_idle_ms : ENGINE_UDP_IDLE_MS_DEFAULT,
        .max_udp_flows = ENGINE_UDP_FLOWS_DEFAULT,
    };
    for (uint32_t i = 0; i < config->listen_port_count; i++) { /* config.c has checked them */
        engine.listen_ports[engine.listen_port_count++] = (uint16_t)config->listen_ports[i];
    }
    struct engine_host host = host_of(r);
    r->engine = engine_new(&engine, &host);
    r->wake = CreateEventW(NULL, FALSE, FALSE, NULL);
    r->tcp_table.reader = r->wake ? table_reader_start(r->wake, PROTOCOL_TCP) : NULL;
    r->udp_table.reader = r->wake && config->udp_port ? table_reader_start(r->wake, PROTOCOL_UDP) : NULL;
    r->decision_wanted = config->decision_timeout_ms ? CreateEventW(NULL, FALSE, FALSE, NULL) : NULL;
    if (!r->engine || !r->tcp_table.reader || (config->udp_port && !r->udp_table.reader) ||
        (config->decision_timeout_ms && !r->decision_wanted)) {
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
        return false;
    }
    for (uint32_t i = 0; config->flags & REDIRECTOR_DESCENDANTS_ONLY && i < roots->count; i++) {
        engine_exclude_root(r->engine, roots->all[i]);
    }
    engine_set_rules(r->engine, *rules);
    *rules = NULL;
    return true;
}

static bool has_process(void *redirector_pointer, uint32_t pid)
{
    redirector *r = redirector_pointer;
    return engine_has_process(r->engine, pid);
}

/* The packet layer, at priorities of its own among other redirectors (O7). */
static bool open_packets(redirector *r, const redirector_config *config, const struct roots *roots,
                         redirector_error *error)
{
    struct divert_claim_tree tree = {.roots = roots->all, .root_count = roots->count, .has = has_process, .context = r};
    struct divert_claim claim;
    enum divert_claim_result result = divert_claim_end(r->claiming, &tree, &claim, error);
    r->claiming = NULL;
    if (result == DIVERT_CLAIM_FAILED) {
        return false;
    }
    r->sender = claim.sender;
    service_log_claim(r, result, &claim);
    bool ok = true;
    if (lane_is_wanted(&r->tcp, config)) {
        const struct capture_set *wanted = engine_capture_wanted(r->engine, host_now_ms());
        ok = lane_open_packets(&r->tcp, r->api, claim.band, config, wanted, error);
        engine_capture_replaced(r->engine, ok, host_now_ms());
    }
    if (ok && lane_is_wanted(&r->udp, config)) {
        const struct capture_set *wanted = engine_udp_capture_wanted(r->engine, host_now_ms());
        ok = lane_open_packets(&r->udp, r->api, claim.band, config, wanted, error);
        engine_udp_capture_replaced(r->engine, ok, host_now_ms());
    }
    return ok;
}

static bool open_job(redirector *r, const struct roots *roots, redirector_error *error)
{
    struct debug_privilege privilege;
    bool wanted = r->flags & REDIRECTOR_DEBUG_PRIVILEGE;
    uint32_t code = wanted ? debug_privilege_take(&privilege) : ERROR_SUCCESS;
    if (code) {
        log_line(r->log, REDIRECTOR_LOG_WARN,
                 "the right to open any process (SeDebugPrivilege) cannot be had, Windows error %lu: services and "
                 "other users' programs may be left out",
                 (unsigned long)code);
    }
    r->job = process_job_open(roots->all, roots->count, error);
    if (wanted) {
        debug_privilege_drop(&privilege);
    }
    return r->job != NULL;
}

static bool open_driver(redirector *r, const redirector_config *config, const struct roots *roots,
                        redirector_error *error)
{
    r->api = divert_load(config->windivert_dir, error);
    if (!r->api) {
        return false;
    }
    firewall_begin(r);
    r->addresses = address_watch_start(r->wake);
    if (!lane_open_events(&r->tcp, r->api, config, error) || !lane_open_events(&r->udp, r->api, config, error)) {
        return false;
    }
    r->claiming = divert_claim_begin(r->api, roots->all, roots->count);
    engine_want_listeners(r->engine); /* which are read beside what follows */
    engine_read_table(r->engine, host_now_ms());
    if (!open_job(r, roots, error)) {
        return false;
    }
    if (!address_watch_await(r->addresses, ADDRESSES_WAIT_MS)) {
        log_line(r->log, REDIRECTOR_LOG_WARN,
                 "this machine's own addresses cannot be read so far: connections that it only "
                 "forwards wait as its own do");
    }
    host_take_addresses(r);
    host_take_process_events(r);
    proof_before_start(r);
    table_feed_at_start(r);
    firewall_ready(r);
    return open_packets(r, config, roots, error);
}

void service_abandon(redirector *r)
{
    lane_abandon(&r->tcp);
    lane_abandon(&r->udp);
    if (r->sender) {
        divert_abandon(r->sender);
    }
}

/*
 * Ends the engine's thread. false: it does not end; then its driver handles are closed all the same, and the permit for
 * what they send; what the thread uses stays.
 */
static bool end_thread(redirector *r)
{
    atomic_store(&r->stop_requested, true);
    SetEvent(r->wake);
    if (WaitForSingleObject(r->thread, STOP_WAIT_MS) == WAIT_OBJECT_0) {
        return true;
    }
    service_abandon(r);
    firewall_leave(r);
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
    SetThreadPriority(r->thread,
                      THREAD_PRIORITY_HIGHEST); /* the captured packets of all programs wait for this thread */
    if (!watchdog_start(r)) {
        end_thread(r);
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
        return false;
    }
    return true;
}

/* After a failure, whatever has been begun. What a thread that hangs may still use is left. */
static void give_up(redirector *r)
{
    if (!r->thread || end_thread(r)) {
        proof_close(r);
        destroy(r);
    }
}

static redirector *start_with_roots(const redirector_config *config, const struct roots *roots, struct rules *rules,
                                    redirector_error *error)
{
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
    r->tcp.protocol = PROTOCOL_TCP;
    r->udp.protocol = PROTOCOL_UDP;
    /* What is proven is that TCP is redirected. */
    r->flags = config->flags | (lane_is_wanted(&r->tcp, config) ? 0 : REDIRECTOR_NO_PROOF);
    r->proof.asked_to_reflect = r->proof.reflects[0] = r->proof.reflects[1] = config->flags & REDIRECTOR_REFLECT;
    r->log = log_open(config->log_path, config->log_level, config->log_fn, config->log_context, error);
    bool ok = r->log && build_engine(r, config, roots, &rules, error) && open_driver(r, config, roots, error) &&
              start_thread(r, error) && proof_at_start(r, error);
    rules_free(rules);
    if (!ok) {
        if (r->log) {
            log_line(r->log, REDIRECTOR_LOG_ERROR, "start failed: %s", error->text);
        }
        give_up(r);
        return NULL;
    }
    service_log_start(r, config, roots);
    return r;
}

redirector *service_start(const redirector_config *config, struct rules *rules, redirector_error *error)
{
    struct roots roots;
    redirector *r = NULL;
    if (roots_identify(config, &roots, error)) {
        r = start_with_roots(config, &roots, rules, error);
    } else {
        rules_free(rules);
    }
    roots_free(&roots);
    return r;
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
        decide_end(r);
    }
}

void service_limit(redirector *r, uint32_t os_error, const char *note)
{
    AcquireSRWLockExclusive(&r->failure_lock);
    if (r->failure.code == REDIRECTOR_OK) {
        if (note) {
            error_note(&r->failure, os_error, note);
        } else {
            r->failure = (redirector_error){.size = sizeof r->failure};
        }
    }
    ReleaseSRWLockExclusive(&r->failure_lock);
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
        proof_task_ask_to_end(r);
        bool ended = end_thread(r) && proof_task_end(r);
        decide_end(r);
        if (ended) {
            service_log_end(r);
            unwind(r);
            r->log_lines_dropped = log_lines_dropped(r->log);
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
    if (WaitForSingleObject(r->thread, 0) == WAIT_OBJECT_0 && proof_task_end(r)) {
        destroy(r);
    } /* else its thread still runs, and its memory is leaked */
}
