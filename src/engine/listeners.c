/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A plain array: it is read only for connections of the machine to itself, and a machine has some dozens of
 * listeners.
 */
#include "listeners.h"

#include <stdlib.h>

bool listeners_init(struct listeners *l)
{
    *l = (struct listeners){.all = calloc(LISTENERS_MAX, sizeof *l->all)};
    return l->all != NULL;
}

void listeners_free(struct listeners *l)
{
    free(l->all);
    l->all = NULL;
}

static struct listener *find(const struct listeners *l, const struct tuple *local, uint32_t pid)
{
    for (uint32_t i = 0; i < l->count; i++) {
        struct listener *x = &l->all[i];
        if (x->port == be16_to_host(local->src_port) && x->family == local->family && x->pid == pid &&
            ip_addr_equal(&x->address, &local->src)) {
            return x;
        }
    }
    return NULL;
}

void listeners_add(struct listeners *l, const struct tuple *local, uint32_t pid)
{
    if (l->count < LISTENERS_MAX && !find(l, local, pid)) {
        l->all[l->count++] = (struct listener){local->src, local->family, be16_to_host(local->src_port), pid};
    }
}

void listeners_remove(struct listeners *l, const struct tuple *local, uint32_t pid)
{
    struct listener *x = find(l, local, pid);
    if (x) {
        *x = l->all[--l->count];
    }
}

static bool covers(const struct listener *x, const struct tuple *connection)
{
    if (x->port != be16_to_host(connection->dst_port)) {
        return false;
    }
    if (ip_addr_is_any(&x->address, x->family)) {
        return x->family == connection->family || x->family == FAMILY_IP6;
    }
    return x->family == connection->family && ip_addr_equal(&x->address, &connection->dst);
}

bool listeners_reaches(const struct listeners *l, const struct tuple *connection, uint32_t pid)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->all[i].pid == pid && covers(&l->all[i], connection)) {
            return true;
        }
    }
    return false;
}
