// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: a request carries three destinations: the packet buffer (in the driver's
// process), and the address array and its length (in the caller's). All are looked at when the
// request arrives, so that bad pointers fail the call itself, and written when it completes.
// Requests wait in order of arrival and only while the queue is empty; so a waiting request gets
// the next packet alone, and batches form only while nobody waits - as with the driver.
#include "recv.h"

#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "audit.h"
#include "drvfault.h"
#include "loop.h"
#include "winpid.h"

enum { PAGE = 4096 };

struct recv_request {
    struct recv_request *next;
    uint64_t id;
    int process; // Linux pid of the caller
    uint64_t buffer;
    uint32_t buffer_len;
    uint64_t addresses;      // 0: not wanted
    uint64_t addresses_size; // where to store how many bytes of them were written; 0: nowhere
    unsigned capacity;       // addresses
};

// Writes a byte of each page back to where it came from. The caller waits in its call, so nobody
// else is writing there.
static bool memory_writable(int process, uint64_t at, uint32_t length)
{
    uint64_t last = at + length - 1;

    for (;;) {
        uint8_t byte;

        if (!winpid_read(process, at, &byte, 1) || !winpid_write(process, at, &byte, 1))
            return false;
        if (at == last)
            return true;
        at = (at | (PAGE - 1)) + 1;
        if (at > last)
            at = last;
    }
}

static uint32_t recv_check(struct handle *handle, const struct lab_request *request, struct recv_request *wanted)
{
    uint32_t size = sizeof(struct wd_address);

    memcpy(&wanted->addresses, request->input, sizeof(wanted->addresses));
    memcpy(&wanted->addresses_size, request->input + 8, sizeof(wanted->addresses_size));
    wanted->id = request->id;
    wanted->buffer = request->buffer;
    wanted->buffer_len = request->buffer_len;
    wanted->process = request->windows_pid == handle->owner && handle->owner_linux > 0
                          ? handle->owner_linux
                          : winpid_to_linux(request->windows_pid);
    if (wanted->addresses_size) {
        if (!memory_writable(wanted->process, wanted->addresses_size, sizeof(size)) ||
            !winpid_read(wanted->process, wanted->addresses_size, &size, sizeof(size)))
            return ST_ACCESS_VIOLATION;
        if (size < sizeof(struct wd_address) || size > WD_BATCH_MAX * sizeof(struct wd_address) || !wanted->addresses)
            return ST_INVALID_PARAMETER;
    }
    if (wanted->addresses && !memory_writable(wanted->process, wanted->addresses, size))
        return ST_ACCESS_VIOLATION;
    wanted->capacity = size / sizeof(struct wd_address);
    return ST_SUCCESS;
}

static void count_received(struct handle *handle, const struct queue_entry *entry, bool whole)
{
    struct packet packet;

    if (handle->layer != WD_NETWORK || !packet_parse(&packet, entry->data, entry->length)) {
        counters_add(&handle->counters, COUNT_received, 1);
        return;
    }
    counters_add_packet(&handle->counters, whole ? COUNT_received : COUNT_truncated, &packet);
    if (whole && !(handle->flags & WD_SNIFF))
        audit_received(handle->account, &packet, &entry->address, entry->order);
}

// Hands a batch over. The queue is not empty.
static uint32_t recv_deliver(struct handle *handle, const struct recv_request *request, uint32_t *information)
{
    static struct wd_address addresses[WD_BATCH_MAX];
    struct queue_entry *batch[WD_BATCH_MAX];
    struct iovec parts[WD_BATCH_MAX];
    uint32_t status = ST_SUCCESS, room = request->buffer_len, size;
    int64_t now = loop_now_ms();
    unsigned count = 0, capacity = request->capacity;

    if (capacity > 1 && handle->queue.count > 1 && drvfault_strikes(DRVFAULT_RECV_SINGLE, handle->layer, NULL))
        capacity = 1;
    while (count < capacity && (batch[count] = queue_take(&handle->queue, count, room, now)) != NULL) {
        struct queue_entry *entry = batch[count];
        bool whole = entry->length <= room;

        count_received(handle, entry, whole);
        addresses[count] = entry->address;
        parts[count].iov_base = entry->data;
        parts[count].iov_len = whole ? entry->length : room;
        room -= (uint32_t)parts[count].iov_len;
        count++;
        if (!whole) {
            status = ST_BUFFER_TOO_SMALL;
            break;
        }
    }
    size = count * sizeof(struct wd_address);
    *information = request->buffer_len - room;
    if (!link_write_memory(handle->link, request->buffer, parts, count))
        status = ST_ACCESS_VIOLATION;
    if (request->addresses && !winpid_write(request->process, request->addresses, addresses, size))
        status = ST_ACCESS_VIOLATION;
    if (request->addresses_size && !winpid_write(request->process, request->addresses_size, &size, sizeof(size)))
        status = ST_ACCESS_VIOLATION;
    while (count > 0)
        free(batch[--count]);
    return status;
}

// The request's outcome if it has one now, else ST_PENDING.
static uint32_t recv_try(struct handle *handle, const struct recv_request *request, uint32_t *information)
{
    uint32_t status;

    *information = 0;
    if (drvfault_is_set(DRVFAULT_STALL_RECV, handle->layer, NULL))
        return ST_PENDING;
    if (drvfault_strikes(DRVFAULT_RECV, handle->layer, &status))
        return status;
    counters_add(&handle->counters, COUNT_timeout, queue_expire(&handle->queue, loop_now_ms()));
    if (handle->queue.first)
        return recv_deliver(handle, request, information);
    return handle->recv_shut ? ST_PIPE_EMPTY : ST_PENDING;
}

void recv_request(struct handle *handle, const struct lab_request *request, struct lab_reply *reply)
{
    struct recv_request wanted = {0}, *waiting;

    reply->status = recv_check(handle, request, &wanted);
    reply->refused = reply->status != ST_SUCCESS;
    if (reply->refused)
        return;
    if (!handle->open) {
        reply->status = ST_INVALID_DEVICE_STATE;
        return;
    }
    if (handle->flags & WD_SEND_ONLY) {
        reply->status = ST_INVALID_PARAMETER;
        return;
    }
    if (drvfault_strikes(DRVFAULT_STALL_RECV, handle->layer, NULL))
        reply->status = ST_PENDING;
    else
        reply->status = recv_try(handle, &wanted, &reply->information);
    if (reply->status != ST_PENDING)
        return;
    waiting = malloc(sizeof(*waiting));
    if (!waiting) {
        reply->status = ST_INSUFFICIENT_RESOURCES;
        return;
    }
    *waiting = wanted;
    *handle->pending_end = waiting;
    handle->pending_end = &waiting->next;
}

// Takes the request at *at off the list and ends it.
static void recv_end(struct handle *handle, struct recv_request **at, uint32_t status, uint32_t information)
{
    struct recv_request *request = *at;

    *at = request->next;
    if (!*at)
        handle->pending_end = at;
    link_complete(handle->link, request->id, status, information);
    free(request);
}

void recv_service(struct handle *handle)
{
    while (handle->pending) {
        uint32_t information;
        uint32_t status = recv_try(handle, handle->pending, &information);

        if (status == ST_PENDING)
            return;
        recv_end(handle, &handle->pending, status, information);
    }
    counters_add(&handle->counters, COUNT_timeout, queue_expire(&handle->queue, loop_now_ms()));
}

bool recv_cancel(struct handle *handle, uint64_t id)
{
    for (struct recv_request **at = &handle->pending; *at; at = &(*at)->next) {
        if ((*at)->id == id) {
            recv_end(handle, at, ST_CANCELLED, 0);
            return true;
        }
    }
    return false;
}

unsigned recv_pending(const struct handle *handle)
{
    unsigned count = 0;

    for (const struct recv_request *request = handle->pending; request; request = request->next)
        count++;
    return count;
}

void recv_fail_all(struct handle *handle, uint32_t status)
{
    while (handle->pending)
        recv_end(handle, &handle->pending, status, 0);
}
