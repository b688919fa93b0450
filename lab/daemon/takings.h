/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a handle has diverted and user mode has not received yet, in order: the place in the order of
 * capture of each packet, by the packet's key. Pure.
 */
#ifndef LAB_TAKINGS_H
#define LAB_TAKINGS_H

#include <stdbool.h>
#include <stdint.h>

struct takings {
    struct taking *ring; /* NULL: none yet */
    uint32_t first, count, capacity;
    uint32_t reached; /* how many of the first ones are older than the last one joined */
};

/* Without memory, or beyond the limit, the oldest are forgotten. */
void takings_add(struct takings *takings, uint64_t key, uint64_t order);

/* Takes one with this key out. False: there is none. */
bool takings_join(struct takings *takings, uint64_t key, uint64_t *order);

void takings_free(struct takings *takings);

#endif
