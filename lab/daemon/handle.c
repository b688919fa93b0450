// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: CREATE makes a handle in state "opening". INITIALIZE and STARTUP (opening.c)
// open it; from then on it is open until CLOSE, or until the driver is unloaded by a scripted fault.
// Requests come here from the driver, and are served, kept waiting by a fault (park.c), or left
// pending (recv.c).
#include "handle.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "capture.h"
#include "drvfault.h"
#include "events.h"
#include "inject.h"
#include "loop.h"
#include "opening.h"
#include "park.h"
#include "recv.h"
#include "reflect.h"
#include "send.h"
#include "winpid.h"

static struct handle *handles;

struct handle *handle_first(void)
{
    return handles;
}

bool handle_watches(const struct handle *handle, enum wd_layer layer)
{
    return handle->open && !handle->dead && handle->layer == layer && !handle->recv_shut;
}

static struct handle *handle_find(const struct link *link, uint64_t file)
{
    struct handle *handle = handles;

    while (handle && (handle->link != link || handle->file != file))
        handle = handle->next;
    return handle;
}

static void handle_unlink(struct handle *handle)
{
    struct handle **at = &handles;

    while (*at != handle)
        at = &(*at)->next;
    *at = handle->next;
}

// Of equal user priorities the later one has the higher serial and comes first.
static void handle_insert(struct handle *handle)
{
    struct handle **at = &handles;

    while (*at && (*at)->priority > handle->priority)
        at = &(*at)->next;
    handle->next = *at;
    *at = handle;
}

static uint32_t handle_create(struct link *link, const struct lab_request *request)
{
    struct handle *handle = calloc(1, sizeof(*handle));

    if (!handle)
        return ST_INSUFFICIENT_RESOURCES;
    handle->link = link;
    handle->file = request->file;
    handle->owner = request->windows_pid;
    handle->owner_linux = winpid_to_linux(request->windows_pid);
    handle->pending_end = &handle->pending;
    queue_init(&handle->queue);
    handle_insert(handle);
    return ST_SUCCESS;
}

// SOCKET handles without SNIFF: what they prevent is decided in the kernel.
static bool handle_prevents(const struct handle *handle)
{
    return handle_watches(handle, WD_SOCKET) && !(handle->flags & WD_SNIFF) && handle->matches;
}

static bool blockers_update(void)
{
    static struct sockev_blocker blockers[SOCKEV_BLOCKERS];
    static unsigned last_count;
    unsigned count = 0;

    for (const struct handle *handle = handles; handle; handle = handle->next) {
        if (!handle_prevents(handle))
            continue;
        if (count == SOCKEV_BLOCKERS)
            return false;
        blockers[count].matches = (unsigned)handle->matches;
        blockers[count].count = handle->filter.count;
        memcpy(blockers[count].tests, handle->filter.objects, handle->filter.count * sizeof(struct wd_filter_object));
        count++;
    }
    if (count || last_count)
        events_set_blockers(blockers, count);
    last_count = count;
    return true;
}

// From here on it sees nothing. What waits ends, what is queued goes on.
static void handle_end(struct handle *handle)
{
    struct queue_entry *entry;
    bool owns_packets = handle->layer == WD_NETWORK && !(handle->flags & WD_SNIFF);

    if (handle->open)
        reflect_closed(handle);
    handle->open = false;
    blockers_update();
    recv_fail_all(handle, ST_CANCELLED);
    park_cancel_file(handle->link, handle->file);
    counters_add(&handle->counters, COUNT_timeout, queue_expire(&handle->queue, loop_now_ms()));
    while ((entry = queue_take(&handle->queue, 0, 0, 0)) != NULL) {
        if (owns_packets)
            inject_again(handle, entry->data, entry->length, &entry->address);
        free(entry);
    }
}

static void handle_close(struct handle *handle)
{
    handle_unlink(handle);
    handle_end(handle);
    audit_leave(handle->account);
    free(handle);
}

// The driver is unloaded while handles are open: they stay, and no call on them works any more.
static unsigned handle_unload_all(void)
{
    unsigned count = 0;

    for (struct handle *handle = handles; handle; handle = handle->next)
        count += handle->open;
    for (struct handle *handle = handles; handle; handle = handle->next)
        handle->dead = true;
    for (struct handle *handle = handles; handle; handle = handle->next)
        handle_end(handle);
    return count;
}

static uint32_t handle_initialize(struct handle *handle, const struct lab_request *request, uint32_t *information)
{
    uint32_t status = opening_initialize(handle, request, information);

    if (status != ST_SUCCESS)
        return status;
    handle_unlink(handle);
    handle_insert(handle);
    inject_register(handle);
    if (handle->layer == WD_NETWORK)
        handle->account = audit_join(handle->owner);
    return ST_SUCCESS;
}

static uint32_t handle_startup(struct handle *handle, const struct lab_request *request)
{
    uint32_t status = opening_startup(handle, request);

    if (status != ST_SUCCESS)
        return status;
    if (handle->layer == WD_NETWORK && handle->matches && filter_wants_others(&handle->filter))
        capture_others();
    if (handle_prevents(handle) && !blockers_update()) {
        handle->filter.count = 0;
        handle->matches = 0;
        return ST_NOT_SUPPORTED;
    }
    reflect_opened(handle);
    return ST_SUCCESS;
}

static uint32_t handle_get_param(struct handle *handle, const struct lab_request *request, uint32_t *information)
{
    uint64_t value;
    struct iovec answer = {&value, sizeof(value)};
    uint32_t param;

    memcpy(&param, request->input, sizeof(param));
    if (request->buffer_len != sizeof(value))
        return ST_INVALID_PARAMETER;
    if (!handle->open)
        return ST_INVALID_DEVICE_STATE;
    if (!queue_get_param(&handle->queue, param, &value))
        return ST_INVALID_PARAMETER;
    if (!link_write_memory(handle->link, request->buffer, &answer, 1))
        return ST_ACCESS_VIOLATION;
    *information = sizeof(value);
    return ST_SUCCESS;
}

static uint32_t handle_set_param(struct handle *handle, const struct lab_request *request)
{
    uint64_t value;
    uint32_t param;

    memcpy(&value, request->input, sizeof(value));
    memcpy(&param, request->input + 8, sizeof(param));
    if (!handle->open)
        return ST_INVALID_DEVICE_STATE;
    return queue_set_param(&handle->queue, param, value) ? ST_SUCCESS : ST_INVALID_PARAMETER;
}

static uint32_t handle_shutdown(struct handle *handle, const struct lab_request *request)
{
    uint32_t how;

    memcpy(&how, request->input, sizeof(how));
    if (!handle->open)
        return ST_INVALID_DEVICE_STATE;
    if (how < WD_SHUTDOWN_RECV || how > WD_SHUTDOWN_BOTH)
        return ST_INVALID_PARAMETER;
    if (how & WD_SHUTDOWN_SEND)
        handle->send_shut = true;
    if (how & WD_SHUTDOWN_RECV) {
        handle->recv_shut = true;
        blockers_update();
        recv_service(handle);
    }
    return ST_SUCCESS;
}

static void handle_ioctl(struct link *link, const struct lab_request *request, struct lab_reply *reply)
{
    struct handle *handle = handle_find(link, request->file);

    if (!handle || handle->dead) {
        reply->status = ST_INVALID_DEVICE_STATE;
    } else if (request->input_len < sizeof(request->input)) {
        reply->status = ST_INVALID_PARAMETER;
        reply->refused = 1;
    } else if (request->code == WD_INITIALIZE) {
        reply->status = handle_initialize(handle, request, &reply->information);
    } else if (request->code == WD_STARTUP) {
        reply->status = handle_startup(handle, request);
    } else if (request->code == WD_RECV) {
        recv_request(handle, request, reply);
    } else if (request->code == WD_SEND) {
        send_request(handle, request, reply);
    } else if (request->code == WD_SET_PARAM) {
        reply->status = handle_set_param(handle, request);
    } else if (request->code == WD_GET_PARAM) {
        reply->status = handle_get_param(handle, request, &reply->information);
    } else if (request->code == WD_SHUTDOWN) {
        reply->status = handle_shutdown(handle, request);
    } else {
        reply->status = ST_INVALID_DEVICE_REQUEST;
        reply->refused = 1;
    }
}

static uint32_t request_layer(const struct handle *handle, const struct lab_request *request)
{
    uint32_t layer = handle->layer;

    if (request->code == WD_INITIALIZE)
        memcpy(&layer, request->input, sizeof(layer));
    return layer;
}

static enum drvfault request_stall(const struct lab_request *request)
{
    return request->code == WD_SEND ? DRVFAULT_STALL_SEND : DRVFAULT_STALL_CONTROL;
}

static bool request_stalls(struct link *link, const struct lab_request *request)
{
    const struct handle *handle = handle_find(link, request->file);

    return handle && drvfault_is_set(request_stall(request), request_layer(handle, request), NULL);
}

// Does a scripted fault keep this request waiting, and until when?
static bool request_waits(struct link *link, const struct lab_request *request, int64_t *due_ms)
{
    const struct handle *handle = handle_find(link, request->file);
    uint32_t delay;

    if (!handle || handle->dead || request->code == WD_RECV)
        return false;
    *due_ms = PARK_FOR_EVER;
    if (drvfault_strikes(request_stall(request), request_layer(handle, request), NULL))
        return true;
    if (request->code != WD_INITIALIZE || !drvfault_strikes(DRVFAULT_OPEN_LATE, request_layer(handle, request), &delay))
        return false;
    *due_ms = loop_now_ms() + delay;
    return true;
}

// The script of faults has changed: what it kept waiting may go on, or fail.
static void faults_changed(void)
{
    park_release(request_stalls);
    for (struct handle *handle = handles; handle; handle = handle->next)
        recv_service(handle);
}

void handle_init(void)
{
    park_open(handle_ioctl);
    drvfault_open(faults_changed, handle_unload_all);
}

void handle_request(struct link *link, const struct lab_request *request, struct lab_reply *reply)
{
    struct handle *handle;
    int64_t due_ms;

    switch (request->op) {
    case LAB_CREATE:
        reply->status = handle_create(link, request);
        break;
    case LAB_CLOSE:
        handle = handle_find(link, request->file);
        if (handle)
            handle_close(handle);
        break;
    case LAB_CANCEL:
        if (park_cancel(link, request->id))
            break;
        for (handle = handles; handle; handle = handle->next) {
            if (handle->link == link && recv_cancel(handle, request->id))
                break;
        }
        break;
    case LAB_IOCTL:
        if (!request_waits(link, request, &due_ms))
            handle_ioctl(link, request, reply);
        else
            reply->status = park_add(link, request, due_ms) ? ST_PENDING : ST_INSUFFICIENT_RESOURCES;
        break;
    default:
        reply->status = ST_INVALID_DEVICE_REQUEST;
    }
}

void handle_link_lost(struct link *link)
{
    struct handle *next;

    park_forget(link);
    for (struct handle *handle = handles; handle; handle = next) {
        next = handle->next;
        if (handle->link == link)
            handle_close(handle);
    }
}

void handle_close_all(void)
{
    // The lowest first, so that what a handle gives back has no other handle to go through.
    while (handles) {
        struct handle *last = handles;

        while (last->next)
            last = last->next;
        handle_close(last);
    }
}
