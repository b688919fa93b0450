/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "rules.h"

#include <stdlib.h>
#include <string.h>

struct rule {
    char pattern[RULE_PATTERN_MAX + 1]; /* empty: by pid */
    uint32_t pid;
    bool include;
    bool by_path;
};

struct rules {
    struct rule all[RULES_MAX];
    uint32_t count;
};

struct rules *rules_new(void)
{
    return calloc(1, sizeof(struct rules));
}

void rules_free(struct rules *r)
{
    free(r);
}

bool rules_add(struct rules *r, bool include, const char *pattern, uint32_t pid)
{
    if (r->count == RULES_MAX || (pattern && (!*pattern || strlen(pattern) > RULE_PATTERN_MAX))) {
        return false;
    }
    struct rule *rule = &r->all[r->count++]; /* zeroed */
    rule->pid = pid;
    rule->include = include;
    if (pattern) {
        rule->by_path = strpbrk(pattern, "/\\") != NULL;
        memcpy(rule->pattern, pattern, strlen(pattern));
    }
    return true;
}

bool rules_want_path(const struct rules *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (*r->all[i].pattern) {
            return true;
        }
    }
    return false;
}

static char fold(char c)
{
    if (c == '/') {
        return '\\';
    }
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Iterative, so that a hostile name costs length times length at most: a mismatch returns to the newest `*` only. */
static bool matches(const char *pattern, const char *text)
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

bool rules_apply(const struct rules *r, bool in_tree, uint32_t pid, const char *path)
{
    bool included = in_tree;
    const char *name = file_name(path);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct rule *rule = &r->all[i];
        bool match = *rule->pattern ? *path && matches(rule->pattern, rule->by_path ? path : name) : rule->pid == pid;
        if (match) {
            included = rule->include;
        }
    }
    return included;
}
