/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: chained buckets, the links kept as indexes beside the keys. There are as many buckets as
 * numbers (rounded up to a power of two), so a chain holds about one key, and a miss mostly ends at an empty head.
 */
#include "tuple_map.h"

#include <stdlib.h>

/*
 * A sum of products with random odd factors, of which the upper bits are taken: a universal family, so that without
 * knowing the factors nobody can choose tuples that share a bucket; and five multiplications are less than most hashes
 * do. The scope is left out: it is mostly 0, and tuples that differ in it alone are few.
 */
static uint32_t bucket_of(const struct tuple_map *map, const struct tuple *key)
{
    const uint64_t *factor = map->factors;
    uint64_t sum = key->src.words[0] * factor[0] + key->src.words[1] * factor[1] + key->dst.words[0] * factor[2] +
                   key->dst.words[1] * factor[3] + tuple_ends(key) * factor[4];
    return (uint32_t)(sum >> map->shift);
}

/* SplitMix64: one seed becomes as many factors as are needed. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

bool tuple_map_init(struct tuple_map *map, uint32_t capacity, uint64_t seed)
{
    uint32_t buckets = 16;
    map->shift = 60;
    while (buckets < capacity) {
        buckets *= 2;
        map->shift--;
    }
    for (int i = 0; i < TUPLE_WORDS; i++) {
        map->factors[i] = next_random(&seed) | 1;
    }
    map->keys = calloc(capacity, sizeof *map->keys);
    map->next = calloc(capacity, sizeof *map->next);
    map->heads = calloc(buckets, sizeof *map->heads);
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
