/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The map from 4-tuples to numbers, against a plain array that is searched from end to end. */
#include "packets.h"

#include "engine/tuple_map.h"

enum { CAPACITY = 64 };

/*
 * Few enough different tuples that inserting, finding and missing all happen; all differ from each other in one
 * field.
 */
static struct tuple nth_tuple(uint32_t n)
{
    struct tuple t =
        n & 1 ? tuple_of("2001:db8::1", 1000, "2001:db8::2", 80) : tuple_of("10.0.0.1", 1000, "10.0.0.2", 80);
    t.src.bytes[15] = (uint8_t)(t.src.bytes[15] ^ (n >> 1 & 3) << 6);
    t.dst.bytes[15] = (uint8_t)(t.dst.bytes[15] ^ (n >> 3 & 3) << 6);
    t.src_port = be16_from_host((uint16_t)(1000 + (n >> 5 & 3)));
    t.dst_port = be16_from_host((uint16_t)(80 + (n >> 7 & 1)));
    return t;
}

enum { TUPLES = 256 };

static void behaves_like_a_plain_array(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct rng r = {.state = 0x5eed0010 + seed};
        struct tuple_map map;
        uint32_t number_of[TUPLES], used[CAPACITY] = {0};
        memset(number_of, 0xff, sizeof number_of);
        assert_true(tuple_map_init(&map, CAPACITY, seed * 0x9e3779b97f4a7c15));
        for (int step = 0; step < 3000; step++) {
            uint32_t n = rng_below(&r, TUPLES), number = rng_below(&r, CAPACITY);
            struct tuple t = nth_tuple(n);
            assert_int_equal(tuple_map_find(&map, &t), number_of[n]);
            if (number_of[n] != TUPLE_MAP_NONE) {
                tuple_map_remove(&map, number_of[n]);
                used[number_of[n]] = 0;
                number_of[n] = TUPLE_MAP_NONE;
            } else if (!used[number]) {
                tuple_map_insert(&map, number, &t);
                used[number] = 1;
                number_of[n] = number;
            }
        }
        for (uint32_t n = 0; n < TUPLES; n++) {
            struct tuple t = nth_tuple(n);
            assert_int_equal(tuple_map_find(&map, &t), number_of[n]);
        }
        tuple_map_free(&map);
    }
}

static void every_field_counts(void **state)
{
    (void)state;
    struct tuple_map map;
    struct tuple t = tuple_of("10.0.0.1", 1000, "10.0.0.2", 80), reversed = tuple_reversed(&t);
    assert_true(tuple_map_init(&map, 4, 1));
    tuple_map_insert(&map, 2, &t);
    assert_int_equal(tuple_map_find(&map, &t), 2);
    assert_int_equal(tuple_map_find(&map, &reversed), TUPLE_MAP_NONE);
    for (size_t i = 0; i < offsetof(struct tuple, scope) + sizeof t.scope; i++) { /* padding follows */
        for (uint32_t change = 1; change < 256; change++) { /* many, so that some fall into the same bucket */
            struct tuple other = t;
            ((uint8_t *)&other)[i] ^= (uint8_t)change;
            assert_int_equal(tuple_map_find(&map, &other), TUPLE_MAP_NONE);
        }
    }
    tuple_map_free(&map);
}

static void it_can_be_full_and_the_last_number_is_as_good_as_the_first(void **state)
{
    (void)state;
    struct tuple_map map;
    assert_true(tuple_map_init(&map, TUPLES, 0));
    for (uint32_t n = 0; n < TUPLES; n++) {
        struct tuple t = nth_tuple(n);
        tuple_map_insert(&map, n, &t);
    }
    for (uint32_t n = 0; n < TUPLES; n++) {
        struct tuple t = nth_tuple(n);
        assert_int_equal(tuple_map_find(&map, &t), n);
    }
    for (uint32_t n = 0; n < TUPLES; n++) {
        tuple_map_remove(&map, n);
        struct tuple t = nth_tuple(n);
        assert_int_equal(tuple_map_find(&map, &t), TUPLE_MAP_NONE);
    }
    tuple_map_free(&map);
}

/* Longest chain that a set of tuples makes. */
static uint32_t longest_chain(const struct tuple_map *map)
{
    uint32_t longest = 0;
    for (uint32_t bucket = 0; bucket < 1u << (64 - map->shift); bucket++) {
        uint32_t length = 0;
        for (uint32_t link = map->heads[bucket] >> TUPLE_MAP_MARKS; link; link = map->next[link - 1]) {
            length++;
        }
        longest = length > longest ? length : longest;
    }
    return longest;
}

/* Tuples as one program makes them, and as a scanner does: only one thing counts up, in either byte order. */
static struct tuple similar_tuple(int kind, uint32_t n)
{
    struct tuple t =
        tuple_of(kind < 4 ? "10.0.0.1" : "2001:db8::1", 40000, kind < 4 ? "10.0.0.2" : "2001:db8::2", 8080);
    uint8_t *address = kind % 4 == 2 ? t.dst.bytes : t.src.bytes;
    switch (kind % 4) {
    case 0:
        t.src_port = be16_from_host((uint16_t)(n + 1024));
        break;
    case 1:
        t.dst_port = be16_from_host((uint16_t)(n + 1024));
        break;
    default:
        address[13] = (uint8_t)(n >> 8);
        address[kind < 4 ? 15 : 7] = (uint8_t)n;
        break;
    }
    return t;
}

static void similar_tuples_spread_whatever_the_seed(void **state)
{
    (void)state;
    enum { MANY = 16384 };
    for (uint64_t seed = 0; seed < 24; seed++) {
        for (int kind = 0; kind < 8; kind++) {
            struct tuple_map map;
            assert_true(tuple_map_init(&map, MANY, seed));
            for (uint32_t n = 0; n < MANY; n++) {
                struct tuple t = similar_tuple(kind, n);
                tuple_map_insert(&map, n, &t);
            }
            assert_in_range(longest_chain(&map), 1, 24);
            tuple_map_free(&map);
        }
    }
}

static uint64_t hash_of_packet(const struct tuple_map *map, const struct tuple *t)
{
    uint8_t addresses[32];
    uint32_t size = t->family == FAMILY_IP4 ? 4 : 16;
    memcpy(addresses, t->src.bytes + 16 - size, size);
    memcpy(addresses + size, t->dst.bytes + 16 - size, size);
    return tuple_map_hash(map, t->family, addresses, (const uint8_t *)&t->src_port);
}

/* As packets are asked for: a full map turns most strangers away by their mark, and nobody who is in it. */
static void marks_turn_most_strangers_away(void **state)
{
    (void)state;
    enum { MANY = 16384 };
    uint32_t asked = 0;
    for (int kind = 0; kind < 8; kind++) {
        struct tuple_map map;
        assert_true(tuple_map_init(&map, MANY, 7));
        for (uint32_t n = 0; n < MANY; n++) {
            struct tuple t = similar_tuple(kind, n);
            tuple_map_insert(&map, n, &t);
        }
        for (uint32_t n = 0; n < MANY; n++) {
            struct tuple t = similar_tuple(kind, n);
            assert_true(tuple_map_may_have(&map, hash_of_packet(&map, &t)));
            t.dst.bytes[12] ^= 0x40;
            asked += tuple_map_may_have(&map, hash_of_packet(&map, &t));
        }
        for (uint32_t n = 0; n < MANY; n++) { /* and what was removed leaves no mark */
            tuple_map_remove(&map, n);
        }
        for (uint32_t bucket = 0; bucket < 1u << (64 - map.shift); bucket++) {
            assert_int_equal(map.heads[bucket], 0);
        }
        tuple_map_free(&map);
    }
    assert_in_range(asked, 0, 8 * MANY / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_a_plain_array),
        cmocka_unit_test(every_field_counts),
        cmocka_unit_test(it_can_be_full_and_the_last_number_is_as_good_as_the_first),
        cmocka_unit_test(similar_tuples_spread_whatever_the_seed),
        cmocka_unit_test(marks_turn_most_strangers_away),
    };
    return cmocka_run_group_tests_name("tuple_map", tests, NULL, NULL);
}
