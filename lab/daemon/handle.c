// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: CREATE makes a handle in state "opening". INITIALIZE gives it layer,
// priority and flags, STARTUP its filter; from then on it is open and stays so until CLOSE. STARTUP
// opens *before* it looks at the filter, as the driver does, so a handle whose filter was refused
// is open with a filter that matches nothing. The checks come in the driver's order because their
// order decides the error code.
#include "handle.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "inject.h"
#include "loop.h"
#include "recv.h"
#include "send.h"
#include "winpid.h"

static struct handle *handles;
static uint32_t initialize_count; // never reset while the daemon runs

struct handle *handle_first(void)
{
    return handles;
}

bool handle_watches(const struct handle *handle, enum wd_layer layer)
{
    return handle->open && handle->layer == layer && !handle->recv_shut;
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

static void handle_close(struct handle *handle)
{
    struct queue_entry *entry;
    bool owns_packets = handle->layer == WD_NETWORK && !(handle->flags & WD_SNIFF);

    handle_unlink(handle); // first: nobody is to see what it gives back as its own
    recv_fail_all(handle, ST_CANCELLED);
    counters_add(&handle->counters, COUNT_timeout, queue_expire(&handle->queue, loop_now_ms()));
    while ((entry = queue_take(&handle->queue, 0, 0, 0)) != NULL) {
        if (owns_packets)
            inject_again(handle, entry->data, entry->length, &entry->address);
        free(entry);
    }
    free(handle);
}

static bool version_acceptable(const struct wd_version *version)
{
    return version->magic == WD_MAGIC_DLL && version->major >= 2 && (version->bits == 32 || version->bits == 64);
}

static bool flags_acceptable(uint64_t flags)
{
    return !(flags & ~(uint64_t)WD_FLAGS) && (flags & (WD_SNIFF | WD_DROP)) != (WD_SNIFF | WD_DROP) &&
           (flags & (WD_RECV_ONLY | WD_SEND_ONLY)) != (WD_RECV_ONLY | WD_SEND_ONLY);
}

static bool mandatory_flags_set(uint32_t layer, uint64_t flags)
{
    static const uint64_t mandatory[WD_LAYERS] = {
        [WD_FLOW] = WD_SNIFF | WD_RECV_ONLY,
        [WD_SOCKET] = WD_RECV_ONLY,
        [WD_REFLECT] = WD_SNIFF | WD_RECV_ONLY,
    };

    return (flags & mandatory[layer]) == mandatory[layer];
}

static uint32_t handle_initialize(struct handle *handle, const struct lab_request *request, uint32_t *information)
{
    struct wd_version version;
    struct iovec answer = {&version, sizeof(version)};
    uint32_t layer, priority;
    uint64_t flags;

    memcpy(&layer, request->input, sizeof(layer));
    memcpy(&priority, request->input + 4, sizeof(priority));
    memcpy(&flags, request->input + 8, sizeof(flags));
    if (request->buffer_len != sizeof(version) ||
        !link_read_memory(handle->link, request->buffer, &version, sizeof(version)) || !version_acceptable(&version))
        return ST_INVALID_PARAMETER;
    if (layer >= WD_LAYERS || priority > 2 * WD_PRIORITY_MAX || !flags_acceptable(flags) ||
        !mandatory_flags_set(layer, flags))
        return ST_INVALID_PARAMETER;
    if (handle->open || handle->initialized)
        return ST_INVALID_DEVICE_STATE;

    version = (struct wd_version){.magic = WD_MAGIC_SYS, .major = 2, .minor = 2, .bits = 64};
    if (!link_write_memory(handle->link, request->buffer, &answer, 1))
        return ST_ACCESS_VIOLATION;
    *information = sizeof(version);
    handle->initialized = true;
    handle->layer = layer;
    handle->flags = flags;
    handle->serial = (uint16_t)initialize_count++;
    handle->priority = priority << 16 | handle->serial;
    handle_unlink(handle);
    handle_insert(handle);
    inject_register(handle);
    return ST_SUCCESS;
}

// FLOW and REFLECT events, and the veto of a SOCKET handle without SNIFF, do not exist here. To
// open such a handle and see nothing would be a lie, unless its filter matches nothing anyway.
// FORWARD is fine: nothing is forwarded on this host.
static bool layer_emulated(const struct handle *handle)
{
    const uint64_t blockable = WD_MATCH_BIND | WD_MATCH_CONNECT | WD_MATCH_LISTEN | WD_MATCH_ACCEPT;

    if (handle->layer == WD_FLOW)
        return handle->matches == 0;
    if (handle->layer == WD_REFLECT)
        return false;
    if (handle->layer == WD_SOCKET && !(handle->flags & WD_SNIFF))
        return !(handle->matches & blockable);
    return true;
}

static uint32_t handle_startup(struct handle *handle, const struct lab_request *request)
{
    uint8_t objects[WD_FILTER_MAX * sizeof(struct wd_filter_object)];

    memcpy(&handle->matches, request->input, sizeof(handle->matches));
    if (handle->matches & ~(uint64_t)WD_MATCH_ALL)
        return ST_INVALID_PARAMETER;
    if (handle->open || !handle->initialized)
        return ST_INVALID_DEVICE_STATE;
    handle->open = true;
    if (request->buffer_len > sizeof(objects) ||
        !link_read_memory(handle->link, request->buffer, objects, request->buffer_len) ||
        !filter_load(&handle->filter, objects, request->buffer_len, handle->layer))
        return ST_INVALID_PARAMETER;
    if (!layer_emulated(handle)) {
        handle->filter.count = 0;
        return ST_NOT_SUPPORTED;
    }
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
        recv_service(handle);
    }
    return ST_SUCCESS;
}

static void handle_ioctl(struct link *link, const struct lab_request *request, struct lab_reply *reply)
{
    struct handle *handle = handle_find(link, request->file);

    if (!handle) {
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

void handle_request(struct link *link, const struct lab_request *request, struct lab_reply *reply)
{
    struct handle *handle;

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
        for (handle = handles; handle; handle = handle->next) {
            if (handle->link == link && recv_cancel(handle, request->id))
                break;
        }
        break;
    case LAB_IOCTL:
        handle_ioctl(link, request, reply);
        break;
    default:
        reply->status = ST_INVALID_DEVICE_REQUEST;
    }
}

void handle_link_lost(struct link *link)
{
    struct handle *next;

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
