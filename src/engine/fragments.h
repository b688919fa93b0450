/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file fragments.h
 * What became of a datagram's first fragment, for those that follow it (U4). Bounded: the oldest entry gives way.
 */
#ifndef ENGINE_FRAGMENTS_H
#define ENGINE_FRAGMENTS_H

#include "rewrite.h"
#include "tuple_map.h"

enum { FRAGMENTS_MAX = 512, FRAGMENTS_MS = 5000 };

enum fragment_fate { FRAGMENT_UNKNOWN, FRAGMENT_PASSES, FRAGMENT_DROPPED, FRAGMENT_HELD, FRAGMENT_REDIRECTED };

struct fragment_entry {
    enum fragment_fate fate;
    uint64_t until_ms;
    uint64_t opened_ms;      /* redirected: its flow, */
    uint32_t flow, leg;      /* which is the same one as long as it was opened then */
    uint32_t id;             /* redirected: the identification that its fragments get */
    struct tuple answer;     /* redirected: the reverse of their new addresses, */
    uint16_t delta;          /* and what these do to the header's sum */
    struct packet_meta meta; /* redirected: how the first one left */
    struct tuple held_under; /* held: with which tuple */
};

struct fragments {
    struct tuple_map map; /* by datagram_fragment_key() */
    struct fragment_entry *all;
    uint32_t next;    /* the entry that gives way */
    uint32_t next_id; /* of redirected ones */
};

bool fragments_init(struct fragments *f, uint64_t seed); /* false: no memory */
void fragments_free(struct fragments *f);

/** The entry of a datagram; NULL: its first fragment is not known, or no more. */
const struct fragment_entry *fragments_find(const struct fragments *f, const struct tuple *key, uint64_t now_ms);

/** Takes note of a first fragment, in the place of what was known of that datagram. */
void fragments_put(struct fragments *f, const struct tuple *key, const struct fragment_entry *entry, uint64_t now_ms);

/**
 * An identification for a redirected datagram. All redirected ones have the same addresses, so that two that had the
 * same one on their way to different destinations would be put together as one.
 */
static inline uint32_t fragments_new_id(struct fragments *f)
{
    return ++f->next_id;
}

#endif
