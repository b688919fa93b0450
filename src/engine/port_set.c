/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "port_set.h"

bool port_set_next_range(const struct port_set *s, uint32_t from, struct port_range *out)
{
    uint32_t at = from;
    while (at < PORT_COUNT && !port_set_has(s, (uint16_t)at)) {
        at = s->words[at / 64] == 0 ? (at / 64 + 1) * 64 : at + 1;
    }
    if (at >= PORT_COUNT) {
        return false;
    }
    out->first = (uint16_t)at;
    while (at < PORT_COUNT && port_set_has(s, (uint16_t)at)) {
        at = at % 64 == 0 && s->words[at / 64] == UINT64_MAX ? at + 64 : at + 1;
    }
    out->last = (uint16_t)(at - 1);
    return true;
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
