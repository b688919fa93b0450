/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a table by number and a list by priority, of what has been told. How many packets
 * a queue has lost nobody tells: it is what got in and neither came out nor is still there, and so is
 * known whenever the kernel side tells how much there is (LAB_STATE).
 */
#include "handles.h"

#include <stdlib.h>
#include <string.h>

#include "audit.h"

static struct handle *handles;
static struct handle *by_number[LAB_HANDLES_MAX];

struct handle *handles_first(void)
{
    return handles;
}

struct handle *handles_find(uint32_t number)
{
    return number < LAB_HANDLES_MAX ? by_number[number] : NULL;
}

void handles_opened(const struct lab_opened *opened)
{
    struct handle *handle, **at = &handles;

    if (opened->handle >= LAB_HANDLES_MAX || by_number[opened->handle] || opened->layer >= WD_LAYERS ||
        (handle = calloc(1, sizeof(*handle))) == NULL) {
        fprintf(stderr, "handles: the opening of handle %u is not understood\n", opened->handle);
        return;
    }
    handle->number = opened->handle;
    handle->owner = opened->owner;
    handle->layer = opened->layer;
    handle->priority = opened->priority;
    handle->flags = opened->flags;
    handle->matches = opened->matches;
    handle->tests = opened->tests;
    if (handle->layer == WD_NETWORK) {
        handle->account = audit_join(handle->owner);
    }
    while (*at && (*at)->priority > handle->priority) {
        at = &(*at)->next;
    }
    handle->next = *at;
    *at = handle;
    by_number[handle->number] = handle;
}

void handles_shut(const struct lab_shut *shut)
{
    struct handle *handle = handles_find(shut->handle);

    if (!handle) {
        return;
    }
    handle->recv_shut |= (shut->how & WD_SHUTDOWN_RECV) != 0;
    handle->send_shut |= (shut->how & WD_SHUTDOWN_SEND) != 0;
}

/* As it is at a moment when so many are queued. A thread may be just telling, so the sum can be ahead. */
static void count_lost(struct handle *handle, uint64_t queued)
{
    uint64_t there = handle->gone + queued + handle->lost_before;

    counters_set(&handle->counters, COUNT_lost_in_queue, handle->taken > there ? handle->taken - there : 0);
}

void handles_state(const struct lab_state *state)
{
    struct handle *handle = handles_find(state->handle);

    if (!handle) {
        return;
    }
    handle->state = *state;
    handle->state_is_new = true;
    count_lost(handle, handle_queued(handle));
}

/* A sniffing handle's queue is thrown away in the end, which is no loss; any other's is given back. */
static void handle_free(struct handle *handle)
{
    struct handle **at = &handles;

    if (handle->layer == WD_NETWORK && !(handle->flags & WD_SNIFF)) {
        count_lost(handle, 0);
    } else if (handle->state_is_new) {
        count_lost(handle, handle_queued(handle));
    }
    while (*at != handle) {
        at = &(*at)->next;
    }
    *at = handle->next;
    by_number[handle->number] = NULL;
    audit_leave(handle->account);
    free(handle);
}

void handles_closed(const struct lab_closed *closed)
{
    struct handle *handle = handles_find(closed->handle);

    if (handle) {
        handle_free(handle);
    }
}

void handles_died(void)
{
    for (struct handle *handle = handles; handle; handle = handle->next) {
        handle->dead = true;
    }
}

void handles_forget(void)
{
    while (handles) {
        /* Its queue is gone with the kernel side, and with it the means to count. */
        handles->taken = handles->gone + handles->lost_before + handles->counters.count[COUNT_lost_in_queue];
        handles->state_is_new = false;
        handle_free(handles);
    }
}

bool handles_want(uint32_t packet_flags)
{
    uint64_t needed = (packet_flags & LAB_OUTBOUND ? WD_MATCH_OUTBOUND : WD_MATCH_INBOUND) |
                      (packet_flags & LAB_IPV6 ? WD_MATCH_IPV6 : WD_MATCH_IP);

    for (const struct handle *handle = handles; handle; handle = handle->next) {
        if (handle->layer == WD_NETWORK && !handle->recv_shut && (handle->matches & needed) == needed) {
            return true;
        }
    }
    return false;
}

bool handles_prevent(void)
{
    for (const struct handle *handle = handles; handle; handle = handle->next) {
        if (handle->layer == WD_SOCKET && !handle->recv_shut && !(handle->flags & WD_SNIFF) && handle->matches) {
            return true;
        }
    }
    return false;
}

void handles_reset(void)
{
    for (struct handle *handle = handles; handle; handle = handle->next) {
        handle->lost_before += handle->counters.count[COUNT_lost_in_queue];
        memset(&handle->counters, 0, sizeof(handle->counters));
    }
}

static void print_handle(FILE *out, const struct handle *handle)
{
    fprintf(out,
            "{\"owner\":%u,\"open\":%s,\"layer\":%d,\"priority\":%d,\"flags\":%llu,"
            "\"matches\":%llu,\"tests\":%u,\"recv_shut\":%s,\"send_shut\":%s,"
            "\"queue_count\":%llu,\"queue_bytes\":%llu,\"pending_recvs\":%u,"
            "\"queue_length\":%llu,\"queue_time\":%llu,\"queue_size\":%llu,",
            handle->owner, handle->dead ? "false" : "true", (int)handle->layer, handle->priority,
            (unsigned long long)handle->flags, (unsigned long long)handle->matches, handle->tests,
            handle->recv_shut ? "true" : "false", handle->send_shut ? "true" : "false",
            (unsigned long long)handle_queued(handle), (unsigned long long)handle->state.queue_bytes,
            handle->state.pending_recvs, (unsigned long long)handle->state.max_count,
            (unsigned long long)handle->state.max_ms, (unsigned long long)handle->state.max_bytes);
    counters_print(out, &handle->counters);
    fputc('}', out);
}

static void print_audit(FILE *out, const struct handle *handle)
{
    const uint64_t *count = handle->counters.count;

    fprintf(out, "{\"owner\":%u,\"layer\":%d,\"priority\":%d,\"diverted\":%llu,\"queued\":%llu,\"lost_in_queue\":%llu,",
            handle->owner, (int)handle->layer, handle->priority, (unsigned long long)count[COUNT_diverted],
            (unsigned long long)handle_queued(handle),
            (unsigned long long)(count[COUNT_lost_in_queue] + count[COUNT_truncated]));
    audit_print_account(out, handle->account);
    fputc('}', out);
}

static void print_all(FILE *out, void (*print)(FILE *out, const struct handle *handle))
{
    fputc('[', out);
    for (const struct handle *handle = handles; handle; handle = handle->next) {
        print(out, handle);
        if (handle->next) {
            fputc(',', out);
        }
    }
    fputc(']', out);
}

void handles_print(FILE *out)
{
    print_all(out, print_handle);
}

void handles_print_audit(FILE *out)
{
    print_all(out, print_audit);
}
