/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Every public call, from many threads, in random order, while traffic runs.
 *
 *   storm client proxy [threads] [calls] [seed] [limit_s]
 *
 * Several instances live at a time, beside that of the classic calls. Any call may meet any other, but for
 * redirector_free(), which nobody may overlap: a lock per instance is shared by the calls and taken alone by start and
 * free. Each result must be one that the header allows. `wrong` names the first that was not; `hung` a call that did
 * not come back.
 */
#include "faults.h"

#include "windows_redirector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INSTANCES = 3, THREADS = 16, FLOWS = 64, LOOK_MS = 200 };

struct slot {
    SRWLOCK lock;
    redirector *r;
};

struct striker {
    uint64_t random;
    const char *volatile call; /* what it is in, since when */
    volatile uint64_t since_ms;
    volatile LONG calls;
    volatile LONG done;
};

static struct slot slots[INSTANCES];
static struct striker strikers[THREADS];
static unsigned client, proxy;
static long calls_each;
static char wrong[200];
static volatile LONG wrong_count, started, refused, stopped, forced, hits, rules_set, lists, failed_state;

static unsigned random_below(struct striker *s, unsigned n)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (unsigned)(s->random >> 33) % n;
}

static void begin(struct striker *s, const char *call)
{
    s->since_ms = actor_now_ms();
    s->call = call;
}

/* The result must be among the statuses, which end with -1. */
static void judge(struct striker *s, uint32_t status, const int *allowed)
{
    const char *call = s->call;
    s->call = NULL;
    for (; *allowed >= 0; allowed++) {
        if (status == (uint32_t)*allowed) {
            return;
        }
    }
    if (InterlockedIncrement(&wrong_count) == 1) {
        snprintf(wrong, sizeof wrong, "%s: %lu %s", call, (unsigned long)status, redirector_status_name(status));
    }
}
#define JUDGE(s, status, ...) judge(s, status, (const int[]){__VA_ARGS__, -1})

static void strike_start(struct striker *s, struct slot *slot)
{
    static const uint32_t flags[] = {0, REDIRECTOR_FAIL_CLOSED, REDIRECTOR_KEEP_FLOWS_ON_STOP, REDIRECTOR_NO_PROOF};
    redirector_error error = {.size = sizeof error};
    redirector_rule rule = {.size = sizeof rule, .pattern = "nobody*.exe"};
    redirector_config config = {
        .size = sizeof config,
        .client_pid = client,
        .proxy_port = proxy,
        .flags = flags[random_below(s, 4)],
        .rules = &rule,
        .rule_count = random_below(s, 2),
        .log_path = "",
    };
    AcquireSRWLockExclusive(&slot->lock);
    if (!slot->r) {
        begin(s, "redirector_start");
        uint32_t status = redirector_start(&config, &slot->r, &error);
        InterlockedIncrement(status == REDIRECTOR_OK ? &started : &refused);
        JUDGE(s, status, REDIRECTOR_OK, REDIRECTOR_PROOF_FAILED); /* eight in a row are slow on a busy machine */
    }
    ReleaseSRWLockExclusive(&slot->lock);
}

static void strike_free(struct striker *s, struct slot *slot)
{
    AcquireSRWLockExclusive(&slot->lock);
    begin(s, "redirector_free");
    redirector_free(slot->r);
    slot->r = NULL;
    s->call = NULL;
    ReleaseSRWLockExclusive(&slot->lock);
}

static redirector_address some_peer(struct striker *s)
{
    redirector_address a = {.family = random_below(s, 2) ? 4 : 6, .port = 1 + random_below(s, 65535)};
    return a; /* the unspecified address: found by family and port alone */
}

static void strike_lookup(struct striker *s, redirector *r)
{
    for (int i = 0; i < 200; i++) {
        redirector_address peer = some_peer(s);
        redirector_destination d = {.size = sizeof d};
        begin(s, "redirector_lookup");
        uint32_t status = redirector_lookup(r, &peer, &d);
        JUDGE(s, status, REDIRECTOR_OK, REDIRECTOR_NOT_FOUND);
        if (status == REDIRECTOR_OK) {
            InterlockedIncrement(&hits);
            begin(s, "the pid that redirector_lookup tells");
            JUDGE(s, d.pid == client, 1);
        }
    }
}

static void strike_list(struct striker *s, redirector *r)
{
    redirector_flow *flows = calloc(FLOWS, sizeof *flows);
    uint32_t total = 0;
    flows[0].size = sizeof *flows;
    begin(s, "redirector_list_flows");
    uint32_t status = redirector_list_flows(r, flows, FLOWS, &total);
    JUDGE(s, status, REDIRECTOR_OK, REDIRECTOR_NOT_RUNNING);
    for (uint32_t i = 0; status == REDIRECTOR_OK && i < total && i < FLOWS; i++) {
        begin(s, "the pid that redirector_list_flows tells");
        JUDGE(s, flows[i].pid == client, 1);
        InterlockedIncrement(&lists);
    }
    free(flows);
}

static void strike_rules(struct striker *s, redirector *r)
{
    redirector_rule rules[] = {{.size = sizeof *rules, .pattern = "no*body.exe"},
                               {.size = sizeof *rules, .action = REDIRECTOR_RULE_REDIRECT, .pid = client}};
    begin(s, "redirector_set_rules");
    uint32_t status = redirector_set_rules(r, rules, random_below(s, 3), NULL);
    InterlockedIncrement(&rules_set);
    JUDGE(s, status, REDIRECTOR_OK, REDIRECTOR_NOT_RUNNING);
}

static void strike_state(struct striker *s, redirector *r)
{
    redirector_error why = {.size = sizeof why};
    begin(s, "redirector_get_state");
    uint32_t state = redirector_get_state(r, &why);
    if (state == REDIRECTOR_FAILED) {
        InterlockedIncrement(&failed_state);
    }
    JUDGE(s, state, REDIRECTOR_RUNNING, REDIRECTOR_STOPPED);
}

/* A call on an instance, with others at the same time. */
static void strike_instance(struct striker *s, struct slot *slot)
{
    redirector_stats stats = {.size = sizeof stats};
    AcquireSRWLockShared(&slot->lock);
    redirector *r = slot->r;
    unsigned what = r ? random_below(s, 100) : 100;
    if (what < 4) {
        begin(s, "redirector_stop");
        uint32_t status = redirector_stop(r);
        InterlockedIncrement(status == REDIRECTOR_OK ? &stopped : &forced);
        JUDGE(s, status, REDIRECTOR_OK);
    } else if (what < 30) {
        strike_lookup(s, r);
    } else if (what < 40) {
        redirector_address peer = some_peer(s);
        begin(s, "redirector_forget");
        JUDGE(s, redirector_forget(r, &peer), REDIRECTOR_OK, REDIRECTOR_NOT_FOUND);
    } else if (what < 55) {
        strike_rules(s, r);
    } else if (what < 70) {
        strike_list(s, r);
    } else if (what < 85) {
        begin(s, "redirector_get_stats");
        JUDGE(s, redirector_get_stats(r, &stats), REDIRECTOR_OK);
    } else if (what < 100) {
        strike_state(s, r);
    }
    ReleaseSRWLockShared(&slot->lock);
}

static void strike_classic(struct striker *s)
{
    unsigned what = random_below(s, 100);
    redirector_error error = {.size = sizeof error};
    if (what < 6) {
        begin(s, "start_redirector");
        JUDGE(s, start_redirector(client, 0, proxy, 0), 0, 1); /* 0: it runs already */
    } else if (what < 12) {
        begin(s, "stop_redirector");
        JUDGE(s, stop_redirector(), 1);
    } else if (what < 60) {
        begin(s, "get_destination");
        WinDest d = get_destination(1 + random_below(s, 65535));
        free_windest(d);
        JUDGE(s, d.ip_version, 0, 4, 6);
    } else if (what < 80) {
        begin(s, "delete_destination");
        JUDGE(s, delete_destination(1 + random_below(s, 65535)), 0, 1);
    } else {
        begin(s, "redirector_last_error");
        JUDGE(s, redirector_last_error(&error), REDIRECTOR_OK);
        begin(s, "the error that is told last");
        JUDGE(s, error.code, REDIRECTOR_OK, REDIRECTOR_ALREADY_RUNNING);
    }
}

static DWORD WINAPI striking(void *argument)
{
    struct striker *s = argument;
    while (s->calls < calls_each && !wrong_count) {
        struct slot *slot = &slots[random_below(s, INSTANCES)];
        unsigned what = random_below(s, 100);
        if (what < 6) {
            strike_start(s, slot);
        } else if (what < 8) {
            strike_free(s, slot);
        } else if (what < 30) {
            strike_classic(s);
        } else {
            strike_instance(s, slot);
        }
        InterlockedIncrement(&s->calls);
    }
    s->done = 1;
    return 0;
}

/* The call that has not come back for so long, or NULL; *busy: whether anybody is still at it. */
static const char *look_for_hang(int threads, uint64_t limit_ms, bool *busy)
{
    *busy = false;
    for (int i = 0; i < threads; i++) {
        const char *call = strikers[i].call;
        uint64_t since = strikers[i].since_ms;
        *busy = *busy || !strikers[i].done;
        if (call && strikers[i].call == call && strikers[i].since_ms == since && actor_now_ms() > since + limit_ms) {
            return call;
        }
    }
    return NULL;
}

void command_storm(const struct command *c, struct json *answer)
{
    int threads = (int)command_number(c, "threads", 8);
    uint64_t limit_ms = command_number(c, "limit_s", 30) * 1000;
    const char *hung = NULL;
    long long calls = 0;
    bool busy = true;
    if (threads > THREADS) {
        json_error(answer, "storm: too many threads", 0);
        return;
    }
    client = (unsigned)command_number(c, "client", 0);
    proxy = (unsigned)command_number(c, "proxy", 0);
    calls_each = (long)command_number(c, "calls", 10000) / threads;
    memset(strikers, 0, sizeof strikers);
    started = refused = stopped = forced = hits = rules_set = lists = failed_state = wrong_count = 0;
    for (int i = 0; i < threads; i++) {
        strikers[i].random = (command_number(c, "seed", 1) + (uint64_t)i) * 0x9e3779b97f4a7c15u | 1;
        actor_thread(striking, &strikers[i]);
    }
    while (busy && !hung) {
        Sleep(LOOK_MS);
        hung = look_for_hang(threads, limit_ms, &busy);
    }
    for (int i = 0; i < threads; i++) {
        calls += strikers[i].calls;
    }
    if (!hung) {
        stop_redirector();
        for (int i = 0; i < INSTANCES; i++) {
            redirector_free(slots[i].r);
            slots[i].r = NULL;
        }
    }
    json_string(answer, "hung", hung ? hung : "");
    json_string(answer, "wrong", wrong);
    json_number(answer, "calls", calls);
    json_number(answer, "started", started);
    json_number(answer, "refused", refused);
    json_number(answer, "stopped", stopped);
    json_number(answer, "forced", forced);
    json_number(answer, "hits", hits);
    json_number(answer, "rules_set", rules_set);
    json_number(answer, "flows_listed", lists);
    json_number(answer, "failed_state", failed_state);
}
