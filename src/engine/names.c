/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "names.h"

#include "tuple_map.h"

#include <stdlib.h>

struct names {
    struct tuple_map map; /* of tuples that have a destination address and nothing else */
    char texts[NAMES_MAX][NAME_BYTES];
    uint32_t count;
    uint32_t oldest; /* makes room for the next one, once all are taken */
};

struct names *names_new(uint64_t seed)
{
    struct names *n = calloc(1, sizeof *n);
    if (n && !tuple_map_init(&n->map, NAMES_MAX, seed)) {
        names_free(n);
        n = NULL;
    }
    return n;
}

void names_free(struct names *n)
{
    if (n) {
        tuple_map_free(&n->map);
        free(n);
    }
}

static struct tuple key_of(const ip_addr *address, uint32_t family)
{
    return (struct tuple){.dst = *address, .family = family};
}

void names_tell(struct names *n, const ip_addr *address, uint32_t family, const char *name)
{
    struct tuple key = key_of(address, family);
    uint32_t at = tuple_map_find(&n->map, &key);
    if (at == TUPLE_MAP_NONE) {
        at = n->count < NAMES_MAX ? n->count++ : n->oldest++ % NAMES_MAX;
        if (*n->texts[at]) {
            tuple_map_remove(&n->map, at);
        }
        tuple_map_insert(&n->map, at, &key);
    }
    size_t length = strlen(name);
    length = length < NAME_BYTES ? length : NAME_BYTES - 1;
    memcpy(n->texts[at], name, length);
    n->texts[at][length] = 0;
}

const char *names_of(const struct names *n, const ip_addr *address, uint32_t family)
{
    struct tuple key = key_of(address, family);
    uint32_t at = n ? tuple_map_find(&n->map, &key) : TUPLE_MAP_NONE;
    return at == TUPLE_MAP_NONE ? "" : n->texts[at];
}
