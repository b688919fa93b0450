// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: INITIALIZE gives a handle layer, priority and flags, STARTUP its filter. STARTUP
// opens *before* it looks at the filter, as the driver does, so a handle whose filter was refused is
// open with a filter that matches nothing. The checks come in the driver's order because their order
// decides the error code.
#include "opening.h"

#include <string.h>

#include "drvfault.h"
#include "loop.h"

static uint32_t initialize_count; // never reset while the daemon runs

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

uint32_t opening_initialize(struct handle *handle, const struct lab_request *request, uint32_t *information)
{
    struct wd_version version;
    struct iovec answer = {&version, sizeof(version)};
    uint32_t layer, priority, status;
    uint64_t flags;

    memcpy(&layer, request->input, sizeof(layer));
    memcpy(&priority, request->input + 4, sizeof(priority));
    memcpy(&flags, request->input + 8, sizeof(flags));
    if (request->buffer_len != sizeof(version) ||
        !link_read_memory(handle->link, request->buffer, &version, sizeof(version)) || !version_acceptable(&version))
        return ST_INVALID_PARAMETER;
    if (drvfault_strikes(DRVFAULT_OPEN, layer, &status))
        return status;
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
    return ST_SUCCESS;
}

// What BIND and CONNECT can be prevented from is LISTEN and ACCEPT only told of here. To open a handle
// for nothing but a veto that does not come would be a lie. FORWARD is fine: nothing is forwarded on
// this host.
static bool layer_emulated(const struct handle *handle)
{
    const uint64_t told = WD_MATCH_LISTEN | WD_MATCH_ACCEPT, prevented = WD_MATCH_BIND | WD_MATCH_CONNECT;

    return handle->layer != WD_SOCKET || (handle->flags & WD_SNIFF) || !(handle->matches & told) ||
           (handle->matches & prevented);
}

uint32_t opening_startup(struct handle *handle, const struct lab_request *request)
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
    handle->opened_ticks = loop_ticks();
    return ST_SUCCESS;
}
