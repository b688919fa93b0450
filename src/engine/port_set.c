/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "port_set.h"

/* The first port at or after `from` that is in the set, or (`in` false) is not; PORT_COUNT: there is none. */
static uint32_t next_port(const struct port_set *s, uint32_t from, bool in)
{
    for (uint32_t at = from; at < PORT_COUNT; at = (at / 64 + 1) * 64) {
        uint64_t word = (in ? s->words[at / 64] : ~s->words[at / 64]) >> at % 64;
        if (word) {
            return at + (uint32_t)__builtin_ctzll(word);
        }
    }
    return PORT_COUNT;
}

bool port_set_next_range(const struct port_set *s, uint32_t from, struct port_range *out)
{
    uint32_t first = next_port(s, from, true);
    if (first == PORT_COUNT) {
        return false;
    }
    out->first = (uint16_t)first;
    out->last = (uint16_t)(next_port(s, first, false) - 1);
    return true;
}

bool port_set_leave_out(struct port_set *s, const struct port_set *out, const struct port_set *needed)
{
    uint64_t left_out = 0;
    for (uint32_t i = 0; i < PORT_SET_WORDS; i++) {
        uint64_t some = s->words[i] & out->words[i] & ~needed->words[i];
        s->words[i] ^= some;
        left_out |= some;
    }
    return left_out;
}

uint32_t port_set_keep(struct port_set *s, const struct port_set *has)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < PORT_SET_WORDS; i++) {
        s->words[i] &= has->words[i];
        left += (uint32_t)__builtin_popcountll(s->words[i]);
    }
    return left;
}

/* Removes ranges without a needed port that are at most `widest` ports wide; returns how many are left. */
static uint32_t remove_ranges(struct port_set *s, const struct port_set *needed, uint32_t widest)
{
    struct port_range range;
    uint32_t left = 0;
    for (uint32_t from = 0; port_set_next_range(s, from, &range); from = range.last + 1u) {
        if (range.last - range.first < (int)widest && next_port(needed, range.first, true) > range.last) {
            for (uint32_t port = range.first; port <= range.last; port++) {
                port_set_remove(s, (uint16_t)port);
            }
        } else {
            left++;
        }
    }
    return left;
}

void port_set_thin(struct port_set *s, const struct port_set *needed, uint32_t most)
{
    for (uint32_t widest = 0; remove_ranges(s, needed, widest) > most && widest < PORT_COUNT;
         widest = widest ? widest * 2 : 1) {
    }
}

/* Calls `fill` for each gap between two ranges that is at most `widest` ports wide; returns how many gaps are wider. */
static uint32_t fill_gaps(struct port_set *s, uint32_t widest)
{
    struct port_range before, range;
    uint32_t left = 0;
    bool more = port_set_next_range(s, 0, &before);
    while (more && port_set_next_range(s, before.last + 1u, &range)) {
        if (range.first - before.last - 1u <= widest) {
            for (uint32_t port = before.last + 1u; port < range.first; port++) {
                port_set_add(s, (uint16_t)port);
            }
        } else {
            left++;
        }
        before = range;
    }
    return left;
}

void port_set_coarsen(struct port_set *s, uint32_t most)
{
    /* Twice as wide each time: the gaps that are filled are the smallest, give or take a factor of two. */
    for (uint32_t widest = 0; fill_gaps(s, widest) >= most; widest = widest ? widest * 2 : 1) {
    }
}
