/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file port_set.h
 * A set of port numbers, and what it looks like as a few ranges: the driver's filter is a program of at most 256 tests,
 * so a set that is to become a filter is first made coarse enough (a superset of it), by filling the smallest gaps.
 */
#ifndef ENGINE_PORT_SET_H
#define ENGINE_PORT_SET_H

#include "types.h"

enum { PORT_SET_WORDS = PORT_COUNT / 64 };

/** All zero: the empty set. Ports are in host order. */
struct port_set {
    uint64_t words[PORT_SET_WORDS];
};

struct port_range {
    uint16_t first, last; /* both included */
};

static inline bool port_set_has(const struct port_set *s, uint16_t port)
{
    return s->words[port / 64] >> port % 64 & 1;
}

static inline void port_set_add(struct port_set *s, uint16_t port)
{
    s->words[port / 64] |= UINT64_C(1) << port % 64;
}

static inline void port_set_remove(struct port_set *s, uint16_t port)
{
    s->words[port / 64] &= ~(UINT64_C(1) << port % 64);
}

static inline void port_set_fill(struct port_set *s)
{
    memset(s, 0xff, sizeof *s);
}

/** The first range at or after `from`; false: there is none. */
bool port_set_next_range(const struct port_set *s, uint32_t from, struct port_range *out);

/** Removes what is in `out`, but not what is needed. Whether there was anything. */
bool port_set_leave_out(struct port_set *s, const struct port_set *out, const struct port_set *needed);

/** Removes what the other set lacks; returns how many are left. */
uint32_t port_set_keep(struct port_set *s, const struct port_set *has);

/**
 * Removes ranges without a port that is needed, until the set is at most `most` ranges or has no other: the smallest
 * first, give or take a factor of two.
 */
void port_set_thin(struct port_set *s, const struct port_set *needed, uint32_t most);

/** Adds ports until the set is at most `most` ranges (1 or more). */
void port_set_coarsen(struct port_set *s, uint32_t most);

#endif
