/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * wdfmemory.h, and the locking of a program's buffers.
 *
 * Theory of operation: KMDF locks the pages of such a buffer, and the driver has them before it. Under Wine
 * they are in another process. So "locking" copies the buffer in, after it has been seen that it can be read
 * and, if need be, written; what the driver has written there is copied out when the request ends, before
 * the program can see that it has.
 */
#include "functions.h"

static void memory_release(struct wdf_object *object)
{
    lab_free(CONTAINING_RECORD(object, struct wdf_memory, object)->buffer);
}

NTSTATUS wdf_memory_lock(struct wdf_request *request, void *at, size_t size, bool write, struct wdf_memory **locked)
{
    struct wdf_memory *memory = wdf_object_create(WDF_MEMORY, sizeof(*memory), NULL, NULL);
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;

    if (!memory) {
        return status;
    }
    memory->object.release = memory_release;
    memory->buffer = lab_allocate(size ? size : 1);
    memory->size = size;
    memory->client = (uint64_t)at;
    memory->write = write;
    if (memory->buffer) {
        status = write ? client_probe(request, memory->client, memory->buffer, size)
                       : client_copy(request, memory->client, memory->buffer, size, false);
    }
    if (!NT_SUCCESS(status)) {
        wdf_object_delete(memory);
        return status;
    }
    memory->next = request->memories;
    request->memories = memory;
    requests_locked(request, memory);
    *locked = memory;
    return STATUS_SUCCESS;
}

void wdf_memory_finish(struct wdf_request *request)
{
    while (request->memories) {
        struct wdf_memory *memory = request->memories;
        size_t written = memory->write ? requests_written(request, memory) : 0;

        request->memories = memory->next;
        if (written > 0) {
            client_copy(request, memory->client, memory->buffer, written, true);
        }
        wdf_object_delete(memory);
    }
}

void *NTAPI WdfMemoryGetBuffer(struct wdf_globals *globals, struct wdf_memory *memory, size_t *size)
{
    (void)globals;
    if (size) {
        *size = memory->size;
    }
    return memory->buffer;
}
