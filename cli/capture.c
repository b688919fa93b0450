/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Packets as the programs see them. Two handles look on, one before any redirector (702 to 899) and one behind
 * it. What a program sends is seen by the first before it is rewritten; what it receives by the second after it was.
 * What is between redirector and proxy has other addresses. So a packet is the program's if it belongs to a connection
 * of the library's list by the addresses that the program knows, at either handle, and none is seen twice.
 *
 * The first packet comes before its connection is in the list. Packets therefore wait in a queue in the order of their
 * times; those of a connection that became known are written, and those that nobody claimed for HOLD_MS are none of
 * ours. A bound on the bytes that wait keeps a flood of others' packets from taking all memory.
 */
#include "capture.h"

#include "capture_flows.h"
#include "tap.h"
#include "output.h"
#include "pcapng.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>

enum {
    BEFORE = 900, /* priorities around the library's bands */
    BEHIND = 700,
    HANDLES = 2,
    LOOPBACK = 4, /* in tap_address.flags */
    SORT_MS = 100,
    HOLD_MS = 1500, /* a first packet may be held for a second (hold_timeout_ms) */
    WAITING_MAX = 64 << 20,
};

struct packet {
    struct packet *next, *previous;
    int64_t time;
    uint32_t length;
    struct capture_tuple tuple;
    uint8_t data[];
};

struct looker {
    struct capture *capture;
    struct tap_handle *handle;
    struct worker worker;
};

struct capture {
    redirector *redirector;
    struct pcapng *file;
    struct capture_flows *flows; /* of the sorting thread alone */
    struct looker lookers[HANDLES];
    struct worker sorter;
    int64_t frequency, start;
    uint64_t start_us;
    SRWLOCK lock; /* guards what follows */
    struct packet *first, *last;
    size_t waiting;
    uint64_t lost;
};

/* ---- looking */

/* By time, from the end: the two handles are a little out of step. */
static void enqueue(struct capture *c, struct packet *p)
{
    AcquireSRWLockExclusive(&c->lock);
    if (c->waiting + p->length > WAITING_MAX) {
        c->lost++;
        ReleaseSRWLockExclusive(&c->lock);
        free(p);
        return;
    }
    struct packet *before = c->last;
    while (before && before->time > p->time) {
        before = before->previous;
    }
    p->previous = before;
    p->next = before ? before->next : c->first;
    *(p->previous ? &p->previous->next : &c->first) = p;
    *(p->next ? &p->next->previous : &c->last) = p;
    c->waiting += p->length;
    ReleaseSRWLockExclusive(&c->lock);
}

static void looking(void *context)
{
    struct looker *l = context;
    uint8_t *data = malloc(TAP_PACKET_MAX);
    uint32_t length;
    tap_address address;
    while (data && tap_receive(l->handle, data, TAP_PACKET_MAX, &length, &address)) {
        struct capture_tuple tuple;
        uint32_t interface_index = address.flags & LOOPBACK ? 0 : address.data.network.interface_index;
        struct packet *p =
            capture_read_tuple(data, length, interface_index, &tuple) ? malloc(sizeof *p + length) : NULL;
        if (!p) {
            continue;
        }
        p->time = address.time;
        p->length = length;
        p->tuple = tuple;
        memcpy(p->data, data, length);
        enqueue(l->capture, p);
    }
    free(data);
}

/* ---- sorting */

static int64_t now(void)
{
    LARGE_INTEGER counter;
    QueryPerformanceCounter(&counter);
    return counter.QuadPart;
}

/* The first packet if it is at least so old. */
static struct packet *take(struct capture *c, int64_t not_after)
{
    AcquireSRWLockExclusive(&c->lock);
    struct packet *p = c->first;
    if (p && p->time <= not_after) {
        c->first = p->next;
        *(p->next ? &p->next->previous : &c->last) = NULL;
        c->waiting -= p->length;
    } else {
        p = NULL;
    }
    ReleaseSRWLockExclusive(&c->lock);
    return p;
}

static void write_packet(struct capture *c, const struct packet *p)
{
    bool outbound;
    const char *process = capture_flows_find(c->flows, &p->tuple, &outbound);
    if (!process) {
        return;
    }
    uint64_t us = c->start_us + (uint64_t)((double)(p->time - c->start) * 1e6 / (double)c->frequency);
    pcapng_write(c->file, p->data, p->length, us, outbound, process);
}

/* Everything leaves the queue after HOLD_MS; what the list knows by then is written. `patience_ms` is 0 at the end. */
static void sort(struct capture *c, uint32_t patience_ms)
{
    int64_t limit = now() - (int64_t)patience_ms * c->frequency / 1000;
    capture_flows_refresh(c->flows, c->redirector);
    for (struct packet *p = take(c, limit); p; p = take(c, limit)) {
        write_packet(c, p);
        free(p);
    }
}

static void sorting(void *context)
{
    struct capture *c = context;
    while (worker_pause(&c->sorter, SORT_MS)) {
        sort(c, HOLD_MS);
    }
}

/* ---- life */

static void read_clock(struct capture *c)
{
    static const uint64_t to_1970 = 116444736000000000u; /* FILETIME counts from 1601 */
    LARGE_INTEGER frequency;
    FILETIME time;
    QueryPerformanceFrequency(&frequency);
    GetSystemTimePreciseAsFileTime(&time);
    c->frequency = frequency.QuadPart;
    c->start = now();
    c->start_us = (((uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime) - to_1970) / 10;
}

static bool start_threads(struct capture *c, bool udp)
{
    static const int16_t priorities[HANDLES] = {BEFORE, BEHIND};
    for (int i = 0; i < HANDLES; i++) {
        struct looker *l = &c->lookers[i];
        l->capture = c;
        l->handle = tap_open(udp ? "tcp or udp" : "tcp", TAP_NETWORK, priorities[i], TAP_SNIFF | TAP_RECEIVE_ONLY);
        if (!l->handle || !worker_start(&l->worker, looking, l)) {
            return false;
        }
    }
    return worker_start(&c->sorter, sorting, c);
}

struct capture *capture_start(redirector *r, const char *path, bool udp)
{
    struct capture *c = calloc(1, sizeof *c);
    if (c) {
        c->redirector = r;
        c->flows = capture_flows_new();
        InitializeSRWLock(&c->lock);
        read_clock(c);
    }
    if (!c || !c->flows) {
        output_message("out of memory");
    } else if (!(c->file = pcapng_open(path))) {
        output_message("the file '%s' cannot be written (error %lu)", path, GetLastError());
    } else if (!start_threads(c, udp)) {
        output_message("the packets cannot be recorded (error %lu)", GetLastError());
    } else {
        return c;
    }
    capture_stop(c);
    return NULL;
}

void capture_stop(struct capture *c)
{
    if (!c) {
        return;
    }
    bool sorted = c->sorter.thread != NULL;
    worker_end(&c->sorter);
    for (int i = 0; i < HANDLES; i++) {
        struct looker *l = &c->lookers[i];
        tap_end(l->handle);
        worker_end(&l->worker);
        tap_close(l->handle);
    }
    if (sorted) {
        sort(c, 0);
    }
    while (c->first) {
        free(take(c, INT64_MAX));
    }
    if (c->lost) {
        output_message("%llu packets came too fast and are not in the file", (unsigned long long)c->lost);
    }
    if (c->file && !pcapng_close(c->file)) {
        output_message("the packets could not all be written; is the disk full?");
    }
    capture_flows_free(c->flows);
    free(c);
}
