/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file follower.h
 * A redirector as far as it follows its tree: the jobs of src/windows on the kernel of tests/world/kernel, and the
 * engine, which judges. It does what src/host.c does.
 */
#ifndef TESTS_FOLLOWER_H
#define TESTS_FOLLOWER_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/engine.h"
#include "kernel.h"
#include "windows/process.h"
#include "windows/process_table.h"

#include <string.h>

struct follower {
    struct process_job *job;
    struct engine *engine;
    const void *port;            /* of the job */
    uint64_t reported;           /* process events */
    uint32_t outside, os_error;  /* members that Windows did not let into the job; why, the last time */
    struct process_table before; /* the last look at all processes */
};

static inline void follower_poll(struct follower *f)
{
    struct process_event event;
    uint64_t now_ms = GetTickCount64();
    while (process_job_poll(f->job, &event)) {
        f->reported++;
        if (event.exited) {
            engine_process_exited(f->engine, event.id, event.to, now_ms);
        } else if (event.gone) {
            engine_process_gone(f->engine, event.id.pid, event.from, event.to, now_ms);
        } else {
            engine_process(f->engine, event.id);
        }
        f->outside += event.outside;
        f->os_error = event.outside ? event.os_error : f->os_error;
    }
}

/** What the thread that looks at all processes does, and what becomes of it. Without need it rests. */
static inline void follower_looks(struct follower *f)
{
    struct process_table now = {0}, all = {0};
    follower_poll(f);
    if (!process_job_needs_watch(f->job)) {
        process_table_free(&f->before);
        return;
    }
    assert_true(process_table_read(&now) && process_table_copy(&now, &all));
    process_table_subtract(&now, &f->before);
    process_table_free(&f->before);
    f->before = all;
    for (uint32_t i = 0; i < now.count; i++) {
        if (engine_process_seen(f->engine, &now.all[i]) && !process_job_adopt(f->job, &now.all[i])) {
            engine_process_exited(f->engine, now.all[i].self, process_clock(), GetTickCount64());
        }
    }
    process_table_free(&now);
    follower_poll(f);
}

static inline bool follower_facts(void *context, uint32_t pid, struct process_facts *out)
{
    struct follower *f = context;
    follower_poll(f);
    return process_facts(f->job, pid, out);
}

static inline void follower_open(struct follower *f, const uint32_t *roots, uint32_t count)
{
    struct process_id ids[8];
    redirector_error error = {.size = sizeof error};
    struct engine_config config = {.agent_pid = KERNEL_SELF, .proxy_port = 1, .max_flows = 16};
    struct engine_host host = {.context = f, .process_facts = follower_facts};
    *f = (struct follower){.engine = engine_new(&config, &host)};
    assert_non_null(f->engine);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(process_identify(roots[i], &ids[i], &error));
    }
    f->job = process_job_open(ids, count, &error);
    assert_non_null(f->job);
    f->port = kernel_newest_port();
    follower_poll(f);
}

static inline void follower_close(struct follower *f)
{
    process_table_free(&f->before);
    process_job_close(f->job);
    engine_free(f->engine);
    *f = (struct follower){0};
}

/** Whether connections of this living process would be taken for the tree's. */
static inline bool follower_judges(struct follower *f, uint32_t pid)
{
    follower_poll(f);
    return engine_has_process(f->engine, pid);
}

/** Spawns a child as the runtime of Cygwin, MSYS2 and Git does: it breaks away if its job says that it may. */
static inline uint32_t spawn_as_cygwin(uint32_t parent)
{
    const DWORD may = JOB_OBJECT_LIMIT_BREAKAWAY_OK | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    return kernel_spawn(parent, kernel_limits_of(parent) & may ? CREATE_BREAKAWAY_FROM_JOB : 0);
}

/** What a child's exec comes to: another process, and the one that asked for it is gone. */
static inline uint32_t exec_as_cygwin(uint32_t pid)
{
    uint32_t next = spawn_as_cygwin(pid);
    kernel_exit(pid);
    return next;
}

/** Puts a process into a job; whether Windows does. */
static inline bool assign(HANDLE job, uint32_t pid)
{
    HANDLE process = OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, FALSE, pid);
    bool ok = process && AssignProcessToJobObject(job, process);
    if (process) {
        CloseHandle(process);
    }
    return ok;
}

static inline bool is_in(HANDLE job, uint32_t pid)
{
    BOOL in = FALSE;
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
    assert_non_null(process);
    IsProcessInJob(process, job, &in);
    CloseHandle(process);
    return in;
}

/** Lets so much time pass that the jobs' lists are compared, and whoever broke away is put back. */
static inline void follower_settles(struct follower *f)
{
    for (int i = 0; i < 4; i++) {
        kernel_pass_ms(600);
        follower_poll(f);
    }
}

#endif
