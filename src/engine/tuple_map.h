/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file tuple_map.h
 * A bounded hash map from 4-tuples to small numbers. The caller owns the numbers (they index an array of its own); the
 * map keeps the keys. All memory is taken at creation; finding, inserting and removing allocate nothing and cost the
 * same however many keys there are.
 */
#ifndef ENGINE_TUPLE_MAP_H
#define ENGINE_TUPLE_MAP_H

#include "types.h"

#define TUPLE_MAP_NONE UINT32_MAX

enum { TUPLE_WORDS = 5 };

struct tuple_map {
    struct tuple *keys; /* by number */
    uint32_t *next;     /* by number: next in the same bucket, plus 1; 0 ends */
    uint32_t *heads;    /* by bucket: first number plus 1; 0 is empty, so that fresh zero pages stay untouched */
    uint64_t factors[TUPLE_WORDS]; /* unknown to the network, so that nobody can aim at one bucket */
    uint32_t shift;
};

/** For the numbers 0..capacity-1. false: no memory. */
bool tuple_map_init(struct tuple_map *map, uint32_t capacity, uint64_t seed);
void tuple_map_free(struct tuple_map *map);

/** Number of the key, or TUPLE_MAP_NONE. */
uint32_t tuple_map_find(const struct tuple_map *map, const struct tuple *key);

/** The key must not be in the map, nor the number in use. */
void tuple_map_insert(struct tuple_map *map, uint32_t number, const struct tuple *key);
void tuple_map_remove(struct tuple_map *map, uint32_t number);

#endif
