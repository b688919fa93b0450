/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Rules: any patterns, against any path.
 *
 * Input: a byte of options, a process id, a path up to a NUL, then rules: a byte of options, and up to a NUL the
 * pattern. What must hold: rules_add() takes exactly what it promises to take, and the verdict is that of a matcher
 * that tries everything, where the engine's never goes back further than the newest star.
 */
#include "fuzz.h"

#include "engine/rules.h"

enum { MANY = 300, TEXT_MAX = 600 };

static char fold(char c)
{
    return c == '/' ? '\\' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* matches[p][t]: the pattern from p on matches the text from t on. Filled from the end. */
static bool slow_match(const char *pattern, const char *text)
{
    static bool matches[TEXT_MAX + 2][TEXT_MAX + 2];
    size_t m = strlen(pattern), n = strlen(text);
    for (size_t p = m + 1; p-- > 0;) {
        for (size_t t = n + 1; t-- > 0;) {
            bool yes;
            if (p == m) {
                yes = t == n;
            } else if (pattern[p] == '*') {
                yes = matches[p + 1][t] || (t < n && matches[p][t + 1]);
            } else if (pattern[p] == '?') {
                size_t end = t + 1;
                while (end < n && ((uint8_t)text[end] & 0xc0) == 0x80) {
                    end++;
                }
                yes = t < n && matches[p + 1][end];
            } else {
                yes = t < n && fold(pattern[p]) == fold(text[t]) && matches[p + 1][t + 1];
            }
            matches[p][t] = yes;
        }
    }
    return matches[0][0];
}

/* The next text of the input, in memory of exactly its size. */
static char *next_text(const uint8_t **data, size_t *size)
{
    size_t length = strnlen((const char *)*data, *size < TEXT_MAX ? *size : TEXT_MAX);
    char *text = (char *)exact_copy(*data, length + 1 <= *size ? length + 1 : length);
    text = realloc(text, length + 1);
    MUST(text);
    text[length] = 0;
    size_t used = length < *size ? length + 1 : length;
    *data += used;
    *size -= used;
    return text;
}

static const char *name_in(const char *path)
{
    for (const char *p = path + strlen(path); p > path; p--) {
        if (p[-1] == '\\' || p[-1] == '/') {
            return p;
        }
    }
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return -1;
    }
    bool in_tree = data[0] & 1, want = in_tree, want_path = false;
    uint32_t pid = data[1], count = 0;
    data += 2;
    size -= 2;
    struct rules *rules = rules_new();
    MUST(rules);
    char *path = next_text(&data, &size);
    while (size && count < MANY) {
        bool include = *data & 1, by_pid = *data & 2;
        uint32_t its_pid = *data++ >> 2;
        size--;
        char *pattern = by_pid ? NULL : next_text(&data, &size);
        bool taken = count < RULES_MAX && (by_pid || (*pattern && strlen(pattern) <= RULE_PATTERN_MAX));
        MUST(rules_add(rules, include, pattern, by_pid ? its_pid : 0) == taken);
        if (taken) {
            count++;
            want_path = want_path || !by_pid;
            const char *text = by_pid || strpbrk(pattern, "/\\") ? path : name_in(path);
            want = (by_pid ? its_pid == pid : *path && slow_match(pattern, text)) ? include : want;
        }
        free(pattern);
    }
    MUST(rules_want_path(rules) == want_path);
    MUST(rules_apply(rules, in_tree, pid, path, "") == want);
    rules_free(rules);
    free(path);
    return 0;
}
