/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Random trees of processes that spawn, exec, break away as Cygwin, libuv and others do, make jobs of their own, and end,
 * among strangers that take over their pids, with messages that get lost, processes that get into no job, and redirectors
 * that come and go. Whoever lives is judged rightly at any time: descendants of the root belong to the tree, and nobody
 * else (I1, I2). But what is started by a process that is in no job, and lives only between two looks, may be lost.
 *
 *   test_breakaway          the fixed seeds
 *   test_breakaway SEED     that one again (a failure prints its seed)
 */
#include "follower.h"

#include <stdlib.h>

enum { SEEDS = 300, STEPS = 250, LIVING_MAX = 24, POLL_MS = 60 /* it is looked at least so often */ };

static struct {
    uint64_t random, seed, polled_at;
    struct follower redirectors[2];
    uint32_t root, living[KERNEL_PIDS], count;
    bool blind[2][KERNEL_PIDS];  /* what that redirector cannot know */
    bool looked[2][KERNEL_PIDS]; /* it has looked at all processes since this one was there */
} w;

static struct {
    uint32_t broke_away, refused, execs, strangers, descendants, own_jobs, reused, blind, outside;
} met;

static uint32_t below(uint32_t limit)
{
    w.random = w.random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(w.random >> 33) % limit;
}

static uint32_t any(void)
{
    return below(4) ? w.living[below(w.count)] : w.root;
}

static void note(uint32_t pid, uint32_t parent)
{
    if (pid) {
        for (int i = 0; i < 2; i++) {
            w.blind[i][pid / 4] = w.blind[i][parent / 4];
            w.looked[i][pid / 4] = false;
        }
        w.living[w.count++] = pid;
        met.reused += pid < w.root;
    }
}

/* Before a process ends: which of its children will be known by nothing. */
static void leave_blind(uint32_t pid)
{
    for (int i = 0; i < 2; i++) {
        const struct follower *f = &w.redirectors[i];
        bool known = !f->job || kernel_tells(pid, f->port) || w.looked[i][pid / 4];
        for (uint32_t k = 0; k < w.count && !known; k++) {
            uint32_t child = w.living[k];
            if (kernel_parent_of(child) == pid && kernel_descends(child, pid) && !kernel_tells(child, f->port)) {
                w.blind[i][child / 4] = true;
                met.blind++;
            }
        }
    }
}

static void end(uint32_t pid)
{
    leave_blind(pid);
    for (uint32_t i = 0; i < w.count; i++) {
        if (w.living[i] == pid) {
            w.living[i] = w.living[--w.count];
        }
    }
    kernel_exit(pid);
}

static void poll_all(void)
{
    w.polled_at = GetTickCount64();
    for (int i = 0; i < 2; i++) {
        if (w.redirectors[i].job) {
            follower_looks(&w.redirectors[i]);
            for (uint32_t k = 0; k < w.count; k++) {
                w.looked[i][w.living[k] / 4] = true;
            }
        }
    }
}

static void pass(uint32_t ms)
{
    for (; ms; ms--) {
        kernel_pass_ms(1);
        if (GetTickCount64() - w.polled_at >= POLL_MS) {
            poll_all();
        }
    }
}

/* A child in one of the ways in which programs make children. */
static uint32_t child_of(uint32_t parent)
{
    uint32_t child = 0;
    switch (below(4)) {
    case 0:
        child = spawn_as_cygwin(parent);
        met.broke_away++;
        break;
    case 1: /* insists, and if that fails does without */
        child = kernel_spawn(parent, CREATE_BREAKAWAY_FROM_JOB);
        met.refused += !child;
        break;
    default:
        break;
    }
    child = child ? child : kernel_spawn(parent, 0);
    if (child && below(30) == 0) {
        kernel_refuse(child);
    }
    if (child && below(5) == 0) {
        static const DWORD limits[] = {0, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOB_OBJECT_LIMIT_BREAKAWAY_OK,
                                       JOB_OBJECT_LIMIT_BREAKAWAY_OK | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK};
        met.own_jobs += assign(kernel_job_of(parent, limits[below(4)], below(8) == 0), child);
    }
    return child;
}

static void judge(uint32_t pid)
{
    for (int i = 0; i < 2; i++) {
        struct follower *f = &w.redirectors[i];
        bool descends = kernel_descends(pid, w.root);
        if (f->job && !w.blind[i][pid / 4] && follower_judges(f, pid) != descends) {
            fail_msg("seed %llu: process %u %s", (unsigned long long)w.seed, pid,
                     descends ? "was lost" : "is a stranger, and was taken for a member");
        }
        *(descends ? &met.descendants : &met.strangers) += f->job != NULL;
    }
}

/* Whether parents lead from it to the root that all live. */
static bool is_linked(uint32_t pid)
{
    while (pid != w.root && kernel_lives(pid) && kernel_lives(kernel_parent_of(pid)) &&
           kernel_descends(pid, kernel_parent_of(pid))) {
        pid = kernel_parent_of(pid);
    }
    return pid == w.root;
}

static void open_redirector(uint32_t which)
{
    struct follower *f = &w.redirectors[which];
    follower_open(f, &w.root, 1);
    follower_looks(f);
    for (uint32_t i = 0; i < w.count; i++) {
        uint32_t pid = w.living[i];
        w.looked[which][pid / 4] = true;
        w.blind[which][pid / 4] = kernel_descends(pid, w.root) && !kernel_tells(pid, f->port) && !is_linked(pid);
        met.blind += w.blind[which][pid / 4];
        met.outside += kernel_descends(pid, w.root) && !kernel_tells(pid, f->port);
    }
}

static void open_or_close(void)
{
    uint32_t which = below(2);
    struct follower *f = &w.redirectors[which];
    if (f->job) {
        if (w.redirectors[!which].job) {
            follower_close(f); /* one always runs, else whoever breaks away meanwhile is nobody's */
        }
        return;
    }
    open_redirector(which);
}

static void step(void)
{
    uint32_t pid = any();
    pass(below(8) ? below(3) : below(700));
    switch (below(16)) {
    case 0:
    case 1:
    case 2:
        if (w.count < LIVING_MAX) {
            note(child_of(pid), pid);
        }
        break;
    case 3:
    case 4:
    case 5: /* a child, or a chain of them, each of which lives for a moment */
        for (uint32_t hops = 1 + below(3); hops && pid != w.root; hops--) {
            uint32_t next = child_of(pid);
            note(next, pid);
            if (below(2)) {
                poll_all();
            }
            end(pid);
            pid = next ? next : w.root;
            met.execs++;
        }
        break;
    case 6:
    case 7:
        if (pid != w.root) {
            end(pid);
        }
        break;
    case 8:
    case 9: /* a stranger, whose parent is nobody we know */
        if (w.count < LIVING_MAX) {
            note(kernel_spawn(0, 0), 0);
        }
        break;
    case 10:
        if (below(8) == 0) {
            open_or_close();
        }
        break;
    case 11:
    case 12:
        poll_all();
        break;
    default:
        judge(pid);
        break;
    }
}

static void sequence(uint64_t seed)
{
    struct kernel_rules rules = {.silent_climbs = seed % 2, .lost_of_16 = seed % 3 ? 0 : (uint32_t)(seed % 7)};
    w.random = w.seed = seed;
    w.count = 0;
    kernel_begin(&rules);
    for (int i = 0; i < 3; i++) {
        note(kernel_spawn(0, 0), 0); /* strangers that were there before */
    }
    w.root = kernel_spawn(0, 0);
    note(w.root, 0);
    if (seed % 4 == 0) {
        kernel_refuse(w.root);
    }
    open_redirector(0);
    w.polled_at = GetTickCount64();
    for (int i = 0; i < STEPS; i++) {
        step();
    }
    while (w.count) {
        judge(w.living[w.count - 1]);
        w.count--;
    }
    for (int i = 0; i < 2; i++) {
        if (w.redirectors[i].job) {
            follower_close(&w.redirectors[i]);
        }
    }
}

static uint64_t only_seed;

static void i1_i2_no_descendant_is_lost_and_no_stranger_is_taken(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (!only_seed || seed == only_seed) {
            sequence(seed);
        }
    }
    print_message("# %u descendants and %u strangers judged; %u children of Cygwin, %u execs, %u times breakaway was "
                  "refused, %u jobs of programs, %u pids used again; %u in no job, %u left unknown\n",
                  met.descendants, met.strangers, met.broke_away, met.execs, met.refused, met.own_jobs, met.reused,
                  met.outside, met.blind);
    const uint32_t least = only_seed ? 0 : SEEDS;
    assert_true(met.descendants > least && met.strangers > least && met.broke_away > least);
    assert_true(met.execs > least && met.refused > least / 2 && met.own_jobs > least && met.reused > least &&
                met.outside > least / 4);
}

int main(int argc, char **argv)
{
    only_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i1_i2_no_descendant_is_lost_and_no_stranger_is_taken),
    };
    print_message("# seeds 1..%d of %d steps\n", SEEDS, STEPS);
    return cmocka_run_group_tests_name("breakaway", tests, NULL, NULL);
}
