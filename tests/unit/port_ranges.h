/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef UNIT_PORT_RANGES_H
#define UNIT_PORT_RANGES_H

#include "engine/port_set.h"

static inline uint32_t count_ranges(const struct port_set *s)
{
    struct port_range r;
    uint32_t n = 0;
    for (uint32_t from = 0; port_set_next_range(s, from, &r); from = r.last + 1u) {
        n++;
    }
    return n;
}

#endif
