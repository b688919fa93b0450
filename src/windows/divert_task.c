/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: tasks are rare, so each has a thread of its own (shared_thread.h), and one that hangs in the
 * driver affects nothing else. The task also holds a reference to the DLL.
 */
#include "windows/divert_task.h"
#include "windows/divert_internal.h"
#include "windows/shared_thread.h"

#include <stdlib.h>
#include <string.h>

struct divert_task {
    struct divert_api *api; /* which must not be unloaded before the task is done */
    char *filter;           /* open; NULL: close */
    int16_t priority;
    struct divert_ring *ring; /* open: the result; close: the ring to close */
    redirector_error error;
    struct shared_thread thread;
};

static void task_free(void *task)
{
    struct divert_task *t = task;
    divert_close(t->ring);
    divert_unload(t->api);
    free(t->filter);
    free(t);
}

static void task_run(void *task)
{
    struct divert_task *t = task;
    if (t->filter) {
        t->ring = divert_open(t->api, t->filter, DIVERT_LAYER_NETWORK, t->priority, &t->error);
    } else {
        divert_close(t->ring);
        t->ring = NULL;
    }
}

/* Starts the task's thread. NULL: it failed, and the task is freed. */
static struct divert_task *begin(struct divert_task *t)
{
    t->error.size = sizeof t->error;
    /* SYNs may wait for it: the highest priority. */
    return shared_thread_start(&t->thread, true, THREAD_PRIORITY_HIGHEST, t, task_run, task_free) ? t : NULL;
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
    return t->thread.handle;
}

struct divert_ring *divert_task_end(struct divert_task *t, redirector_error *error)
{
    struct divert_ring *ring = t->ring;
    t->ring = NULL;
    if (!ring && error) {
        *error = t->error;
    }
    shared_thread_leave(&t->thread, 0);
    return ring;
}

void divert_task_leave(struct divert_task *t)
{
    if (t) {
        shared_thread_leave(&t->thread, 0);
    }
}
