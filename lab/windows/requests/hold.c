/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: requests that a scripted fault keeps from the driver. They stand in a queue like the
 * driver's own, so that they can be cancelled. When a fault ends, or a request's time has come, it is
 * presented to the driver as if it had just come, in the order of arrival, by the thread of this room.
 */
#include "requests.h"

static struct wdf_queue *held;

bool hold_start(void)
{
    held = wdf_object_create(WDF_QUEUE, sizeof(*held), NULL, NULL);
    if (held) {
        wdf_queue_init(held);
    }
    return held != NULL;
}

void hold_stop(void)
{
    if (held) {
        wdf_object_delete(held);
    }
    held = NULL;
}

static bool may_go(const struct wdf_request *request, const void *now)
{
    if (request->due_ms != INT64_MAX) {
        return request->due_ms <= *(const int64_t *)now;
    }
    return !fault_is_set((enum drvfault)request->fault, request_layer(request), NULL);
}

void hold_release(void)
{
    int64_t now = jobs_now();
    struct wdf_request *request;

    mutex_lock(&presenting);
    while ((request = wdf_queue_take(held, may_go, &now)) != NULL) {
        if (!faults_end(request)) {
            present(request);
        }
    }
    mutex_unlock(&presenting);
}

static void release_late(struct job *job)
{
    lab_free(job);
    hold_release();
}

void hold(struct wdf_request *request, enum drvfault fault, int64_t due_ms)
{
    struct job *late;

    request->fault = fault;
    request->due_ms = due_ms;
    if (!wdf_queue_put(held, request) || due_ms == INT64_MAX) {
        return;
    }
    late = lab_allocate(sizeof(*late));
    if (!late) {
        return;
    }
    late->run = release_late;
    late->due_ms = due_ms;
    job_add(late);
}

static bool is_of(const struct wdf_request *request, const void *file)
{
    return file_of(request) == file;
}

void hold_end(const struct file *file, NTSTATUS status)
{
    struct wdf_request *request;

    while ((request = wdf_queue_take(held, is_of, file)) != NULL) {
        wdf_request_complete(request, status, 0);
    }
}

struct kind {
    const struct file *file;
    ULONG code;
};

static bool is_kind(const struct wdf_request *request, const void *context)
{
    const struct kind *kind = context;

    return file_of(request) == kind->file && wdf_request_code(request) == kind->code;
}

unsigned hold_count(const struct file *file, ULONG code)
{
    struct kind kind = {file, code};

    return held ? wdf_queue_count(held, is_kind, &kind) : 0;
}
