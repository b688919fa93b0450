/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: chained buckets, the links kept as indexes beside the keys. There are as many buckets as
 * numbers (rounded up to a power of two), so a chain holds about one key. A head has a bit for each mark (three
 * bits of the hash) that a key of its chain has: a miss mostly ends there, however full the map is.
 */
#include "tuple_map.h"

#include <stddef.h>
#include <stdlib.h>

static uint64_t hash_of(const struct tuple_map *map, const struct tuple *key)
{
    uint8_t ip4[8];
    memcpy(ip4, key->src.bytes + 12, 4);
    memcpy(ip4 + 4, key->dst.bytes + 12, 4);
    const uint8_t *ports = (const uint8_t *)&key->src_port;
    return tuple_map_hash(map, key->family, key->family == FAMILY_IP6 ? key->src.bytes : ip4, ports);
}
static_assert(offsetof(struct tuple, dst) == 16 && offsetof(struct tuple, dst_port) == 34, "hashed as they lie");

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
    assert(capacity <= TUPLE_MAP_CAPACITY_MAX);
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
    uint64_t hash = hash_of(map, key);
    if (!tuple_map_may_have(map, hash)) {
        return TUPLE_MAP_NONE;
    }
    uint32_t link = map->heads[hash >> map->shift] >> TUPLE_MAP_MARKS;
    while (link && !tuple_equal(&map->keys[link - 1], key)) {
        link = map->next[link - 1];
    }
    return link - 1; /* 0 - 1 is TUPLE_MAP_NONE */
}

/* Tuples of IPv4 have no scope. */
static bool is_raw(const struct tuple *key, uint32_t family, const uint8_t *addresses, const uint8_t *ports,
                   uint32_t scope)
{
    if (key->family != family || memcmp(&key->src_port, ports, 4) != 0) {
        return false;
    }
    return family == FAMILY_IP4
               ? !memcmp(key->src.bytes + 12, addresses, 4) && !memcmp(key->dst.bytes + 12, addresses + 4, 4)
               : key->scope == scope && !memcmp(key->src.bytes, addresses, 16) &&
                     !memcmp(key->dst.bytes, addresses + 16, 16);
}

uint32_t tuple_map_find_raw(const struct tuple_map *map, uint64_t hash, uint32_t family, const uint8_t *addresses,
                            const uint8_t *ports, uint32_t scope)
{
    uint32_t link = map->heads[hash >> map->shift] >> TUPLE_MAP_MARKS;
    while (link && !is_raw(&map->keys[link - 1], family, addresses, ports, scope)) {
        link = map->next[link - 1];
    }
    return link - 1;
}

static void set_head(uint32_t *head, uint32_t link, uint32_t marks)
{
    *head = link << TUPLE_MAP_MARKS | marks;
}

void tuple_map_insert(struct tuple_map *map, uint32_t number, const struct tuple *key)
{
    uint64_t hash = hash_of(map, key);
    uint32_t *head = &map->heads[hash >> map->shift];
    map->keys[number] = *key;
    map->next[number] = *head >> TUPLE_MAP_MARKS;
    set_head(head, number + 1, (*head & ((1u << TUPLE_MAP_MARKS) - 1)) | 1u << tuple_map_mark(hash));
}

void tuple_map_remove(struct tuple_map *map, uint32_t number)
{
    uint32_t *head = &map->heads[hash_of(map, &map->keys[number]) >> map->shift];
    uint32_t first = *head >> TUPLE_MAP_MARKS, marks = 0, *link = &first;
    while (*link != number + 1) {
        assert(*link); /* the number is in the map */
        link = &map->next[*link - 1];
    }
    *link = map->next[number];
    for (uint32_t left = first; left; left = map->next[left - 1]) {
        marks |= 1u << tuple_map_mark(hash_of(map, &map->keys[left - 1]));
    }
    set_head(head, first, marks);
}
