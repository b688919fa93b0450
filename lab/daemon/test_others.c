/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Unit tests of wants_others: which filters leave all but TCP in the kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "wants_others.h"

/* Numbers of the filter language. */
enum { ZERO = 0, OUTBOUND = 2, ICMP = 7, TCP = 8, UDP = 9, TCP_DST_PORT = 39, REMOTE_PORT = 64, TCP_PAYLOAD8 = 74 };
enum { EQ, NEQ, LT, LEQ, GT, GEQ };

#define TEST(f, t, a0, yes, no)                                                                                        \
    {                                                                                                                  \
        .field = (f), .test = (t), .success = (yes), .failure = (no), .arg = { a0 }                                    \
    }
#define WANTS(...)                                                                                                     \
    wants((struct wd_filter_object[]){__VA_ARGS__},                                                                    \
          sizeof((struct wd_filter_object[]){__VA_ARGS__}) / sizeof(struct wd_filter_object))

static bool wants(const struct wd_filter_object *objects, size_t count)
{
    struct wants_filter filter = {.count = (unsigned)count};

    assert_true(wants_load(&filter, objects, count * sizeof(*objects)));
    return wants_others(&filter);
}

static void tcp_alone(void **state)
{
    (void)state;
    assert_false(WANTS(TEST(TCP, NEQ, 0, WD_ACCEPT, WD_REJECT)));
    assert_false(WANTS(TEST(OUTBOUND, NEQ, 0, 1, WD_REJECT), TEST(TCP, EQ, 1, WD_ACCEPT, WD_REJECT)));
    assert_false(WANTS(TEST(TCP_DST_PORT, NEQ, 80, WD_ACCEPT, WD_REJECT)));
    assert_false(WANTS(TEST(TCP_PAYLOAD8, EQ, 80, WD_ACCEPT, WD_REJECT)));
    assert_false(WANTS(TEST(TCP_DST_PORT, LT, 80, 1, WD_REJECT), TEST(ZERO, EQ, 0, WD_ACCEPT, WD_REJECT)));
    assert_false(WANTS(TEST(ZERO, EQ, 0, WD_REJECT, WD_REJECT)));
}

static void others_too(void **state)
{
    (void)state;
    assert_true(WANTS(TEST(ZERO, EQ, 0, WD_ACCEPT, WD_ACCEPT)));
    assert_true(WANTS(TEST(UDP, NEQ, 0, WD_ACCEPT, WD_REJECT)));
    assert_true(WANTS(TEST(TCP, EQ, 0, WD_ACCEPT, WD_REJECT)));
    assert_true(WANTS(TEST(TCP_DST_PORT, EQ, 80, WD_ACCEPT, 1), TEST(ICMP, NEQ, 0, WD_ACCEPT, WD_REJECT)));
    assert_true(WANTS(TEST(REMOTE_PORT, EQ, 53, WD_ACCEPT, WD_REJECT)));
    assert_true(WANTS(TEST(TCP_DST_PORT, EQ, 80, WD_REJECT, WD_ACCEPT)));
}

/* Objects that are not there, or lead nowhere, are no reason to fall over. */
static void survives_anything(void **state)
{
    struct wants_filter filter = {.count = 2};
    struct wd_filter_object objects[WD_FILTER_MAX] = {0};

    (void)state;
    assert_false(wants_load(&filter, objects, sizeof(objects[0])));
    filter.count = WD_FILTER_MAX + 1;
    assert_false(wants_load(&filter, objects, SIZE_MAX));
    srand(1);
    for (int round = 0; round < 2000; round++) {
        uint8_t *bytes = (uint8_t *)objects;

        for (size_t i = 0; i < sizeof(objects); i++) {
            bytes[i] = (uint8_t)rand();
        }
        filter.count = (unsigned)(rand() % (WD_FILTER_MAX + 1));
        assert_true(wants_load(&filter, objects, sizeof(objects)));
        wants_others(&filter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_alone),
        cmocka_unit_test(others_too),
        cmocka_unit_test(survives_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
