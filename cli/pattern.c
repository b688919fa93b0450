/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: wildcards mean the same as in the library's rules (windows_redirector.h). On a mismatch the last
 * '*' is extended by one character; earlier ones never need to be, so the work is at most length times length.
 */
#include "pattern.h"

#include <string.h>

static char folded(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c == '/' ? '\\' : c;
}

/* The next character of UTF-8: '?' stands for a whole one. */
static const char *next(const char *text)
{
    text++;
    while (((unsigned char)*text & 0xC0) == 0x80) {
        text++;
    }
    return text;
}

bool pattern_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *star_text = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            star_text = text;
        } else if (*pattern == '?') {
            pattern++;
            text = next(text);
        } else if (folded(*pattern) == folded(*text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = star_text = next(star_text);
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return !*pattern;
}

const char *pattern_file_name(const char *path)
{
    const char *name = path;
    for (; *path; path++) {
        if (*path == '\\' || *path == '/') {
            name = path + 1;
        }
    }
    return name;
}

bool pattern_matches_program(const char *pattern, const char *path)
{
    return pattern_matches(pattern, strpbrk(pattern, "/\\") ? path : pattern_file_name(path));
}
