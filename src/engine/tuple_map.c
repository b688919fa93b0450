/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: chained buckets, the links kept as indexes beside the keys. There are as many buckets as
 * numbers (rounded up to a power of two), so a chain holds about one key, and a miss mostly ends at an empty head.
 */
#include "tuple_map.h"

#include <stdlib.h>

__extension__ typedef unsigned __int128 uint128;

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint128 product = (uint128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t bucket_of(const struct tuple_map *map, const struct tuple *key)
{
    uint64_t w[5];
    memcpy(w, key, sizeof w);
    uint64_t h = mix(w[0] ^ map->seed, w[2] ^ 0x9e3779b97f4a7c15);
    h = mix(h ^ w[1], w[3] ^ 0xbf58476d1ce4e5b9);
    h = mix(h ^ w[4], 0x94d049bb133111eb ^ map->seed);
    return (uint32_t)h & map->mask;
}

bool tuple_map_init(struct tuple_map *map, uint32_t capacity, uint64_t seed)
{
    uint32_t buckets = 16;
    while (buckets < capacity) {
        buckets *= 2;
    }
    map->keys = calloc(capacity, sizeof *map->keys);
    map->next = calloc(capacity, sizeof *map->next);
    map->heads = calloc(buckets, sizeof *map->heads);
    map->mask = buckets - 1;
    map->seed = seed;
    if (!map->keys || !map->next || !map->heads) {
        tuple_map_free(map);
        return false;
    }
    return true;
}

void tuple_map_free(struct tuple_map *map)
{
    free(map->keys);
    free(map->next);
    free(map->heads);
    *map = (struct tuple_map){0};
}

uint32_t tuple_map_find(const struct tuple_map *map, const struct tuple *key)
{
    uint32_t link = map->heads[bucket_of(map, key)];
    while (link && !tuple_equal(&map->keys[link - 1], key)) {
        link = map->next[link - 1];
    }
    return link - 1; /* 0 - 1 is TUPLE_MAP_NONE */
}

void tuple_map_insert(struct tuple_map *map, uint32_t number, const struct tuple *key)
{
    uint32_t *head = &map->heads[bucket_of(map, key)];
    map->keys[number] = *key;
    map->next[number] = *head;
    *head = number + 1;
}

void tuple_map_remove(struct tuple_map *map, uint32_t number)
{
    uint32_t *link = &map->heads[bucket_of(map, &map->keys[number])];
    while (*link != number + 1) {
        assert(*link); /* the number is in the map */
        link = &map->next[*link - 1];
    }
    *link = map->next[number];
}
