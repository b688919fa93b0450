/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file tuple_map.h
 * A bounded hash map from 4-tuples to small numbers. The caller owns the numbers (they index an array of its own); the
 * map keeps the keys. All memory is taken at creation; finding, inserting and removing allocate nothing and cost the
 * same however many keys there are.
 */
#ifndef ENGINE_TUPLE_MAP_H
#define ENGINE_TUPLE_MAP_H

#include "packet.h"

#define TUPLE_MAP_NONE UINT32_MAX

enum { TUPLE_WORDS = 5 };

struct tuple_map {
    struct tuple *keys; /* by number */
    uint32_t *next;     /* by number: next in the same bucket, plus 1; 0 ends */
    uint32_t *heads;    /* by bucket: first number plus 1, and below it a bit for each mark that is in the bucket; 0 is
                           empty, so that fresh zero pages stay untouched */
    uint64_t factors[TUPLE_WORDS]; /* unknown to the network, so that nobody can aim at one bucket */
    uint32_t shift;
};

enum { TUPLE_MAP_MARKS = 8, TUPLE_MAP_MARK_AT = 32, TUPLE_MAP_CAPACITY_MAX = (1 << (32 - TUPLE_MAP_MARKS)) - 1 };

/**
 * A sum of products with random odd factors, of which the upper bits are taken: a universal family, so that without
 * knowing the factors nobody can choose tuples that share a bucket; and a few multiplications are less than most hashes
 * do. The scope is left out: it is mostly 0, and tuples that differ in it alone are few. `addresses`: source, then
 * destination, 4 or 16 bytes each; `ports`: source and destination, as in a packet.
 */
static inline uint64_t tuple_map_hash(const struct tuple_map *map, uint32_t family, const uint8_t *addresses,
                                      const uint8_t *ports)
{
    uint64_t both_ports = load_raw32(ports);
    /* big-endian: low-order bytes, which differ most, are multiplied by all of a factor */
    uint64_t sum = load_be64(addresses) * map->factors[0] + both_ports * map->factors[4];
    if (family == FAMILY_IP6) {
        sum += load_be64(addresses + 8) * map->factors[1] + load_be64(addresses + 16) * map->factors[2] +
               load_be64(addresses + 24) * map->factors[3];
    }
    return sum;
}

/** Three bits of the hash, other ones than those that choose the bucket, are a mark. */
static inline uint32_t tuple_map_mark(uint64_t hash)
{
    return hash >> TUPLE_MAP_MARK_AT & (TUPLE_MAP_MARKS - 1);
}

/** Whether a tuple with this hash may be in the map: false for most that are not. */
static inline bool tuple_map_may_have(const struct tuple_map *map, uint64_t hash)
{
    return map->heads[hash >> map->shift] >> tuple_map_mark(hash) & 1;
}

/** For the numbers 0..capacity-1; capacity is at most TUPLE_MAP_CAPACITY_MAX. false: no memory. */
bool tuple_map_init(struct tuple_map *map, uint32_t capacity, uint64_t seed);
void tuple_map_free(struct tuple_map *map);

/** Number of the key, or TUPLE_MAP_NONE. */
uint32_t tuple_map_find(const struct tuple_map *map, const struct tuple *key);

/** The same, of a segment with this hash as it lies in memory; best after tuple_map_may_have(). */
uint32_t tuple_map_find_raw(const struct tuple_map *map, uint64_t hash, uint32_t family, const uint8_t *addresses,
                            const uint8_t *ports, uint32_t scope);

/** The key must not be in the map, nor the number in use. */
void tuple_map_insert(struct tuple_map *map, uint32_t number, const struct tuple *key);
void tuple_map_remove(struct tuple_map *map, uint32_t number);

#endif
