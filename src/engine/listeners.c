/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A plain array: it is read for first packets only, and a machine has some dozens of listeners. */
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

/* The entry of this socket. An unknown owner, on either side, stands for any. */
static struct listener *find(const struct listeners *l, const struct tuple *local, uint32_t pid)
{
    for (uint32_t i = 0; i < l->count; i++) {
        struct listener *x = &l->all[i];
        if (x->port == be16_to_host(local->src_port) && x->family == local->family &&
            (x->pid == pid || !x->pid || !pid) && ip_addr_equal(&x->address, &local->src)) {
            return x;
        }
    }
    return NULL;
}

/* Another process listens there now: the former listener is closed, even if no event said so. */
static void drop_predecessor(struct listeners *l, const struct tuple *local, uint32_t pid)
{
    for (uint32_t i = 0; i < l->count; i++) {
        struct listener *x = &l->all[i];
        if (x->pid && x->pid != pid && x->port == be16_to_host(local->src_port) && x->family == local->family &&
            ip_addr_equal(&x->address, &local->src)) {
            l->all[i--] = l->all[--l->count];
        }
    }
}

void listeners_add(struct listeners *l, const struct tuple *local, uint32_t pid, bool in_tree, bool from_snapshot,
                   uint64_t now_ms)
{
    if (!from_snapshot && pid) {
        drop_predecessor(l, local, pid);
    }
    struct listener *x = find(l, local, pid);
    if (!x && l->count < LISTENERS_MAX) {
        x = &l->all[l->count++];
        *x = (struct listener){.address = local->src, .family = local->family, .port = be16_to_host(local->src_port)};
    }
    if (x) {
        x->stale = false;
        x->seen_ms = now_ms;
        x->confirmed = x->confirmed || from_snapshot;
        if (pid) {
            x->pid = pid;
            x->in_tree = in_tree;
        }
    }
}

static void drop(struct listeners *l, struct listener *x)
{
    *x = l->all[--l->count];
}

bool listeners_remove(struct listeners *l, const struct tuple *local, uint32_t pid)
{
    struct listener *x = find(l, local, pid);
    if (x) {
        drop(l, x);
    }
    return x != NULL;
}

void listeners_snapshot_begin(struct listeners *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        l->all[i].stale = true;
    }
}

void listeners_snapshot_end(struct listeners *l, bool whole)
{
    for (uint32_t i = l->count; i-- > 0;) {
        if (whole && l->all[i].stale) {
            drop(l, &l->all[i]);
        }
    }
}

bool listeners_is_shared(const struct listeners *l, const struct listener *x)
{
    for (uint32_t i = 0; i < l->count; i++) {
        const struct listener *y = &l->all[i];
        if (y != x && y->port == x->port && y->family == x->family && y->pid != x->pid &&
            ip_addr_equal(&y->address, &x->address)) {
            return true;
        }
    }
    return false;
}

const struct listener *listeners_find(const struct listeners *l, const struct tuple *connection)
{
    const struct listener *wildcard = NULL;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct listener *x = &l->all[i];
        if (x->port != be16_to_host(connection->dst_port)) {
            continue;
        }
        if (ip_addr_is_any(&x->address, x->family)) {
            bool same_family = x->family == connection->family;
            bool maybe_dual = x->family == FAMILY_IP6 && !x->confirmed && !wildcard;
            if (same_family || maybe_dual) {
                wildcard = x;
            }
        } else if (x->family == connection->family && ip_addr_equal(&x->address, &connection->dst)) {
            return x;
        }
    }
    return wildcard;
}
