/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: each layer has its live filters in the order in which they are asked: sublayers by
 * weight, within one the filters by weight. A change makes a new snapshot of that order, an array that
 * never changes; a classification takes a reference to the present one and walks it without a lock.
 *
 * A classification is a "visit" that lies on its thread's stack and is linked while it runs. Whoever
 * deletes a filter takes it out of the snapshot, marks it, and waits for the visits that began before:
 * then no callout can be called with it any more, and the driver may free what its context points to, as
 * on Windows. The caller's own visits are not waited for (the driver may delete from within a callout),
 * nor is a visit whose thread is waiting here itself; when that goes on, it finds the mark.
 */
#include "engine.h"

#include <string.h>

#define LAYER(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7, ...)                                                            \
    {                                                                                                                  \
        .key = {a, b, c, {d0, d1, d2, d3, d4, d5, d6, d7}}, __VA_ARGS__                                                \
    }

const struct layer_facts layer_facts[LAYERS] = {
    [LAYER_INBOUND_IPPACKET_V4] =
        LAYER(0xc86fd1bf, 0x21cd, 0x497e, 0xa0, 0xbb, 0x17, 0x42, 0x5c, 0x88, 0x5c, 0x58, .id = 0, .fields = 11),
    [LAYER_INBOUND_IPPACKET_V6] =
        LAYER(0xf52032cb, 0x991c, 0x46e7, 0x97, 0x1d, 0x26, 0x01, 0x45, 0x9a, 0x91, 0xca, .id = 2, .fields = 11),
    [LAYER_OUTBOUND_IPPACKET_V4] =
        LAYER(0x1e5c9fae, 0x8a84, 0x4135, 0xa3, 0x31, 0x95, 0x0b, 0x54, 0x22, 0x9e, 0xcd, .id = 4, .fields = 10),
    [LAYER_OUTBOUND_IPPACKET_V6] =
        LAYER(0xa3b3ab6b, 0x3564, 0x488c, 0x91, 0x17, 0xf3, 0x4e, 0x82, 0x14, 0x27, 0x63, .id = 6, .fields = 10),
    [LAYER_IPFORWARD_V4] =
        LAYER(0xa82acc24, 0x4ee1, 0x4ee1, 0xb4, 0x65, 0xfd, 0x1d, 0x25, 0xcb, 0x10, 0xa4, .id = 8, .fields = 14),
    [LAYER_IPFORWARD_V6] =
        LAYER(0x7b964818, 0x19c7, 0x493a, 0xb7, 0x1f, 0x83, 0x2c, 0x36, 0x84, 0xd2, 0x8c, .id = 10, .fields = 14),
    [LAYER_ALE_RESOURCE_ASSIGNMENT_V4] =
        LAYER(0x1247d66d, 0x0b60, 0x4a15, 0x8d, 0x44, 0x71, 0x55, 0xd0, 0xf5, 0x3a, 0x0c, .id = 36, .fields = 15),
    [LAYER_ALE_RESOURCE_ASSIGNMENT_V6] =
        LAYER(0x55a650e1, 0x5f0a, 0x4eca, 0xa6, 0x53, 0x88, 0xf5, 0x3b, 0x26, 0xaa, 0x8c, .id = 38, .fields = 15),
    [LAYER_ALE_AUTH_LISTEN_V4] =
        LAYER(0x88bb5dad, 0x76d7, 0x4227, 0x9c, 0x71, 0xdf, 0x0a, 0x3e, 0xd7, 0xbe, 0x7e, .id = 40, .fields = 11),
    [LAYER_ALE_AUTH_LISTEN_V6] =
        LAYER(0x7ac9de24, 0x17dd, 0x4814, 0xb4, 0xbd, 0xa9, 0xfb, 0xc9, 0x5a, 0x32, 0x1b, .id = 42, .fields = 11),
    [LAYER_ALE_AUTH_RECV_ACCEPT_V4] =
        LAYER(0xe1cd9fe7, 0xf4b5, 0x4273, 0x96, 0xc0, 0x59, 0x2e, 0x48, 0x7b, 0x86, 0x50, .id = 44, .fields = 24),
    [LAYER_ALE_AUTH_RECV_ACCEPT_V6] =
        LAYER(0xa3b42c97, 0x9f04, 0x4672, 0xb8, 0x7e, 0xce, 0xe9, 0xc4, 0x83, 0x25, 0x7f, .id = 46, .fields = 24),
    [LAYER_ALE_AUTH_CONNECT_V4] =
        LAYER(0xc38d57d1, 0x05a7, 0x4c33, 0x90, 0x4f, 0x7f, 0xbc, 0xee, 0xe6, 0x0e, 0x82, .id = 48, .fields = 22),
    [LAYER_ALE_AUTH_CONNECT_V6] =
        LAYER(0x4a72393b, 0x319f, 0x44bc, 0x84, 0xc3, 0xba, 0x54, 0xdc, 0xb3, 0xb6, 0xb4, .id = 50, .fields = 22),
    [LAYER_ALE_FLOW_ESTABLISHED_V4] = LAYER(0xaf80470a, 0x5596, 0x4c13, 0x99, 0x92, 0x53, 0x9e, 0x6f, 0xe5, 0x79, 0x67,
                                            .id = 52, .fields = 20, .tells_only = true),
    [LAYER_ALE_FLOW_ESTABLISHED_V6] = LAYER(0x7021d2b3, 0xdfa4, 0x406e, 0xaf, 0xeb, 0x6a, 0xfa, 0xf7, 0xe7, 0x0e, 0xfd,
                                            .id = 54, .fields = 20, .tells_only = true),
    [LAYER_ALE_RESOURCE_RELEASE_V4] = LAYER(0x74365cce, 0xccb0, 0x401a, 0xbf, 0xc1, 0xb8, 0x99, 0x34, 0xad, 0x7e, 0x15,
                                            .id = 60, .fields = 12, .tells_only = true),
    [LAYER_ALE_RESOURCE_RELEASE_V6] = LAYER(0xf4e5ce80, 0xedcc, 0x4e13, 0x8a, 0x2f, 0xb9, 0x14, 0x54, 0xbb, 0x05, 0x7b,
                                            .id = 61, .fields = 12, .tells_only = true),
    [LAYER_ALE_ENDPOINT_CLOSURE_V4] = LAYER(0xb4766427, 0xe2a2, 0x467a, 0xbd, 0x7e, 0xdb, 0xcd, 0x1b, 0xd8, 0x5a, 0x09,
                                            .id = 62, .fields = 14, .tells_only = true),
    [LAYER_ALE_ENDPOINT_CLOSURE_V6] = LAYER(0xbb536ccd, 0x4755, 0x4ba9, 0x9f, 0xf7, 0xf9, 0xed, 0xf8, 0x69, 0x9c, 0x7b,
                                            .id = 63, .fields = 14, .tells_only = true),
};

struct snapshot {
    int references;
    uint32_t count;
    struct filter *filters[];
};

struct mutex fwp_lock;
static struct filter *live[LAYERS];
static struct snapshot *volatile current[LAYERS];
static struct visit *running;      /* newest first */
static uint64_t last_serial;       /* of visits */
static volatile int ended;         /* visits, so far */
static volatile int waiters;       /* who want to hear of ends */
static const struct snapshot none; /* of layers without filters */

void filter_release(struct filter *filter)
{
    if (--filter->references == 0) {
        lab_free(filter);
    }
}

static void snapshot_release(struct snapshot *snapshot)
{
    if (!snapshot || --snapshot->references > 0) {
        return;
    }
    for (uint32_t i = 0; i < snapshot->count; i++) {
        filter_release(snapshot->filters[i]);
    }
    lab_free(snapshot);
}

static bool snapshot_make(enum layer layer)
{
    struct snapshot *snapshot = NULL, *old = current[layer];
    uint32_t count = 0;

    for (struct filter *filter = live[layer]; filter; filter = filter->next) {
        count++;
    }
    if (count > 0) {
        snapshot = lab_allocate(sizeof(*snapshot) + count * sizeof(struct filter *));
        if (!snapshot) {
            return false;
        }
        snapshot->references = 1;
        for (struct filter *filter = live[layer]; filter; filter = filter->next) {
            filter->references++;
            snapshot->filters[snapshot->count++] = filter;
        }
    }
    current[layer] = snapshot;
    snapshot_release(old);
    return true;
}

static bool goes_before(const struct filter *filter, const struct filter *other)
{
    if (filter->sublayer != other->sublayer && filter->sublayer_weight != other->sublayer_weight) {
        return filter->sublayer_weight > other->sublayer_weight;
    }
    if (filter->sublayer != other->sublayer) {
        return false;
    }
    return filter->weight > other->weight;
}

bool layer_add(struct filter *filter)
{
    struct filter **at = &live[filter->layer];

    while (*at && !goes_before(filter, *at)) {
        at = &(*at)->next;
    }
    filter->next = *at;
    *at = filter;
    filter->references++;
    if (snapshot_make(filter->layer)) {
        return true;
    }
    *at = filter->next;
    filter->references--;
    return false;
}

void layer_remove(struct filter *filter)
{
    struct filter **at = &live[filter->layer];

    while (*at != filter) {
        at = &(*at)->next;
    }
    *at = filter->next;
    filter->deleted = true;
    snapshot_make(filter->layer); /* without memory the old one stays, where the mark says enough */
    filter_release(filter);
}

void layer_callout_changed(struct callout *callout, bool registered)
{
    for (int layer = 0; layer < LAYERS; layer++) {
        for (struct filter *filter = live[layer]; filter; filter = filter->next) {
            if (!guid_equal(&filter->callout_key, &callout->given.calloutKey)) {
                continue;
            }
            filter->callout = registered ? callout : NULL;
            filter->given.action.calloutId = callout->id;
        }
    }
}

bool layer_is_watched(enum layer layer)
{
    return current[layer] != NULL;
}

uint32_t snapshot_count(const struct snapshot *snapshot)
{
    return snapshot->count;
}

struct filter *snapshot_filter(const struct snapshot *snapshot, uint32_t index)
{
    return snapshot->filters[index];
}

static void *this_thread(void)
{
    void *teb;

    __asm__("movq %%gs:0x30, %0" : "=r"(teb));
    return teb;
}

void visit_enter(struct visit *visit, enum layer layer)
{
    memset(visit, 0, sizeof(*visit));
    visit->thread = this_thread();
    mutex_lock(&fwp_lock);
    visit->snapshot = layer < LAYERS && current[layer] ? current[layer] : (struct snapshot *)&none;
    if (visit->snapshot != &none) {
        visit->snapshot->references++;
    }
    visit->serial = ++last_serial;
    visit->next = running;
    if (running) {
        running->previous = visit;
    }
    running = visit;
    mutex_unlock(&fwp_lock);
}

void visit_leave(struct visit *visit)
{
    bool wake;

    mutex_lock(&fwp_lock);
    if (visit->previous) {
        visit->previous->next = visit->next;
    } else {
        running = visit->next;
    }
    if (visit->next) {
        visit->next->previous = visit->previous;
    }
    if (visit->snapshot != &none) {
        snapshot_release(visit->snapshot);
    }
    ended++;
    wake = waiters > 0;
    mutex_unlock(&fwp_lock);
    if (wake) {
        futex_wake(&ended, 1 << 30);
    }
}

struct visit *visit_of_thread(void)
{
    void *thread = this_thread();
    struct visit *visit;

    if (!__atomic_load_n(&running, __ATOMIC_RELAXED)) { /* own visits a thread sees without a lock */
        return NULL;
    }
    mutex_lock(&fwp_lock);
    for (visit = running; visit && visit->thread != thread; visit = visit->next) {
        ;
    }
    mutex_unlock(&fwp_lock);
    return visit;
}

static bool others_running(const void *thread, uint64_t before)
{
    for (const struct visit *visit = running; visit; visit = visit->next) {
        if (visit->thread != thread && !visit->waiting && visit->serial < before) {
            return true;
        }
    }
    return false;
}

static void mark_waiting(const void *thread, bool waiting)
{
    for (struct visit *visit = running; visit; visit = visit->next) {
        if (visit->thread == thread) {
            visit->waiting = waiting;
        }
    }
}

void visits_wait(void)
{
    void *thread = this_thread();
    uint64_t before;
    int seen;

    mutex_lock(&fwp_lock);
    before = last_serial + 1;
    waiters++;
    mark_waiting(thread, true);
    while (others_running(thread, before)) {
        seen = ended;
        mutex_unlock(&fwp_lock);
        futex_wait(&ended, seen, 100); /* a thread may begin to wait itself, of which nobody tells */
        mutex_lock(&fwp_lock);
    }
    mark_waiting(thread, false);
    waiters--;
    mutex_unlock(&fwp_lock);
}
