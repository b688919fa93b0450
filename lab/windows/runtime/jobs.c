/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a list under a mutex; a counter that changes with each addition is what idle threads
 * wait for, so that none misses one. `idle` counts the moments at which nothing was left to do, for those
 * who wait for that.
 */
#include "jobs.h"

#include "../platform.h"
#include "thread.h"

enum { LINUX_CLOCK_GETTIME = 228, LINUX_CLOCK_MONOTONIC = 1 };

int64_t jobs_now(void)
{
    struct linux_timespec now;

    linux_call(LINUX_CLOCK_GETTIME, LINUX_CLOCK_MONOTONIC, (int64_t)&now, 0, 0);
    return now.seconds * 1000 + now.nanoseconds / 1000000;
}

/* The first job that is due; else *timeout_ms is how long until there is one. -1: none. */
static struct job *take(struct jobs *jobs, int64_t *timeout_ms)
{
    int64_t now = 0;

    *timeout_ms = -1;
    for (struct job **at = &jobs->first; *at; at = &(*at)->next) {
        struct job *job = *at;

        if (job->due_ms && !now) {
            now = jobs_now();
        }
        if (job->due_ms <= now || jobs->ending) {
            *at = job->next;
            jobs->count--;
            return job;
        }
        if (*timeout_ms < 0 || job->due_ms - now < *timeout_ms) {
            *timeout_ms = job->due_ms - now;
        }
    }
    return NULL;
}

static void work(void *context)
{
    struct jobs *jobs = context;
    int64_t timeout_ms;

    mutex_lock(&jobs->lock);
    for (;;) {
        struct job *job = take(jobs, &timeout_ms);
        int changes = jobs->changes;

        if (job) {
            jobs->running++;
            mutex_unlock(&jobs->lock);
            job->run(job);
            mutex_lock(&jobs->lock);
            jobs->running--;
            continue;
        }
        if (jobs->running == 0) {
            jobs->idle++;
            futex_wake(&jobs->idle, JOBS_THREADS_MAX + 1);
        }
        if (jobs->ending) {
            break;
        }
        mutex_unlock(&jobs->lock);
        futex_wait(&jobs->changes, changes, timeout_ms);
        mutex_lock(&jobs->lock);
    }
    mutex_unlock(&jobs->lock);
}

bool jobs_start(struct jobs *jobs, unsigned threads)
{
    memset(jobs, 0, sizeof(*jobs));
    for (unsigned i = 0; i < threads; i++) {
        jobs->threads[i] = thread_start(work, jobs);
        if (!jobs->threads[i]) {
            jobs_stop(jobs);
            return false;
        }
    }
    return true;
}

void jobs_add(struct jobs *jobs, struct job *job)
{
    struct job **at = &jobs->first;

    mutex_lock(&jobs->lock);
    while (*at) {
        at = &(*at)->next;
    }
    job->next = NULL;
    *at = job;
    jobs->count++;
    jobs->changes++;
    mutex_unlock(&jobs->lock);
    futex_wake(&jobs->changes, 1);
}

void jobs_wait(struct jobs *jobs)
{
    mutex_lock(&jobs->lock);
    while (jobs->first || jobs->running > 0) {
        int idle = jobs->idle;

        mutex_unlock(&jobs->lock);
        futex_wait(&jobs->idle, idle, -1);
        mutex_lock(&jobs->lock);
    }
    mutex_unlock(&jobs->lock);
}

void jobs_stop(struct jobs *jobs)
{
    mutex_lock(&jobs->lock);
    jobs->ending = true;
    jobs->changes++;
    mutex_unlock(&jobs->lock);
    futex_wake(&jobs->changes, JOBS_THREADS_MAX);
    for (unsigned i = 0; i < JOBS_THREADS_MAX; i++) {
        thread_join(jobs->threads[i]);
        jobs->threads[i] = NULL;
    }
}
