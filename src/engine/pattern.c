/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "pattern.h"

#include <string.h>

static char fold(char c)
{
    if (c == '/') {
        return '\\';
    }
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Iterative, so that a hostile name costs length times length at most: a mismatch returns to the newest `*` only. */
bool pattern_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (*pattern == '?') {
            pattern++;
            do {
                text++; /* one character of UTF-8 */
            } while ((*text & 0xc0) == 0x80);
        } else if (*pattern && fold(*pattern) == fold(*text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return !*pattern;
}

static const char *file_name(const char *path)
{
    const char *name = path;
    for (const char *p = path; *p; p++) {
        if (*p == '\\' || *p == '/') {
            name = p + 1;
        }
    }
    return name;
}

bool pattern_matches_program(const char *pattern, const char *path)
{
    return *path && pattern_matches(pattern, strpbrk(pattern, "/\\") ? path : file_name(path));
}
