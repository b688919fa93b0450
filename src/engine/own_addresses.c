/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A sorted array: it is searched for first packets and socket events only. */
#include "own_addresses.h"

#include <stdlib.h>

struct own_addresses {
    uint32_t count;
    bool link_local_doubled;
    struct own_address all[];
};

static int compare_addresses(const struct own_address *a, const struct own_address *b)
{
    if (a->family != b->family) {
        return a->family < b->family ? -1 : 1;
    }
    return memcmp(&a->address, &b->address, sizeof a->address);
}

static int compare(const void *left, const void *right)
{
    const struct own_address *a = left, *b = right;
    int result = compare_addresses(a, b);
    return result ? result : (a->if_index > b->if_index) - (a->if_index < b->if_index);
}

struct own_addresses *own_addresses_new(const struct own_address *all, uint32_t count)
{
    struct own_addresses *l = calloc(1, sizeof *l + count * sizeof *all);
    if (l) {
        l->count = count;
        memcpy(l->all, all, count * sizeof *all);
        qsort(l->all, count, sizeof *all, compare);
        for (uint32_t i = 1; i < count; i++) {
            l->link_local_doubled = l->link_local_doubled || (compare_addresses(&l->all[i - 1], &l->all[i]) == 0 &&
                                                              ip_addr_is_link_local(&l->all[i].address));
        }
    }
    return l;
}

void own_addresses_free(struct own_addresses *l)
{
    free(l);
}

bool own_addresses_equal(const struct own_addresses *a, const struct own_addresses *b)
{
    if (!a || !b) {
        return a == b;
    }
    bool equal = a->count == b->count;
    for (uint32_t i = 0; equal && i < a->count; i++) {
        equal = compare(&a->all[i], &b->all[i]) == 0 && a->all[i].prefix_length == b->all[i].prefix_length;
    }
    return equal;
}

/* The first entry that is not below this address. */
static uint32_t lower_bound(const struct own_addresses *l, const struct own_address *wanted)
{
    uint32_t from = 0, to = l->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (compare_addresses(&l->all[middle], wanted) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

/* How many interfaces have the address: none, one, or two and more. *if_index is the first one's. */
static uint32_t owners(const struct own_addresses *l, const ip_addr *address, uint32_t family, uint32_t *if_index)
{
    struct own_address wanted = {.address = *address, .family = family};
    uint32_t at = lower_bound(l, &wanted), found = 0;
    for (; at + found < l->count && found < 2 && compare_addresses(&l->all[at + found], &wanted) == 0; found++) {
        *if_index = found ? *if_index : l->all[at].if_index;
    }
    return found;
}

bool own_addresses_has(const struct own_addresses *l, const ip_addr *address, uint32_t family)
{
    uint32_t if_index;
    return owners(l, address, family, &if_index) != 0;
}

static uint32_t load_address_ip4(const ip_addr *a)
{
    return (uint32_t)a->bytes[12] << 24 | (uint32_t)a->bytes[13] << 16 | (uint32_t)a->bytes[14] << 8 | a->bytes[15];
}

/* 127.0.0.0/8 and 169.254.0.0/16; ::1 and fe80::/10. */
static bool is_global(const struct own_address *a)
{
    const uint8_t *b = a->address.bytes;
    if (a->family == FAMILY_IP4) {
        return b[12] != 127 && !(b[12] == 169 && b[13] == 254);
    }
    ip_addr loopback = ip_addr_loopback(FAMILY_IP6);
    return !ip_addr_equal(&a->address, &loopback) && !ip_addr_is_link_local(&a->address);
}

uint32_t own_addresses_global(const struct own_addresses *l, uint32_t family, ip_addr *out, uint32_t room)
{
    uint32_t count = 0;
    for (uint32_t i = 0; l && i < l->count && count < room; i++) {
        if (l->all[i].family == family && is_global(&l->all[i])) {
            out[count++] = l->all[i].address;
        }
    }
    return count;
}

uint32_t own_addresses_interface(const struct own_addresses *l, const ip_addr *address)
{
    uint32_t if_index = 0;
    return owners(l, address, FAMILY_IP6, &if_index) == 1 ? if_index : 0;
}

bool own_addresses_is_broadcast(const struct own_addresses *l, const ip_addr *address, uint32_t family)
{
    enum { PREFIX_MAX = 30 }; /* those of 31 and 32 bits have no broadcast address */
    uint32_t wanted = load_address_ip4(address);
    for (uint32_t i = 0; family == FAMILY_IP4 && i < l->count; i++) {
        const struct own_address *a = &l->all[i];
        if (a->family == FAMILY_IP4 && a->prefix_length && a->prefix_length <= PREFIX_MAX &&
            wanted == (load_address_ip4(&a->address) | UINT32_MAX >> a->prefix_length)) {
            return true;
        }
    }
    return false;
}

struct tuple own_addresses_scoped(const struct own_addresses *l, const struct tuple *of_event)
{
    struct tuple t = *of_event;
    if (l && tuple_is_scoped(&t) && !own_addresses_has(l, &t.dst, t.family)) {
        t.scope = own_addresses_interface(l, &t.src);
    }
    return t;
}

uint32_t own_addresses_scope_of(const struct own_addresses *l, const struct tuple *original)
{
    if (original->scope || !l || !tuple_is_scoped(original)) {
        return original->scope;
    }
    return own_addresses_interface(l, ip_addr_is_link_local(&original->dst) ? &original->dst : &original->src);
}

bool own_addresses_link_local_doubled(const struct own_addresses *l)
{
    return l->link_local_doubled;
}
