/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A test is a function; RUN() calls it and prints one line. A failed CHECK() names the place and the test goes on, so
 * that it can clean up. SKIP() says what could not be tested here, and why.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdio.h>

static int checks_passed, checks_failed, checks_skipped, test_failures;
static const char *skip_reason;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);                                                   \
            test_failures++;                                                                                           \
        }                                                                                                              \
    } while (0)

#define SKIP(reason) (skip_reason = (reason))

#define RUN(test) run_test(#test, test)

static inline void run_test(const char *name, void (*test)(void))
{
    test_failures = 0;
    skip_reason = NULL;
    test();
    if (test_failures) {
        printf("FAIL %s: %d check%s failed\n", name, test_failures, test_failures == 1 ? "" : "s");
        checks_failed++;
    } else if (skip_reason) {
        printf("skip %s: %s\n", name, skip_reason);
        checks_skipped++;
    } else {
        printf("ok %s\n", name);
        checks_passed++;
    }
    fflush(stdout);
}

/* For main(): the last line and the exit status. */
static inline int checks_done(void)
{
    printf("%d passed, %d failed, %d skipped\n", checks_passed, checks_failed, checks_skipped);
    fflush(stdout);
    return checks_failed != 0;
}

#endif
