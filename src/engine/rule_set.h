/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file rule_set.h  A set of rules, by their numbers. */
#ifndef ENGINE_RULE_SET_H
#define ENGINE_RULE_SET_H

#include <stdbool.h>
#include <stdint.h>

enum { RULE_SET_MAX = 256, RULE_SET_WORDS = RULE_SET_MAX / 64 };

struct rule_set {
    uint64_t words[RULE_SET_WORDS];
};

static inline void rule_set_add(struct rule_set *s, uint32_t number)
{
    s->words[number / 64] |= (uint64_t)1 << number % 64;
}

static inline bool rule_set_has(const struct rule_set *s, uint32_t number)
{
    return s->words[number / 64] >> number % 64 & 1;
}

static inline bool rule_set_is_empty(const struct rule_set *s)
{
    return !(s->words[0] | s->words[1] | s->words[2] | s->words[3]);
}

/** The highest number below `below`; UINT32_MAX: there is none. */
static inline uint32_t rule_set_last(const struct rule_set *s, uint32_t below)
{
    for (uint32_t at = (below + 63) / 64; at-- > 0;) {
        uint64_t word = s->words[at];
        if (below < (at + 1) * 64) {
            word &= ((uint64_t)1 << below % 64) - 1;
        }
        if (word) {
            return at * 64 + 63 - (uint32_t)__builtin_clzll(word);
        }
    }
    return UINT32_MAX;
}

#endif
