/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: as many slots as packets may wait, in one arena. A line is known by the slot of its first packet.
 * All wait for the same time, so that lines in order of arrival are in order of deadline.
 */
#include "udp_held.h"

#include <stdlib.h>

bool udp_held_init(struct udp_held *h, uint64_t seed)
{
    *h = (struct udp_held){.first_line = UDP_HELD_NONE, .last_line = UDP_HELD_NONE};
    h->slots = calloc(UDP_HELD_SLOTS, sizeof *h->slots);
    h->bytes = malloc((size_t)UDP_HELD_SLOTS * UDP_HELD_BYTES);
    if (!h->slots || !h->bytes || !tuple_map_init(&h->map, UDP_HELD_SLOTS, seed)) {
        udp_held_free(h);
        return false;
    }
    for (uint32_t i = 0; i < UDP_HELD_SLOTS; i++) {
        h->slots[i].next = i + 1 < UDP_HELD_SLOTS ? i + 1 : UDP_HELD_NONE;
    }
    return true;
}

void udp_held_free(struct udp_held *h)
{
    free(h->slots);
    free(h->bytes);
    h->slots = NULL;
    h->bytes = NULL;
    tuple_map_free(&h->map);
}

uint32_t udp_held_find(const struct udp_held *h, const struct tuple *tuple)
{
    return tuple_map_find(&h->map, tuple);
}
static_assert(UDP_HELD_NONE == TUPLE_MAP_NONE, "no line is no number");

static void open_line(struct udp_held *h, uint32_t slot, const struct tuple *tuple, uint64_t deadline_ms)
{
    struct udp_slot *line = &h->slots[slot];
    line->last = slot;
    line->line_before = h->last_line;
    line->line_behind = UDP_HELD_NONE;
    line->datagrams = line->packets = 0;
    line->deadline_ms = deadline_ms;
    line->asked = false;
    *(h->last_line == UDP_HELD_NONE ? &h->first_line : &h->slots[h->last_line].line_behind) = slot;
    h->last_line = slot;
    tuple_map_insert(&h->map, slot, tuple);
}

uint32_t udp_held_add(struct udp_held *h, const struct tuple *tuple, const struct packet_meta *meta,
                      const uint8_t *data, uint32_t length, bool begins, uint64_t deadline_ms)
{
    uint32_t line = udp_held_find(h, tuple), slot = h->first_free;
    if (slot == UDP_HELD_NONE || length > UDP_HELD_BYTES ||
        (line != UDP_HELD_NONE && begins && h->slots[line].datagrams == UDP_HELD_DATAGRAMS)) {
        return UDP_HELD_NONE;
    }
    h->first_free = h->slots[slot].next;
    if (line == UDP_HELD_NONE) {
        line = slot;
        open_line(h, slot, tuple, deadline_ms);
    } else {
        h->slots[h->slots[line].last].next = slot;
        h->slots[line].last = slot;
    }
    h->slots[slot].next = UDP_HELD_NONE;
    h->slots[slot].meta = *meta;
    h->slots[slot].length = length;
    memcpy(udp_held_bytes(h, slot), data, length);
    h->slots[line].datagrams += begins;
    h->slots[line].packets++;
    h->count++;
    return line;
}

void udp_held_close(struct udp_held *h, uint32_t line)
{
    const struct udp_slot *l = &h->slots[line];
    *(l->line_before == UDP_HELD_NONE ? &h->first_line : &h->slots[l->line_before].line_behind) = l->line_behind;
    *(l->line_behind == UDP_HELD_NONE ? &h->last_line : &h->slots[l->line_behind].line_before) = l->line_before;
    tuple_map_remove(&h->map, line);
}

uint32_t udp_held_next(struct udp_held *h, uint32_t slot)
{
    uint32_t next = h->slots[slot].next;
    h->slots[slot].next = h->first_free;
    h->first_free = slot;
    h->count--;
    return next;
}
