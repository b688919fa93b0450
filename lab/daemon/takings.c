/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a ring in order of taking. A queue gives its packets in that order, so the one
 * that is received next is the first of its key behind the last one that was received; those passed over
 * have been lost in the queue. But whoever takes may tell a moment later than another thread does, so
 * those passed over are looked at second, and forgotten only when LINGER younger ones have been joined.
 */
#include "takings.h"

#include <stdlib.h>

enum { CAPACITY_FIRST = 256, CAPACITY_MAX = 1 << 16, LINGER = 1024 };

struct taking {
    uint64_t key, order;
    bool joined;
};

static struct taking *taking_at(const struct takings *takings, uint32_t index)
{
    return &takings->ring[(takings->first + index) % takings->capacity];
}

static void drop_first(struct takings *takings)
{
    takings->first = (takings->first + 1) % takings->capacity;
    takings->count--;
    if (takings->reached) {
        takings->reached--;
    }
}

static bool grow(struct takings *takings)
{
    uint32_t capacity = takings->capacity ? 2 * takings->capacity : CAPACITY_FIRST;
    struct taking *ring;

    if (capacity > CAPACITY_MAX || (ring = malloc(capacity * sizeof(*ring))) == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < takings->count; i++) {
        ring[i] = *taking_at(takings, i);
    }
    free(takings->ring);
    takings->ring = ring;
    takings->capacity = capacity;
    takings->first = 0;
    return true;
}

void takings_add(struct takings *takings, uint64_t key, uint64_t order)
{
    if (takings->count == takings->capacity && !grow(takings)) {
        if (!takings->capacity) {
            return;
        }
        drop_first(takings);
    }
    *taking_at(takings, takings->count++) = (struct taking){.key = key, .order = order};
}

static bool join_at(struct takings *takings, uint32_t index, uint64_t key, uint64_t *order)
{
    struct taking *taking = taking_at(takings, index);

    if (taking->joined || taking->key != key) {
        return false;
    }
    taking->joined = true;
    *order = taking->order;
    if (index >= takings->reached) {
        takings->reached = index + 1;
    }
    while (takings->count && (taking_at(takings, 0)->joined || takings->reached > LINGER)) {
        drop_first(takings);
    }
    return true;
}

bool takings_join(struct takings *takings, uint64_t key, uint64_t *order)
{
    for (uint32_t i = takings->reached; i < takings->count; i++) {
        if (join_at(takings, i, key, order)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < takings->reached; i++) {
        if (join_at(takings, i, key, order)) {
            return true;
        }
    }
    return false;
}

void takings_free(struct takings *takings)
{
    free(takings->ring);
    *takings = (struct takings){0};
}
