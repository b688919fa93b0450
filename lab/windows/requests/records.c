/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what the daemon is told of requests, at the moment they end and before the program
 * can know. A RECV has the packets back to back in its buffer, each as long as its header says, and an
 * address for each. A program that does not want addresses is given room for one that it never sees, so
 * that it is known here what it has received.
 */
#include "requests.h"

#include "../../daemon/packet.h"
#include "../runtime/thread.h"

static void opened(struct file *file, const struct wdf_request *request)
{
    struct lab_opened record = {.head = {LAB_OPENED, sizeof(record)}};
    struct handle *handle = &file->handle;
    uint32_t length;

    request_output(request, &length);
    handle->matches = request_input(request)->startup.matches;
    handle->tests = length / sizeof(struct wd_filter_object);
    handle->open = true;
    file->told = true;
    record.handle = handle->number;
    record.owner = handle->owner;
    record.layer = handle->layer;
    record.priority = handle->priority;
    record.flags = handle->flags;
    record.matches = handle->matches;
    record.tests = handle->tests;
    wire_put(&record, NULL, 0);
}

static void initialized(struct file *file, const struct wdf_request *request)
{
    const union input *input = request_input(request);
    struct handle *handle = &file->handle;

    handle->layer = input->initialize.layer;
    handle->priority = (int32_t)input->initialize.priority - WD_PRIORITY_MAX;
    handle->flags = input->initialize.flags;
    handle->weight = file->driver ? file->driver->priority : 0;
    handle->initialized = true;
    limit_apply(file);
}

static void shut(const struct file *file, const struct wdf_request *request)
{
    struct lab_shut record = {
        .head = {LAB_SHUT, sizeof(record)},
        .handle = file->handle.number,
        .how = request_input(request)->shutdown.how,
    };

    wire_put(&record, NULL, 0);
}

static unsigned addresses_given(const struct wdf_request *request)
{
    uint32_t size;

    if (!request->addresses_size) {
        return 1;
    }
    memcpy(&size, request->addresses_size->buffer, sizeof(size));
    return size / sizeof(struct wd_address);
}

static void called(const struct file *file, bool send)
{
    struct lab_called record = {.head = {LAB_CALLED, sizeof(record)}, .handle = file->handle.number, .send = send};

    wire_put(&record, NULL, 0);
}

static bool has_bytes(uint32_t layer)
{
    return layer == WD_NETWORK || layer == WD_NETWORK_FORWARD;
}

static uint32_t packet_length(const uint8_t *data, uint32_t left)
{
    enum { LEAST = 20 };
    uint32_t length = left >= LEAST ? packet_claimed_length(data) : left;

    return length < left ? length : left;
}

static void received(const struct file *file, struct wdf_request *request, NTSTATUS status, uint32_t information)
{
    uint32_t left = information, length;
    const uint8_t *data = request_output(request, &length);
    const struct wd_address *addresses;

    if (!request->addresses || (!NT_SUCCESS(status) && (status != STATUS_BUFFER_TOO_SMALL || information == 0))) {
        return;
    }
    addresses = request->addresses->buffer;
    request->packets = addresses_given(request);
    for (unsigned i = 0; i < request->packets; i++) {
        struct lab_received record = {.head = {LAB_RECEIVED, sizeof(record)}, .handle = file->handle.number};
        bool last = i + 1 == request->packets;

        record.whole = NT_SUCCESS(status) || !last;
        memcpy(record.address, &addresses[i], sizeof(record.address));
        length = 0;
        if (has_bytes(file->handle.layer)) {
            length = last ? left : packet_length(data, left);
        }
        wire_put(&record, data, length);
        data += length;
        left -= length;
    }
    called(file, false);
}

size_t requests_written(const struct wdf_request *request, const struct wdf_memory *memory)
{
    if (wdf_request_code(request) != WD_RECV || memory->client == CLIENT_NOWHERE) {
        return 0;
    }
    if (memory == request->addresses) {
        return request->packets * sizeof(struct wd_address);
    }
    return request->packets ? memory->size : 0;
}

static void sent(const struct file *file, const struct wdf_request *request, NTSTATUS *status)
{
    struct thread_state *state = thread_state_find();

    if (request->cut) {
        *status = request->cut;
    }
    if (state && state->send == request) {
        state->send = NULL;
    }
    called(file, true);
}

void requests_completing(struct wdf_request *request, NTSTATUS *status, ULONG_PTR *information)
{
    ULONG code = wdf_request_code(request);
    struct file *file = file_of(request);

    if (code == WD_RECV) {
        received(file, request, *status, (uint32_t)*information);
    } else if (code == WD_SEND) {
        sent(file, request, status);
    } else if (code && NT_SUCCESS(*status) && request_input(request)) {
        if (code == WD_INITIALIZE) {
            initialized(file, request);
        } else if (code == WD_STARTUP) {
            opened(file, request);
        } else if (code == WD_SHUTDOWN) {
            shut(file, request);
        } else {
            limit_completing(request);
        }
    }
    wire_flush();
}
