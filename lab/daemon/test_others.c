// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Unit tests of filter_wants_others: which filters leave all but TCP in the kernel.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "field.h"
#include "filter.h"

enum { EQ, NEQ, LT, LEQ, GT, GEQ };

#define TEST(f, t, a0, yes, no)                                                                                        \
    {                                                                                                                  \
        .field = FIELD_##f, .test = (t), .success = (yes), .failure = (no), .arg = { a0 }                              \
    }
#define WANTS(...)                                                                                                     \
    wants((struct wd_filter_object[]){__VA_ARGS__},                                                                    \
          sizeof((struct wd_filter_object[]){__VA_ARGS__}) / sizeof(struct wd_filter_object))

static bool wants(const struct wd_filter_object *objects, size_t count)
{
    struct filter filter;

    assert_true(filter_load(&filter, objects, count * sizeof(*objects), WD_NETWORK));
    return filter_wants_others(&filter);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_alone),
        cmocka_unit_test(others_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
