/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: tasks are rare, so each has a thread of its own, and one that hangs in the driver affects
 * nothing else. The task has two owners, its thread and its creator; the last to release it frees it. The thread also
 * holds a reference to the DLL.
 */
#include "windows/divert_task.h"
#include "windows/divert_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct divert_task {
    struct divert_api *api; /* which must not be unloaded before the task is done */
    char *filter;           /* open; NULL: close */
    int16_t priority;
    struct divert_ring *ring; /* open: the result; close: the ring to close */
    redirector_error error;
    HANDLE thread;
    atomic_int owners;
};

static void release(struct divert_task *t)
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
    if (t->filter) {
        t->ring = divert_open(t->api, t->filter, DIVERT_LAYER_NETWORK, t->priority, &t->error);
    } else {
        divert_close(t->ring);
        t->ring = NULL;
    }
    release(t);
    return 0;
}

/* Starts the task's thread. NULL: it failed, and the task is freed. */
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
    release(t);
    return NULL;
}

struct divert_task *divert_task_open(struct divert_api *api, const char *filter, int16_t priority)
{
    struct divert_task *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    t->filter = _strdup(filter);
    if (!t->filter) {
        free(t);
        return NULL;
    }
    t->api = divert_retain(api);
    t->priority = priority;
    return begin(t);
}

struct divert_task *divert_task_close(struct divert_api *api, struct divert_ring *ring)
{
    struct divert_task *t = calloc(1, sizeof *t);
    if (!t) {
        divert_close(ring);
        return NULL;
    }
    t->api = divert_retain(api);
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
    release(t);
    return ring;
}

void divert_task_leave(struct divert_task *t)
{
    if (t) {
        release(t);
    }
}
