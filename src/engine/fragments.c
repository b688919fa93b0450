/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A ring: fragments of a datagram leave one right after the other, so that the oldest entry is the one that is done with. */
#include "fragments.h"

#include <stdlib.h>

bool fragments_init(struct fragments *f, uint64_t seed)
{
    *f = (struct fragments){.all = calloc(FRAGMENTS_MAX, sizeof *f->all), .next_id = (uint32_t)(seed >> 16)};
    if (!f->all || !tuple_map_init(&f->map, FRAGMENTS_MAX, seed)) {
        fragments_free(f);
        return false;
    }
    return true;
}

void fragments_free(struct fragments *f)
{
    free(f->all);
    f->all = NULL;
    tuple_map_free(&f->map);
}

const struct fragment_entry *fragments_find(const struct fragments *f, const struct tuple *key, uint64_t now_ms)
{
    uint32_t number = tuple_map_find(&f->map, key);
    return number != TUPLE_MAP_NONE && f->all[number].until_ms > now_ms ? &f->all[number] : NULL;
}

void fragments_put(struct fragments *f, const struct tuple *key, const struct fragment_entry *entry, uint64_t now_ms)
{
    uint32_t number = tuple_map_find(&f->map, key);
    if (number == TUPLE_MAP_NONE) {
        number = f->next;
        f->next = (f->next + 1) % FRAGMENTS_MAX;
        if (f->all[number].fate != FRAGMENT_UNKNOWN) {
            tuple_map_remove(&f->map, number);
        }
        tuple_map_insert(&f->map, number, key);
    }
    f->all[number] = *entry;
    f->all[number].until_ms = now_ms + FRAGMENTS_MS;
}
