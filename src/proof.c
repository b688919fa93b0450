/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "proof.h"

#include "host.h"

#include <stdio.h>

enum { IDLE_PARTS = 10 };

enum { SLICE_MS = 10 }; /* between two looks at what the engine has seen, and whether it is worth going on */

static const uint32_t families[PROOF_FAMILIES] = {FAMILY_IP4, FAMILY_IP6};

static uint32_t number_of(int family, bool reflect)
{
    return (uint32_t)family * 2 + reflect;
}

static const char *way_of(bool reflect)
{
    return reflect ? "by reflection" : "over loopback";
}

static const char *name_of(int family)
{
    return family ? "IPv6" : "IPv4";
}

/* ---- on the engine's thread, or before it runs */

static void announce(redirector *r, void *context)
{
    struct proof *p = context;
    p->replies = engine_replies(r->engine);
    for (uint32_t i = 0; i < PROOFS_MAX; i++) {
        struct own_connection *c = &p->all[i];
        struct proof_route route = {c->tuple, c->listener_port, c->reflect};
        if (c->bound && !engine_prove(r->engine, i, &route)) {
            own_connection_close(p->winsock, c);
        }
    }
}

static void withdraw(redirector *r, void *context)
{
    struct proof *p = context;
    p->replied = engine_replies(r->engine) > p->replies;
    for (int i = 0; i < PROOF_FAMILIES; i++) {
        engine_set_steering(r->engine, families[i], p->reflects[i]);
    }
    for (int i = 0; i < PROOF_FAMILIES; i++) {
        if (p->worded[i] && !p->reflects[i]) {
            engine_set_large_segments(r->engine, families[i], p->whole[i]);
        }
    }
    engine_prove_no_more(r->engine);
}

static bool on_engine(redirector *r, request_fn *run)
{
    if (r->thread) {
        return request_make(r, run, &r->proof);
    }
    run(r, &r->proof);
    return true;
}

/* ---- before and after */

static void choose_words(struct own_connection *c)
{
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    uint64_t word = (uint64_t)now.QuadPart ^ (uint64_t)(uintptr_t)c << 20 ^ (uint64_t)GetCurrentProcessId() << 44;
    for (int i = 0; i < 2; i++) {
        word = (word ^ word >> 29) * 0x9e3779b97f4a7c15;
        memcpy(c->words[i], &word, sizeof c->words[i]);
    }
}
static_assert(OWN_WORD_SIZE == sizeof(uint64_t), "a word is a number");

void proof_prepare(redirector *r)
{
    struct proof *p = &r->proof;
    p->winsock = winsock_open();
    for (int i = 0; p->winsock && i < PROOF_FAMILIES; i++) {
        struct tuple route = {.family = families[i]};
        bool out = own_connection_find_route(p->winsock, &route, p->own.all[i], p->own.count[i]);
        for (int way = 0; out && way < 2; way++) {
            struct own_connection *c = &p->all[number_of(i, way)];
            c->reflect = way;
            choose_words(c);
            if (way == p->reflects[i] || !p->proven[i]) {
                own_connection_bind(p->winsock, c, &route);
            }
        }
    }
    if (p->winsock && !on_engine(r, announce)) {
        proof_close(r);
    }
}

void proof_close(redirector *r)
{
    struct proof *p = &r->proof;
    for (uint32_t i = 0; p->winsock && i < PROOFS_MAX; i++) {
        own_connection_close(p->winsock, &p->all[i]);
    }
    winsock_close(p->winsock);
    p->winsock = NULL;
}

/* ---- a machine that is busy */

static uint64_t number_from(const FILETIME *t)
{
    return (uint64_t)t->dwHighDateTime << 32 | t->dwLowDateTime;
}

static struct processor_times processor_times_now(void)
{
    FILETIME idle, kernel, user; /* idle time is kernel time, too */
    if (!GetSystemTimes(&idle, &kernel, &user)) {
        return (struct processor_times){0, 0};
    }
    return (struct processor_times){number_from(&idle), number_from(&kernel) + number_from(&user)};
}

/* Whether the processors have hardly had an idle moment since then: packets may only be late. */
static bool is_saturated(const struct processor_times *since)
{
    struct processor_times now = processor_times_now();
    return now.all > since->all && (now.idle - since->idle) * IDLE_PARTS < now.all - since->all;
}

/* ---- what becomes of it */

static void begin_if_captured(redirector *r, uint32_t number)
{
    struct own_connection *c = &r->proof.all[number];
    if (c->bound && !c->begun && engine_proof_marks(r->engine, number) & PROOF_CAPTURABLE) {
        own_connection_begin(r->proof.winsock, c);
    }
}

/* Whether Windows has kept it in, so that no program's connection could get out either. */
static bool was_kept_in(const redirector *r, uint32_t number)
{
    return r->proof.all[number].kept_in && !(engine_proof_marks(r->engine, number) & PROOF_CAPTURED);
}

/* Both ends have heard of each other. */
static bool is_established(const struct own_connection *c)
{
    return c->bound && c->connected && c->arrived && !c->error;
}

/*
 * Their words have arrived; now for what is larger than a network card's packets, which has not got all day; but on a
 * machine that is busy all connections would do without for that.
 */
static bool is_settled(struct proof *p, int family, const struct own_connection *c, uint64_t elapsed_ms)
{
    if (!p->worded[family]) {
        p->worded[family] = true;
        p->worded_ms[family] = elapsed_ms;
    }
    p->whole[family] = c->whole;
    uint64_t waited_ms = elapsed_ms - p->worded_ms[family];
    return c->whole || c->error || waited_ms >= PROOF_LARGE_BUSY_MS ||
           (waited_ms >= PROOF_LARGE_MS && !is_saturated(&p->times));
}

static enum proof_result judge(redirector *r, int family, uint64_t elapsed_ms, bool other_way_too)
{
    struct proof *p = &r->proof;
    uint32_t first = number_of(family, p->reflects[family]), second = number_of(family, !p->reflects[family]);
    const struct own_connection *a = &p->all[first], *b = &p->all[second];
    if (!a->bound || was_kept_in(r, first)) {
        return PROOF_RESULT_UNTRIED;
    }
    if ((engine_proof_marks(r->engine, first) | (b->bound ? engine_proof_marks(r->engine, second) : 0)) & PROOF_LED) {
        return PROOF_RESULT_LED;
    }
    begin_if_captured(r, first);
    if ((other_way_too && !is_established(a)) || a->error) {
        begin_if_captured(r, second);
    }
    if (b->done && !a->done) {
        p->reflects[family] = !p->reflects[family];
    }
    if (a->done || b->done) {
        return is_settled(p, family, a->done ? a : b, elapsed_ms) ? PROOF_RESULT_ARRIVED : PROOF_RESULT_OPEN;
    }
    return a->error && (b->error || !b->bound) ? PROOF_RESULT_FAILED : PROOF_RESULT_OPEN;
}

/*
 * The time is over. What could not even begin proves nothing. At the start a handshake is proof enough, for the machine
 * may only be busy; a later proof, which has time, wants the words, too.
 */
static enum proof_result judge_in_the_end(struct proof *p, int family, bool starting)
{
    const struct own_connection *first = &p->all[number_of(family, p->reflects[family])];
    const struct own_connection *second = &p->all[number_of(family, !p->reflects[family])];
    if (p->worded[family]) {
        return PROOF_RESULT_ARRIVED;
    }
    if (!first->begun || atomic_load(&p->end)) {
        return PROOF_RESULT_UNTRIED;
    }
    bool established = is_established(first) || is_established(second);
    if (!starting || !established) {
        return PROOF_RESULT_FAILED;
    }
    p->hasty = true;
    p->reflects[family] = is_established(first) ? p->reflects[family] : !p->reflects[family];
    return PROOF_RESULT_ARRIVED;
}

static void prove(redirector *r, uint32_t one_way_ms, uint32_t limit_ms)
{
    struct proof *p = &r->proof;
    bool starting = !atomic_load(&p->started), stretched = !starting;
    p->times = processor_times_now();
    uint64_t began = host_now_ms(), elapsed = 0;
    bool open = true;
    while (open && elapsed < limit_ms && !atomic_load(&p->end) && service_state(r, NULL) == REDIRECTOR_RUNNING) {
        open = false;
        for (int i = 0; i < PROOF_FAMILIES; i++) {
            if (p->results[i] == PROOF_RESULT_OPEN) {
                p->results[i] = judge(r, i, elapsed, elapsed >= one_way_ms);
                open = open || p->results[i] == PROOF_RESULT_OPEN;
            }
        }
        if (open) {
            own_connections_await(p->winsock, p->all, PROOFS_MAX, SLICE_MS);
        }
        elapsed = host_now_ms() - began;
        if (!stretched && elapsed >= one_way_ms) {
            stretched = true;
            one_way_ms = is_saturated(&p->times) ? PROOF_BUSY_WAY_MS : one_way_ms;
            limit_ms = one_way_ms == PROOF_BUSY_WAY_MS ? PROOF_BUSY_MS : limit_ms;
        }
    }
    for (int i = 0; i < PROOF_FAMILIES; i++) {
        p->results[i] = p->results[i] == PROOF_RESULT_OPEN ? judge_in_the_end(p, i, starting) : p->results[i];
    }
}

/* ---- what is said of it */

static const char *step_of(redirector *r, uint32_t number)
{
    const struct own_connection *c = &r->proof.all[number];
    uint32_t marks = engine_proof_marks(r->engine, number);
    return !c->begun                                  ? "was not tried"
           : own_connection_was_refused(c)            ? "was refused"
           : !(marks & PROOF_CAPTURED)                ? "was not seen by the driver"
           : !c->arrived && !(marks & PROOF_ANSWERED) ? "was sent on and did not arrive"
           : !c->connected                            ? "arrived, but its answer did not come back"
                                                      : "was opened, but its bytes did not come through";
}

static void describe_failure(redirector *r, int family)
{
    struct proof *p = &r->proof;
    bool way = p->reflects[family];
    size_t used = strlen(p->detail);
    snprintf(p->detail + used, sizeof p->detail - used, "%s%s %s it %s", used ? "; " : "", name_of(family), way_of(way),
             step_of(r, number_of(family, way)));
    used = strlen(p->detail);
    if (p->all[number_of(family, !way)].begun) {
        snprintf(p->detail + used, sizeof p->detail - used, ", %s it %s", way_of(!way),
                 step_of(r, number_of(family, !way)));
    }
}

static void report(redirector *r, int family, bool reflected_before, uint64_t ms)
{
    struct proof *p = &r->proof;
    const char *name = name_of(family);
    uint32_t first_level = p->proven[family] ? REDIRECTOR_LOG_DEBUG : REDIRECTOR_LOG_INFO;
    if (p->results[family] == PROOF_RESULT_ARRIVED) {
        atomic_fetch_add_explicit(&r->proofs, 1, memory_order_relaxed);
        log_line(r->log, first_level, "%s: a connection of the library's own was redirected %s (%llu ms)", name,
                 way_of(p->reflects[family]), (unsigned long long)ms);
    } else if (p->results[family] == PROOF_RESULT_LED) {
        log_line(r->log, first_level, "%s is not proven: another redirector leads the connections of this process",
                 name);
    } else if (p->results[family] == PROOF_RESULT_UNTRIED) {
        log_line(r->log, first_level, "%s is not proven: there is no way out of this machine now", name);
    } else {
        describe_failure(r, family);
    }
    if (p->results[family] == PROOF_RESULT_ARRIVED && p->worded[family] && !p->reflects[family] && !p->whole[family]) {
        log_line(r->log, first_level == REDIRECTOR_LOG_INFO ? REDIRECTOR_LOG_WARN : first_level,
                 "%s: segments larger than a network card's do not arrive on this machine: connections do without, "
                 "which costs speed and nothing else",
                 name);
    }
    if (p->reflects[family] != reflected_before &&
        r->tcp.packets.ports.proxy_port) { /* incoming ones know but one way */
        log_line(
            r->log, REDIRECTOR_LOG_WARN,
            "%s: redirecting %s does not work on this machine (a connection of the library's own %s): it is done %s "
            "instead%s",
            name, way_of(reflected_before), step_of(r, number_of(family, reflected_before)),
            way_of(p->reflects[family]),
            p->reflects[family] ? "; the proxy has to listen on all addresses, and Windows' firewall to let it" : "");
    }
}

/* Answers that programs get while it is made prove more than it does: that it came too late says that all is busy. */
static enum proof_outcome sum_up(struct proof *p)
{
    bool arrived = false, failed = false;
    for (int i = 0; i < PROOF_FAMILIES; i++) {
        arrived = arrived || p->results[i] == PROOF_RESULT_ARRIVED;
        failed = failed || p->results[i] == PROOF_RESULT_FAILED;
        p->proven[i] = p->proven[i] || p->results[i] == PROOF_RESULT_ARRIVED;
    }
    return failed && !p->replied ? PROOF_FAILED : arrived && !failed ? PROOF_MADE : PROOF_UNTRIED;
}

enum proof_outcome proof_make(redirector *r, uint32_t one_way_ms, uint32_t limit_ms)
{
    struct proof *p = &r->proof;
    bool before[PROOF_FAMILIES];
    uint64_t began = host_now_ms(), replaced = 0;
    *p->detail = 0;
    memset(p->results, 0, sizeof p->results);
    memset(p->worded, 0, sizeof p->worded);
    memcpy(before, p->reflects, sizeof before);
    if (!p->winsock) {
        return p->outcome = PROOF_UNTRIED;
    }
    prove(r, one_way_ms, limit_ms);
    for (int i = 0; i < PROOF_FAMILIES; i++) {
        report(r, i, before[i], host_now_ms() - began);
        replaced += p->reflects[i] != p->asked_to_reflect && r->tcp.packets.ports.proxy_port;
    }
    atomic_store_explicit(&r->steering_replaced, replaced, memory_order_relaxed);
    for (uint32_t i = 0; i < PROOFS_MAX; i++) {
        own_connection_close(p->winsock, &p->all[i]);
    }
    on_engine(r, withdraw);
    proof_close(r);
    p->outcome = sum_up(p);
    if (*p->detail && p->outcome == PROOF_UNTRIED) {
        log_line(
            r->log, REDIRECTOR_LOG_INFO,
            "a connection of the library's own was not redirected in time (%s), but programs get their answers: the "
            "machine is busy",
            p->detail);
    }
    return p->outcome;
}

/* ---- at the start */

void proof_before_start(redirector *r)
{
    if (!(r->flags & REDIRECTOR_NO_PROOF)) {
        proof_plan_init(&r->proof.plan, host_now_ms());
        r->proof.own = r->proof.newest;
        proof_prepare(r);
    }
}

bool proof_at_start(redirector *r, redirector_error *error)
{
    redirector_error why = {.size = sizeof why};
    if (r->flags & REDIRECTOR_NO_PROOF) {
        return true;
    }
    enum proof_outcome outcome = proof_make(r, PROOF_START_WAY_MS, PROOF_START_MS);
    if (service_state(r, &why) == REDIRECTOR_FAILED) {
        *error = why;
        return false;
    }
    if (outcome == PROOF_FAILED) {
        error_set(error, REDIRECTOR_PROOF_FAILED, 0, r->proof.detail);
        return false;
    }
    proof_task_begin(r);
    return true;
}
