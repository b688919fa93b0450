/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file udp_held.h
 * Datagrams that wait until their owner is known: those of one tuple stand in a line, in order, their fragments with
 * them (U2). All memory is taken at the beginning.
 */
#ifndef ENGINE_UDP_HELD_H
#define ENGINE_UDP_HELD_H

#include "tuple_map.h"

#include <stddef.h>

enum { UDP_HELD_SLOTS = 512, UDP_HELD_BYTES = 2048, UDP_HELD_DATAGRAMS = 8 };

#define UDP_HELD_NONE UINT32_MAX

/** A packet; the first one of a line is the line. */
struct udp_slot {
    struct packet_meta meta;
    uint32_t length;
    uint32_t next; /* in its line; of a free one: the next free one */

    /* Of a line: */
    uint32_t last;                     /* its last packet */
    uint32_t line_before, line_behind; /* in order of deadline */
    uint32_t datagrams, packets;
    uint64_t deadline_ms;
    bool asked; /* the UDP table, for its sake */
};

struct udp_held {
    struct tuple_map map; /* lines */
    struct udp_slot *slots;
    uint8_t *bytes;
    uint32_t first_free, first_line, last_line;
    uint32_t count; /* packets */
};

bool udp_held_init(struct udp_held *h, uint64_t seed); /* false: no memory */
void udp_held_free(struct udp_held *h);

/** The line of this tuple, or UDP_HELD_NONE. */
uint32_t udp_held_find(const struct udp_held *h, const struct tuple *tuple);

/**
 * Puts a copy at the end of the tuple's line, or opens one with this deadline, which must be no earlier than any
 * before. `begins`: it is no later fragment. Gives the line; UDP_HELD_NONE: there is no room, or it is too large.
 */
uint32_t udp_held_add(struct udp_held *h, const struct tuple *tuple, const struct packet_meta *meta,
                      const uint8_t *data, uint32_t length, bool begins, uint64_t deadline_ms);

/** The line is none any more: its packets are the caller's to go through, first to last, and to free. */
void udp_held_close(struct udp_held *h, uint32_t line);

/** Frees a packet of a closed line, and gives the next one. */
uint32_t udp_held_next(struct udp_held *h, uint32_t slot);

static inline uint8_t *udp_held_bytes(const struct udp_held *h, uint32_t slot)
{
    return h->bytes + (size_t)slot * UDP_HELD_BYTES;
}

#endif
