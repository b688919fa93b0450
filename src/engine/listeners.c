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

static bool is_at(const struct listener *x, const struct tuple *local)
{
    return x->port == be16_to_host(local->src_port) && x->family == local->family &&
           ip_addr_equal(&x->address, &local->src);
}

/* The entry of this socket. An unknown owner, on either side, stands for any. */
static struct listener *find(const struct listeners *l, const struct tuple *local, uint32_t pid)
{
    for (uint32_t i = 0; i < l->count; i++) {
        struct listener *x = &l->all[i];
        if (is_at(x, local) && (x->pid == pid || !x->pid || !pid)) {
            return x;
        }
    }
    return NULL;
}

bool listeners_remove_others(struct listeners *l, const struct tuple *local, uint32_t pid)
{
    bool found = false;
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->all[i].pid && l->all[i].pid != pid && is_at(&l->all[i], local)) {
            l->all[i--] = l->all[--l->count];
            found = true;
        }
    }
    return found;
}

bool listeners_outlive(const struct listeners *l, const struct socket_event *event)
{
    bool closed = event->kind == SOCKET_CLOSE;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct listener *x = &l->all[i];
        if (!is_at(x, &event->tuple) || (closed && x->pid != event->pid)) {
            continue;
        }
        bool other = closed && x->endpoint && event->endpoint && x->endpoint != event->endpoint;
        if (other || (event->timestamp && x->since > event->timestamp)) {
            return true;
        }
    }
    return false;
}

struct listener *listeners_add(struct listeners *l, const struct tuple *local, uint32_t pid, bool in_tree,
                               struct listener_source source)
{
    struct listener *x = find(l, local, pid);
    if (!x && l->count < LISTENERS_MAX) {
        x = &l->all[l->count++];
        *x = (struct listener){.address = local->src, .family = local->family, .port = be16_to_host(local->src_port)};
    }
    if (x) {
        x->told_in = source.reading;
        x->seen_ms = source.at_ms > x->seen_ms ? source.at_ms : x->seen_ms;
        x->confirmed = x->confirmed || source.snapshot;
        if (pid) {
            x->pid = pid;
        }
        if (pid || in_tree) { /* a row without an owner takes nothing from what is known */
            x->in_tree = in_tree;
        }
    }
    return x;
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

void listeners_snapshot_end(struct listeners *l, uint32_t reading)
{
    for (uint32_t i = l->count; i-- > 0;) {
        if (l->all[i].told_in < reading) {
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

/* How exactly a listener, of the right port, is bound to where a connection goes. */
enum fit { FIT_NONE, FIT_MAYBE_DUAL, FIT_WILDCARD, FIT_EXACT };

static enum fit fit_of(const struct listener *x, const struct tuple *connection)
{
    bool same_family = x->family == connection->family;
    if (ip_addr_is_any(&x->address, x->family)) {
        bool maybe_dual = x->family == FAMILY_IP6 && !x->confirmed;
        return same_family ? FIT_WILDCARD : maybe_dual ? FIT_MAYBE_DUAL : FIT_NONE;
    }
    return same_family && ip_addr_equal(&x->address, &connection->dst) ? FIT_EXACT : FIT_NONE;
}

const struct listener *listeners_find(const struct listeners *l, const struct tuple *connection)
{
    const struct listener *found = NULL;
    enum fit best = FIT_NONE;
    const uint16_t port = be16_to_host(connection->dst_port);
    for (uint32_t i = 0; i < l->count && best != FIT_EXACT; i++) {
        enum fit fit = l->all[i].port == port ? fit_of(&l->all[i], connection) : FIT_NONE;
        if (fit > best) {
            best = fit;
            found = &l->all[i];
        }
    }
    return found;
}

bool listeners_serve(const struct listeners *l, const struct tuple *connection, uint32_t pid)
{
    bool every_address = ip_addr_is_any(&connection->dst, connection->family);
    enum fit best = FIT_NONE, own = FIT_NONE;
    const uint16_t port = be16_to_host(connection->dst_port);
    for (uint32_t i = 0; i < l->count; i++) {
        const struct listener *x = &l->all[i];
        if (x->port != port) {
            continue;
        }
        enum fit fit = every_address && x->family == connection->family ? FIT_EXACT : fit_of(x, connection);
        best = fit > best ? fit : best;
        own = fit > own && x->pid == pid ? fit : own;
    }
    return own != FIT_NONE && own == best;
}
