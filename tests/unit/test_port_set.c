/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sets of ports, and how they become few ranges. */
#include "engine/port_set.h"

#include "packets.h"
#include "port_ranges.h"

static void add_range(struct port_set *s, uint32_t first, uint32_t last)
{
    for (uint32_t port = first; port <= last; port++) {
        port_set_add(s, (uint16_t)port);
    }
}

static void ranges_are_found_at_every_edge(void **state)
{
    (void)state;
    static const struct port_range ranges[] = {{0, 0}, {2, 63}, {65, 128}, {200, 4095}, {4097, 4097}, {65535, 65535}};
    struct port_set s = {{0}};
    struct port_range found;
    assert_false(port_set_next_range(&s, 0, &found));
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        add_range(&s, ranges[i].first, ranges[i].last);
    }
    uint32_t from = 0;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        assert_true(port_set_next_range(&s, from, &found));
        assert_int_equal(found.first, ranges[i].first);
        assert_int_equal(found.last, ranges[i].last);
        from = found.last + 1u;
    }
    assert_false(port_set_next_range(&s, from, &found));
}

static void the_whole_set_is_one_range(void **state)
{
    (void)state;
    struct port_set s;
    struct port_range r;
    port_set_fill(&s);
    assert_true(port_set_next_range(&s, 0, &r));
    assert_int_equal(r.first, 0);
    assert_int_equal(r.last, 65535);
    port_set_remove(&s, 40000);
    assert_int_equal(count_ranges(&s), 2);
    assert_false(port_set_has(&s, 40000));
}

static void ranges_without_need_are_removed_smallest_first(void **state)
{
    (void)state;
    struct port_set s = {{0}}, needed = {{0}};
    add_range(&s, 100, 100);
    add_range(&s, 200, 209);
    add_range(&s, 300, 300);
    add_range(&s, 1000, 65535);
    port_set_add(&needed, 300);
    port_set_thin(&s, &needed, 4);
    assert_int_equal(count_ranges(&s), 4); /* few enough: unchanged */
    port_set_thin(&s, &needed, 3);
    assert_int_equal(count_ranges(&s), 3);
    assert_false(port_set_has(&s, 100));
    assert_true(port_set_has(&s, 209));
    port_set_thin(&s, &needed, 2);
    assert_false(port_set_has(&s, 200));
    assert_true(port_set_has(&s, 65535));
    port_set_add(&needed, 2000);
    port_set_thin(&s, &needed, 1);
    assert_int_equal(count_ranges(&s), 2); /* both are needed */
}

static void what_is_left_out_is_not_needed(void **state)
{
    (void)state;
    struct port_set s = {{0}}, out = {{0}}, needed = {{0}};
    add_range(&s, 60, 70);
    add_range(&out, 0, 64);
    port_set_add(&needed, 63);
    assert_true(port_set_leave_out(&s, &out, &needed));
    assert_false(port_set_leave_out(&s, &out, &needed));
    assert_int_equal(count_ranges(&s), 2);
    assert_true(port_set_has(&s, 63));
    assert_true(port_set_has(&s, 65));
    assert_false(port_set_has(&s, 64));
    assert_int_equal(port_set_keep(&s, &out), 1);
    assert_true(port_set_has(&s, 63));
}

static void the_smallest_gaps_are_filled_first(void **state)
{
    (void)state;
    struct port_set s = {{0}};
    add_range(&s, 100, 110);
    add_range(&s, 112, 120); /* 1 missing */
    add_range(&s, 200, 210); /* 79 missing */
    add_range(&s, 50000, 50010);
    port_set_coarsen(&s, 4);
    assert_int_equal(count_ranges(&s), 4); /* few enough: unchanged */
    assert_false(port_set_has(&s, 111));
    port_set_coarsen(&s, 3);
    assert_int_equal(count_ranges(&s), 3);
    assert_true(port_set_has(&s, 111));
    assert_false(port_set_has(&s, 150));
    port_set_coarsen(&s, 2);
    assert_true(port_set_has(&s, 150));
    assert_false(port_set_has(&s, 30000));
    port_set_coarsen(&s, 1);
    assert_int_equal(count_ranges(&s), 1);
    assert_false(port_set_has(&s, 99));
    assert_false(port_set_has(&s, 50011));
}

static void a_coarse_set_contains_what_was_in_it(void **state)
{
    (void)state;
    struct rng r = rng_seeded(0x5eed0101);
    for (int round = 0; round < 200; round++) {
        static struct port_set s, coarse;
        memset(&s, 0, sizeof s);
        for (uint32_t i = 0, n = 1 + rng_below(&r, 3000); i < n; i++) {
            port_set_add(&s, (uint16_t)rng_below(&r, 65536));
        }
        coarse = s;
        uint32_t most = 1 + rng_below(&r, 60);
        port_set_coarsen(&coarse, most);
        assert_in_range(count_ranges(&coarse), 1, most);
        for (uint32_t i = 0; i < PORT_SET_WORDS; i++) {
            assert_int_equal(s.words[i] & ~coarse.words[i], 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_found_at_every_edge),
        cmocka_unit_test(the_whole_set_is_one_range),
        cmocka_unit_test(ranges_without_need_are_removed_smallest_first),
        cmocka_unit_test(what_is_left_out_is_not_needed),
        cmocka_unit_test(the_smallest_gaps_are_filled_first),
        cmocka_unit_test(a_coarse_set_contains_what_was_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
