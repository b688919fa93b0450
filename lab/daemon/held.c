/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a list, oldest first. Decisions come nearly in that order, so what is looked for
 * is at its front.
 */
#include "held.h"

#include <stdlib.h>
#include <string.h>

#include "audit.h"

enum { ENOUGH_PACKETS = 4096, ENOUGH_BYTES = 16 << 20 };

static struct held *first, **end = &first;
static unsigned count;
static uint64_t bytes;

struct held *held_first(void)
{
    return first;
}

struct held *held_add(uint64_t id, const void *data, uint32_t length)
{
    struct held *held = malloc(sizeof(*held) + length);

    if (!held) {
        return NULL;
    }
    *held = (struct held){.id = id, .length = length};
    memcpy(held->data, data, length);
    *end = held;
    end = &held->next;
    count++;
    bytes += length;
    return held;
}

struct held *held_find(uint64_t id)
{
    struct held *held = first;

    while (held && held->id != id) {
        held = held->next;
    }
    return held;
}

void held_parse(const struct held *held, struct packet *packet)
{
    packet_parse(packet, held->data, held->length);
}

struct held *held_find_key(uint64_t key)
{
    for (struct held *held = first; held; held = held->next) {
        struct packet packet;

        held_parse(held, &packet);
        if (!held->joined && audit_key(&packet) == key) {
            return held;
        }
    }
    return NULL;
}

void held_remove(struct held *held)
{
    struct held **at = &first;

    while (*at != held) {
        at = &(*at)->next;
    }
    *at = held->next;
    if (!*at) {
        end = at;
    }
    count--;
    bytes -= held->length;
    free(held);
}

bool held_enough(void)
{
    return count >= ENOUGH_PACKETS || bytes >= ENOUGH_BYTES;
}
