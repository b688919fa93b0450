/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * wdfworkitem.h: work items.
 *
 * Theory of operation: an item is run by one of a few threads ("system worker threads"). Enqueueing one that
 * is enqueued does nothing; one that runs is run once more afterwards, so that no item runs twice at a time.
 * It is referenced from the moment it is enqueued until it has run. Flushing waits until it neither is
 * enqueued nor runs; deletion flushes, unless it is the item itself that is being run.
 */
#include "functions.h"

#include "../runtime/thread.h"

enum { WORKERS = 3 };

struct wdf_workitem {
    struct wdf_object object;
    struct job job;
    wdf_object_fn *run;
    struct mutex lock;
    bool enqueued, running;
    struct thread_state *runner;
    volatile int finished; /* changes when a run ends */
};

static struct jobs workers;

bool wdf_workitems_start(void)
{
    return jobs_start(&workers, WORKERS);
}

void wdf_workitems_wait(void)
{
    jobs_wait(&workers);
}

void wdf_workitems_stop(void)
{
    jobs_stop(&workers);
}

static void run(struct job *job)
{
    struct wdf_workitem *item = CONTAINING_RECORD(job, struct wdf_workitem, job);
    bool again;

    mutex_lock(&item->lock);
    item->enqueued = false;
    item->running = true;
    item->runner = thread_state();
    mutex_unlock(&item->lock);
    item->run(item);
    mutex_lock(&item->lock);
    item->running = false;
    item->runner = NULL;
    item->finished++;
    again = item->enqueued;
    mutex_unlock(&item->lock);
    futex_wake(&item->finished, INT32_MAX);
    if (again) {
        jobs_add(&workers, &item->job);
    } else {
        wdf_object_dereference(item);
    }
}

static void flush(struct wdf_workitem *item)
{
    mutex_lock(&item->lock);
    while ((item->enqueued || item->running) && !(item->running && item->runner == thread_state_find())) {
        int finished = item->finished;

        mutex_unlock(&item->lock);
        futex_wait(&item->finished, finished, -1);
        mutex_lock(&item->lock);
    }
    mutex_unlock(&item->lock);
}

static void item_dispose(struct wdf_object *object)
{
    flush(CONTAINING_RECORD(object, struct wdf_workitem, object));
}

NTSTATUS NTAPI WdfWorkItemCreate(struct wdf_globals *globals, const struct wdf_workitem_config *config,
                                 const struct wdf_attributes *attributes, struct wdf_workitem **created)
{
    struct wdf_workitem *item;

    (void)globals;
    if (!attributes || !attributes->parent) {
        return STATUS_INVALID_PARAMETER; /* documented: it must have one */
    }
    item = wdf_object_create(WDF_WORKITEM, sizeof(*item), attributes, NULL);
    if (!item) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    item->object.dispose = item_dispose;
    item->run = config->run;
    item->job.run = run;
    *created = item;
    return STATUS_SUCCESS;
}

void NTAPI WdfWorkItemEnqueue(struct wdf_globals *globals, struct wdf_workitem *item)
{
    bool add = false;

    (void)globals;
    mutex_lock(&item->lock);
    if (!item->enqueued && !item->object.deleted) {
        item->enqueued = true;
        add = !item->running;
    }
    if (add) {
        wdf_object_reference(item);
    }
    mutex_unlock(&item->lock);
    if (add) {
        jobs_add(&workers, &item->job);
    }
}

void wdf_workitem_enqueue_of(struct wdf_object *parent)
{
    struct wdf_object *item = wdf_object_child(parent, WDF_WORKITEM);

    if (!item) {
        return;
    }
    WdfWorkItemEnqueue(NULL, CONTAINING_RECORD(item, struct wdf_workitem, object));
    wdf_object_dereference(item);
}

struct wdf_object *NTAPI WdfWorkItemGetParentObject(struct wdf_globals *globals, struct wdf_workitem *item)
{
    (void)globals;
    return item->object.parent;
}

void NTAPI WdfWorkItemFlush(struct wdf_globals *globals, struct wdf_workitem *item)
{
    (void)globals;
    flush(item);
}
