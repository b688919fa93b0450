// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: packets lie back to back, each as long as its header says; address i
// belongs to packet i. What cannot be understood ends the batch (hard error; the packets before
// have gone). A packet that the stack refuses is skipped, and the last such error is the result
// (soft error).
#include "send.h"

#include <stdlib.h>
#include <string.h>

#include "drvfault.h"
#include "inject.h"
#include "winpid.h"

enum { MIN_IPV4 = 20, MIN_IPV6 = 40 };

// Length of the packet at `data`, or the hard error that it is.
static uint32_t packet_length(const uint8_t *data, uint32_t left, uint32_t *length)
{
    if (left < MIN_IPV4)
        return ST_BUFFER_TOO_SMALL;
    *length = packet_claimed_length(data);
    if (data[0] >> 4 != 4 && data[0] >> 4 != 6)
        return ST_INVALID_PARAMETER;
    if (left < *length || (data[0] >> 4 == 6 && left < MIN_IPV6))
        return ST_BUFFER_TOO_SMALL;
    if (*length < MIN_IPV4)
        return ST_INSUFFICIENT_RESOURCES; // what 2.2.2 makes of its zero-byte allocation
    return ST_SUCCESS;
}

static uint32_t send_batch(struct handle *handle, uint8_t *data, uint32_t left, const struct wd_address *addresses,
                           unsigned count, uint32_t *information)
{
    uint32_t soft = ST_SUCCESS, cut, skip;
    bool cuts = drvfault_strikes(DRVFAULT_SEND_CUT, handle->layer, &cut);
    bool skips = !cuts && drvfault_strikes(DRVFAULT_SEND, handle->layer, &skip);

    for (unsigned i = 0; i < count; i++) {
        uint32_t length, status = packet_length(data, left, &length);

        if (status == ST_SUCCESS && cuts && i == count / 2)
            status = cut;
        if (status != ST_SUCCESS)
            return status;
        status = skips && i == count / 2 ? skip : inject(handle, data, length, &addresses[i]);
        if (status != ST_SUCCESS)
            soft = status;
        data += length;
        left -= length;
        *information += length;
    }
    return soft;
}

// The caller's buffers, copied; NULL if memory is short.
static uint8_t *scratch(uint32_t size)
{
    static uint8_t *buffer;
    static uint32_t capacity;

    if (size > capacity) {
        uint8_t *bigger = realloc(buffer, size);

        if (!bigger)
            return NULL;
        buffer = bigger;
        capacity = size;
    }
    return buffer;
}

static uint32_t send_check(const struct handle *handle, const struct lab_request *request, struct wd_address *addresses,
                           unsigned *count)
{
    uint64_t from, size;
    int process = request->windows_pid == handle->owner && handle->owner_linux > 0
                      ? handle->owner_linux
                      : winpid_to_linux(request->windows_pid);

    memcpy(&from, request->input, sizeof(from));
    memcpy(&size, request->input + 8, sizeof(size));
    if (size < sizeof(*addresses) || size > WD_BATCH_MAX * sizeof(*addresses) || from == 0)
        return ST_INVALID_PARAMETER;
    *count = (unsigned)(size / sizeof(*addresses));
    if (!winpid_read(process, from, addresses, *count * sizeof(*addresses)))
        return ST_ACCESS_VIOLATION;
    return ST_SUCCESS;
}

void send_request(struct handle *handle, const struct lab_request *request, struct lab_reply *reply)
{
    static struct wd_address addresses[WD_BATCH_MAX];
    uint8_t *data = scratch(request->buffer_len + 1);
    unsigned count = 0;

    reply->status = send_check(handle, request, addresses, &count);
    reply->refused = reply->status != ST_SUCCESS;
    if (reply->refused)
        return;
    if (!handle->open)
        reply->status = ST_INVALID_DEVICE_STATE;
    else if (handle->send_shut)
        reply->status = ST_PIPE_EMPTY;
    else if (handle->flags & WD_RECV_ONLY)
        reply->status = ST_INVALID_PARAMETER;
    else if (handle->layer != WD_NETWORK && handle->layer != WD_NETWORK_FORWARD)
        reply->status = ST_INVALID_PARAMETER;
    else if (handle->layer == WD_NETWORK_FORWARD)
        reply->status = ST_NOT_SUPPORTED; // nothing is forwarded on this host
    else if (!data)
        reply->status = ST_INSUFFICIENT_RESOURCES;
    else if (request->buffer_len && !link_read_memory(handle->link, request->buffer, data, request->buffer_len))
        reply->status = ST_ACCESS_VIOLATION;
    else
        reply->status = send_batch(handle, data, request->buffer_len, addresses, count, &reply->information);
}
