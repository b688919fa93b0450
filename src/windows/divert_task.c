/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * One thread per task: they are rare, and a thread that hangs in the driver then hangs alone. The task's memory has two
 * owners, its thread and whoever began it; the last to let go frees it. The thread holds the DLL, too.
 */
#include "windows/divert_task.h"
#include "windows/divert_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct divert_task {
    struct divert_api *api; /* open */
    char *filter;           /* open; NULL: a handle that only sends */
    int16_t priority;
    struct divert_ring *ring; /* open: the result. Close: what is to be closed */
    redirector_error error;
    HANDLE thread;
    atomic_int owners;
};

static void let_go(struct divert_task *t)
{
    if (atomic_fetch_sub(&t->owners, 1) != 1) {
        return;
    }
    divert_close(t->ring);
    divert_unload(t->api);
    if (t->thread) {
        CloseHandle(t->thread);
    }
    free(t->filter);
    free(t);
}

static DWORD WINAPI task_thread(void *task)
{
    struct divert_task *t = task;
    if (t->api) {
        t->ring = divert_open(t->api, t->filter, DIVERT_LAYER_NETWORK, t->priority, &t->error);
    } else {
        divert_close(t->ring);
        t->ring = NULL;
    }
    let_go(t);
    return 0;
}

/* Runs the task; on failure it is gone. */
static struct divert_task *begin(struct divert_task *t)
{
    t->error.size = sizeof t->error;
    atomic_store(&t->owners, 2);
    t->thread = CreateThread(NULL, 0, task_thread, t, CREATE_SUSPENDED, NULL); /* it must not read `thread` too early */
    if (t->thread) {
        SetThreadPriority(t->thread, THREAD_PRIORITY_HIGHEST); /* SYNs may wait for it */
        ResumeThread(t->thread);
        return t;
    }
    atomic_store(&t->owners, 1);
    let_go(t);
    return NULL;
}

struct divert_task *divert_task_open(struct divert_api *api, const char *filter, int16_t priority)
{
    struct divert_task *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    t->filter = filter ? _strdup(filter) : NULL;
    if (filter && !t->filter) {
        free(t);
        return NULL;
    }
    t->api = divert_retain(api);
    t->priority = priority;
    return begin(t);
}

struct divert_task *divert_task_close(struct divert_ring *ring)
{
    struct divert_task *t = calloc(1, sizeof *t);
    if (!t) {
        divert_close(ring);
        return NULL;
    }
    t->ring = ring;
    return begin(t);
}

void *divert_task_wait_handle(const struct divert_task *t)
{
    return t->thread;
}

struct divert_ring *divert_task_end(struct divert_task *t, redirector_error *error)
{
    struct divert_ring *ring = t->ring;
    t->ring = NULL;
    if (!ring && error) {
        *error = t->error;
    }
    let_go(t);
    return ring;
}

void divert_task_leave(struct divert_task *t)
{
    if (t) {
        let_go(t);
    }
}
