/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a table whose index is the file's number. Places are given out in turn, so that a
 * number, and the memory, is used again as late as possible. A file has two references: of Wine, until its
 * CLOSE, and of the driver, until it has destroyed its file object. It is in the list, where others find
 * it, until then; the daemon learns of its end at that moment.
 */
#include "requests.h"

static struct file files[LAB_HANDLES_MAX];
static struct handle *first;
static struct mutex lock;
static unsigned next_number;

static struct file *file_of_handle(struct handle *handle)
{
    return CONTAINING_RECORD(handle, struct file, handle);
}

struct file *file_create(uint32_t owner, int32_t owner_linux)
{
    struct file *file = NULL;

    mutex_lock(&lock);
    for (unsigned i = 0; i < LAB_HANDLES_MAX && !file; i++) {
        struct file *candidate = &files[(next_number + i) % LAB_HANDLES_MAX];

        if (candidate->references == 0) {
            file = candidate;
        }
    }
    if (file) {
        uint32_t number = (uint32_t)(file - files);

        next_number = (number + 1) % LAB_HANDLES_MAX;
        memset(file, 0, sizeof(*file));
        file->references = 2;
        file->listed = true;
        file->handle.number = number;
        file->handle.owner = owner;
        file->handle.owner_linux = owner_linux;
        file->handle.next = first;
        first = &file->handle;
    }
    mutex_unlock(&lock);
    return file;
}

static void unlist(struct file *file)
{
    struct handle **at = &first;

    mutex_lock(&lock);
    while (*at && *at != &file->handle) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = file->handle.next;
    }
    file->listed = false;
    mutex_unlock(&lock);
}

void file_release(struct file *file)
{
    mutex_lock(&lock);
    file->references--;
    mutex_unlock(&lock);
}

/* After its cleanup a file takes nothing any more; its destruction may take a while longer. */
void tell_closed(struct file *file)
{
    struct lab_closed record = {.head = {LAB_CLOSED, sizeof(record)}, .handle = file->handle.number};

    if (!__atomic_exchange_n(&file->told, false, __ATOMIC_ACQ_REL)) {
        return;
    }
    wire_put(&record, NULL, 0);
    wire_flush();
}

void requests_destroyed(struct file *file)
{
    unlist(file);
    file->driver = NULL;
    file->handle.context = NULL;
    if (file->queue) {
        wdf_object_dereference(file->queue);
    }
    file->queue = NULL;
    tell_closed(file);
    file_release(file);
}

struct file *file_of(const struct wdf_request *request)
{
    return request->file ? request->file->opened : NULL;
}

void files_each(file_visit_fn *visit, void *context)
{
    mutex_lock(&lock);
    for (struct handle *handle = first; handle; handle = handle->next) {
        visit(file_of_handle(handle), context);
    }
    mutex_unlock(&lock);
}

struct file *files_next(uint32_t *last)
{
    struct file *found = NULL;

    mutex_lock(&lock);
    for (; *last < LAB_HANDLES_MAX && !found; ++*last) {
        struct file *file = &files[*last];

        if (file->references == 0 || !file->listed) {
            continue;
        }
        file->references++;
        found = file;
    }
    mutex_unlock(&lock);
    return found;
}

/*
 * A context names the object that it belongs to, so this costs no search: it is done for each filter that
 * a packet meets.
 */
struct handle *handle_of_context(const void *context)
{
    struct wdf_object *object = wdf_object_of_context(context);

    if (!object || object->kind != WDF_FILE) {
        return NULL;
    }
    return &CONTAINING_RECORD(object, struct wdf_file, object)->opened->handle;
}

struct handle *handle_of_weight(uint32_t weight)
{
    struct handle *found = NULL;

    mutex_lock(&lock);
    for (struct handle *handle = first; handle && !found; handle = handle->next) {
        if (handle->initialized && handle->weight == weight) {
            found = handle;
        }
    }
    mutex_unlock(&lock);
    return found;
}

static void tell_state(struct file *file, void *context)
{
    const struct driver_context *driver = file->driver;
    struct lab_state record = {.head = {LAB_STATE, sizeof(record)}, .handle = file->handle.number};

    (void)context;
    if (!file->handle.open || !driver || !file->queue) {
        return;
    }
    record.pending_recvs = hold_count(file, WD_RECV) + wdf_queue_count(file->queue, NULL, NULL);
    record.queue_count = driver->packet_queue_length;
    record.queue_bytes = driver->packet_queue_size;
    record.work_count = driver->work_queue_length;
    record.max_count = file->max_length;
    record.max_ms = driver->packet_queue_max_time;
    record.max_bytes = driver->packet_queue_max_size;
    wire_put(&record, NULL, 0);
}

/* Read without the driver's lock: each is one word. */
void requests_tell_states(void)
{
    files_each(tell_state, NULL);
}
