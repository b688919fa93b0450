/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * wdfio.h: queues.
 *
 * Theory of operation: a list of requests in order of arrival, each with a cancel routine in its IRP. Who
 * gets that routine off the IRP owns the request: the queue, when it gives the request away, or Wine, when
 * it cancels it. So the queue passes over requests that are being cancelled; the cancel routine takes them
 * out and ends them. The driver's default queue is of the parallel kind: requests go straight through.
 *
 * Queues that the driver has not made, see requests/hold.c, work alike.
 */
#include "functions.h"

static void unlink_request(struct wdf_request *request)
{
    request->entry.Blink->Flink = request->entry.Flink;
    request->entry.Flink->Blink = request->entry.Blink;
}

static struct wdf_request *request_of(LIST_ENTRY *entry)
{
    return CONTAINING_RECORD(entry, struct wdf_request, entry);
}

static void leave(struct wdf_request *request)
{
    struct wdf_queue *queue = request->queue;

    request->queue = NULL;
    wdf_object_dereference(queue);
}

static void NTAPI cancel(DEVICE_OBJECT *device, IRP *irp)
{
    struct wdf_request *request = irp->Tail.Overlay.DriverContext[0];
    struct wdf_queue *queue = request->queue;

    (void)device;
    IoReleaseCancelSpinLock(irp->CancelIrql);
    mutex_lock(&queue->lock);
    unlink_request(request);
    mutex_unlock(&queue->lock);
    leave(request);
    wdf_request_complete(request, STATUS_CANCELLED, 0);
}

void wdf_queue_init(struct wdf_queue *queue)
{
    queue->requests.Flink = queue->requests.Blink = &queue->requests;
}

bool wdf_queue_put(struct wdf_queue *queue, struct wdf_request *request)
{
    LIST_ENTRY *entry = &request->entry, *last;
    bool cancelled;

    mutex_lock(&queue->lock);
    if (queue->purged) {
        mutex_unlock(&queue->lock);
        return false;
    }
    wdf_object_reference(queue);
    request->queue = queue;
    request->irp->Tail.Overlay.DriverContext[0] = request;
    last = queue->requests.Blink;
    entry->Flink = &queue->requests;
    entry->Blink = last;
    last->Flink = entry;
    queue->requests.Blink = entry;
    IoSetCancelRoutine(request->irp, cancel);
    cancelled = request->irp->Cancel && IoSetCancelRoutine(request->irp, NULL);
    if (cancelled) {
        unlink_request(request);
    }
    mutex_unlock(&queue->lock);
    if (cancelled) { /* left to another thread: the driver forwards requests with its lock held */
        leave(request);
        completions_defer();
        wdf_request_complete(request, STATUS_CANCELLED, 0);
        completions_resume();
    }
    return true;
}

struct wdf_request *wdf_queue_take(struct wdf_queue *queue, wdf_wanted_fn *wanted, const void *context)
{
    struct wdf_request *taken = NULL;

    mutex_lock(&queue->lock);
    for (LIST_ENTRY *entry = queue->requests.Flink; entry != &queue->requests && !taken; entry = entry->Flink) {
        struct wdf_request *request = request_of(entry);

        if (wanted && !wanted(request, context)) {
            continue;
        }
        if (IoSetCancelRoutine(request->irp, NULL)) {
            unlink_request(request);
            taken = request;
        }
    }
    mutex_unlock(&queue->lock);
    if (taken) {
        leave(taken);
    }
    return taken;
}

unsigned wdf_queue_count(struct wdf_queue *queue, wdf_wanted_fn *wanted, const void *context)
{
    unsigned count = 0;

    mutex_lock(&queue->lock);
    for (LIST_ENTRY *entry = queue->requests.Flink; entry != &queue->requests; entry = entry->Flink) {
        count += !wanted || wanted(request_of(entry), context);
    }
    mutex_unlock(&queue->lock);
    return count;
}

NTSTATUS NTAPI WdfIoQueueCreate(struct wdf_globals *globals, struct wdf_device *device,
                                const struct wdf_queue_config *config, const struct wdf_attributes *attributes,
                                struct wdf_queue **created)
{
    struct wdf_queue *queue = wdf_object_create(WDF_QUEUE, sizeof(*queue), attributes, device);

    (void)globals;
    if (!queue) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    wdf_queue_init(queue);
    queue->device = device;
    queue->config = *config;
    if (config->is_default) {
        device->queue = queue;
    }
    if (created) {
        *created = queue;
    }
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI WdfIoQueueRetrieveNextRequest(struct wdf_globals *globals, struct wdf_queue *queue,
                                             struct wdf_request **request)
{
    (void)globals;
    *request = requests_yield(queue) ? wdf_queue_take(queue, NULL, NULL) : NULL;
    if (*request) {
        classification_touched();
    }
    return *request ? STATUS_SUCCESS : STATUS_NO_MORE_ENTRIES;
}

/* Without a callback the driver does not wait for more than that no new request gets in. */
void NTAPI WdfIoQueuePurge(struct wdf_globals *globals, struct wdf_queue *queue, void *complete, void *context)
{
    struct wdf_request *request;

    (void)globals;
    (void)complete;
    (void)context;
    mutex_lock(&queue->lock);
    queue->purged = true;
    mutex_unlock(&queue->lock);
    while ((request = wdf_queue_take(queue, NULL, NULL)) != NULL) {
        wdf_request_complete(request, STATUS_CANCELLED, 0);
    }
}

NTSTATUS NTAPI WdfRequestForwardToIoQueue(struct wdf_globals *globals, struct wdf_request *request,
                                          struct wdf_queue *queue)
{
    (void)globals;
    return wdf_queue_put(queue, request) ? STATUS_SUCCESS : STATUS_INVALID_DEVICE_STATE;
}
