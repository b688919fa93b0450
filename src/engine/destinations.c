/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a sequence lock per port. `version` counts up by 4 with each publication; bit 0 says "live",
 * bit 1 "being written". The writer sets bit 1, writes the words, then publishes the next version. A reader takes the
 * version, copies the words, and accepts them if the version is still the same. The words themselves are relaxed
 * atomics: a torn copy is possible and is thrown away, but it is no data race.
 */
#include "destinations.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { LIVE = 1, WRITING = 2, STEP = 4 };

struct entry {
    _Atomic uint64_t version;
    _Atomic uint64_t peer[2], address[2], decision_id;
    _Atomic uint32_t family_and_port, scope, pid, upstream;
};

struct destinations {
    struct entry entries[PORT_COUNT];
};

struct destinations *destinations_new(void)
{
    return calloc(1, sizeof(struct destinations));
}

void destinations_free(struct destinations *d)
{
    free(d);
}

static void store(struct entry *e, const struct destination *v)
{
    for (int i = 0; i < 2; i++) {
        atomic_store_explicit(&e->peer[i], v->peer.words[i], memory_order_relaxed);
        atomic_store_explicit(&e->address[i], v->address.words[i], memory_order_relaxed);
    }
    uint32_t packed = v->family << 17 | (uint32_t)v->incoming << 16 | v->port;
    atomic_store_explicit(&e->family_and_port, packed, memory_order_relaxed);
    atomic_store_explicit(&e->scope, v->scope, memory_order_relaxed);
    atomic_store_explicit(&e->pid, v->pid, memory_order_relaxed);
    atomic_store_explicit(&e->upstream, v->upstream, memory_order_relaxed);
    atomic_store_explicit(&e->decision_id, v->decision_id, memory_order_relaxed);
}

static void load(const struct entry *e, struct destination *v)
{
    for (int i = 0; i < 2; i++) {
        v->peer.words[i] = atomic_load_explicit(&e->peer[i], memory_order_relaxed);
        v->address.words[i] = atomic_load_explicit(&e->address[i], memory_order_relaxed);
    }
    uint32_t packed = atomic_load_explicit(&e->family_and_port, memory_order_relaxed);
    v->family = packed >> 17;
    v->incoming = packed >> 16 & 1;
    v->port = (uint16_t)packed;
    v->scope = atomic_load_explicit(&e->scope, memory_order_relaxed);
    v->pid = atomic_load_explicit(&e->pid, memory_order_relaxed);
    v->upstream = atomic_load_explicit(&e->upstream, memory_order_relaxed);
    v->decision_id = atomic_load_explicit(&e->decision_id, memory_order_relaxed);
}

void destinations_publish(struct destinations *d, uint16_t port, const struct destination *value)
{
    struct entry *e = &d->entries[port];
    /*
     * From here on no deleter can succeed (it expects LIVE without WRITING), so that the plain stores below are safe.
     */
    uint64_t version = atomic_fetch_or_explicit(&e->version, WRITING, memory_order_acq_rel) & ~(uint64_t)(STEP - 1);
    atomic_thread_fence(memory_order_release);
    store(e, value);
    atomic_store_explicit(&e->version, (version + STEP) | LIVE, memory_order_release);
}

void destinations_withdraw(struct destinations *d, uint16_t port)
{
    atomic_fetch_and_explicit(&d->entries[port].version, ~(uint64_t)LIVE, memory_order_acq_rel);
}

/* Copies a live entry and says which version it was; 0: there is none. */
static uint64_t read_live(const struct entry *e, struct destination *out)
{
    for (;;) {
        uint64_t before = atomic_load_explicit(&e->version, memory_order_acquire);
        if ((before & (LIVE | WRITING)) == LIVE) {
            load(e, out);
            atomic_thread_fence(memory_order_acquire);
            if (atomic_load_explicit(&e->version, memory_order_relaxed) == before) {
                return before;
            }
        } else if (!(before & WRITING)) {
            return 0;
        }
        /* The writer was at work on this very port; it is done in nanoseconds. */
    }
}

bool destinations_find(const struct destinations *d, uint16_t port, struct destination *out)
{
    return read_live(&d->entries[port], out) != 0;
}

bool destinations_delete(struct destinations *d, uint16_t port,
                         bool (*match)(const struct destination *value, const void *context), const void *context)
{
    struct entry *e = &d->entries[port];
    struct destination value;
    uint64_t version = read_live(e, &value);
    if (!version || (match && !match(&value, context))) {
        return false;
    }
    return atomic_compare_exchange_strong_explicit(&e->version, &version, version & ~(uint64_t)LIVE,
                                                   memory_order_acq_rel, memory_order_relaxed);
}
