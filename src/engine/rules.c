/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "rules.h"

#include <stdlib.h>
#include <string.h>

struct pattern {
    char text[RULE_PATTERN_MAX + 1]; /* empty: none */
    bool by_path;
};

struct rule {
    struct pattern pattern, listener;
    uint32_t pid; /* without a pattern; 0 and narrowed to a listener: any process */
    bool include;
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

static bool take_pattern(struct pattern *out, const char *text)
{
    if (!*text || strlen(text) > RULE_PATTERN_MAX) {
        return false;
    }
    out->by_path = strpbrk(text, "/\\") != NULL;
    memcpy(out->text, text, strlen(text)); /* zeroed behind it */
    return true;
}

bool rules_add(struct rules *r, bool include, const char *pattern, uint32_t pid)
{
    struct rule *rule = &r->all[r->count];
    if (r->count == RULES_MAX || (pattern && !take_pattern(&rule->pattern, pattern))) {
        return false;
    }
    rule->pid = pid;
    rule->include = include;
    r->count++;
    return true;
}

bool rules_narrow(struct rules *r, const char *listener)
{
    return take_pattern(&r->all[r->count - 1].listener, listener);
}

bool rules_want_path(const struct rules *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (*r->all[i].pattern.text) {
            return true;
        }
    }
    return false;
}

bool rules_want_listener(const struct rules *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (*r->all[i].listener.text) {
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

static bool pattern_fits(const struct pattern *p, const char *path)
{
    return *path && matches(p->text, p->by_path ? path : file_name(path));
}

bool rules_know_listener(const struct rules *r, const char *path)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (*r->all[i].listener.text && pattern_fits(&r->all[i].listener, path)) {
            return true;
        }
    }
    return false;
}

bool rules_apply(const struct rules *r, bool in_tree, uint32_t pid, const char *path, const char *listener)
{
    bool included = in_tree;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct rule *rule = &r->all[i];
        bool narrow = *rule->listener.text, any = narrow && !rule->pid;
        bool who = *rule->pattern.text ? pattern_fits(&rule->pattern, path) : any || rule->pid == pid;
        if (who && (!narrow || pattern_fits(&rule->listener, listener))) {
            included = rule->include;
        }
    }
    return included;
}
