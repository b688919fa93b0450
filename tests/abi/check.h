/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file check.h  A line for each check, and how many there were; C11 and C++17. */
#ifndef ABI_CHECK_H
#define ABI_CHECK_H

#include <stdio.h>

static int passed, failed;

static void check(int condition, const char *name)
{
    printf("%s %s\n", condition ? "ok" : "FAIL", name);
    if (condition) {
        passed++;
    } else {
        failed++;
    }
}

#endif
