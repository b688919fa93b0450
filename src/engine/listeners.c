/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: an array without gaps, and chains through it, one for the ports with the same last bits. So what a
 * first packet costs does not grow with the listeners of the machine, which are a hundred on a usual one.
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

static uint16_t *chain_of(struct listeners *l, uint16_t port)
{
    return &l->chains[port % LISTENER_CHAINS];
}

/* The first one in the port's chain, or what follows another there; NULL: none. */
static struct listener *first_of(const struct listeners *l, uint16_t port)
{
    uint16_t link = l->chains[port % LISTENER_CHAINS];
    return link ? &l->all[link - 1] : NULL;
}

static struct listener *next_of(const struct listeners *l, const struct listener *x)
{
    return x->next ? &l->all[x->next - 1] : NULL;
}

static void enter_chain(struct listeners *l, struct listener *x)
{
    uint16_t *link = chain_of(l, x->port);
    x->next = *link;
    *link = (uint16_t)(x - l->all + 1);
}

static void leave_chain(struct listeners *l, const struct listener *x)
{
    uint16_t *link = chain_of(l, x->port);
    while (&l->all[*link - 1] != x) {
        link = &l->all[*link - 1].next;
    }
    *link = x->next;
}

/* The last one takes its place. */
static void drop(struct listeners *l, struct listener *x)
{
    struct listener *last = &l->all[l->count - 1];
    leave_chain(l, x);
    if (x != last) {
        leave_chain(l, last);
        *x = *last;
        enter_chain(l, x);
    }
    l->count--;
}

static bool is_at(const struct listener *x, const struct tuple *local)
{
    return x->port == be16_to_host(local->src_port) && x->family == local->family &&
           ip_addr_equal(&x->address, &local->src);
}

/* The entry of this socket. An unknown owner, on either side, stands for any. */
static struct listener *find(const struct listeners *l, const struct tuple *local, uint32_t pid)
{
    for (struct listener *x = first_of(l, be16_to_host(local->src_port)); x; x = next_of(l, x)) {
        if (is_at(x, local) && (x->pid == pid || !x->pid || !pid)) {
            return x;
        }
    }
    return NULL;
}

bool listeners_remove_others(struct listeners *l, const struct tuple *local, uint32_t pid)
{
    const uint16_t port = be16_to_host(local->src_port);
    bool found = false;
    for (struct listener *x = first_of(l, port); x;) {
        bool other = x->pid && x->pid != pid && is_at(x, local);
        if (other) {
            drop(l, x);
        }
        found |= other;
        x = other ? first_of(l, port) : next_of(l, x); /* the chain is another now */
    }
    return found;
}

bool listeners_outlive(const struct listeners *l, const struct socket_event *event)
{
    bool closed = event->kind == SOCKET_CLOSE;
    const struct listener *x = first_of(l, be16_to_host(event->tuple.src_port));
    for (; x; x = next_of(l, x)) {
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
        enter_chain(l, x);
    }
    if (x) {
        x->told_in = source.reading;
        x->seen_ms = source.at_ms > x->seen_ms ? source.at_ms : x->seen_ms;
        x->confirmed = x->confirmed || (source.snapshot && !l->dual);
        if (pid) {
            x->judged = x->pid == pid ? x->judged : 0;
            x->pid = pid;
        }
        if (pid || in_tree) { /* a row without an owner takes nothing from what is known */
            x->in_tree = in_tree;
        }
    }
    return x;
}

bool listeners_remove(struct listeners *l, const struct tuple *local, uint32_t pid)
{
    struct listener *x = find(l, local, pid);
    if (x) {
        drop(l, x);
    }
    return x != NULL;
}

void listeners_remove_twin(struct listeners *l, const struct tuple *local, uint32_t pid)
{
    if (listeners_may_be_dual_stack(local)) {
        struct tuple twin = {.src = ip_addr_any(FAMILY_IP4), .src_port = local->src_port, .family = FAMILY_IP4};
        listeners_remove(l, &twin, pid);
    }
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
    for (const struct listener *y = first_of(l, x->port); y; y = next_of(l, y)) {
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
    for (const struct listener *x = first_of(l, port); x && best != FIT_EXACT; x = next_of(l, x)) {
        enum fit fit = x->port == port ? fit_of(x, connection) : FIT_NONE;
        if (fit > best) {
            best = fit;
            found = x;
        }
    }
    return found;
}

bool listeners_serve(const struct listeners *l, const struct tuple *connection, uint32_t pid)
{
    bool every_address = ip_addr_is_any(&connection->dst, connection->family);
    enum fit best = FIT_NONE, own = FIT_NONE;
    const uint16_t port = be16_to_host(connection->dst_port);
    for (const struct listener *x = first_of(l, port); x; x = next_of(l, x)) {
        if (x->port != port) {
            continue;
        }
        enum fit fit = every_address && x->family == connection->family ? FIT_EXACT : fit_of(x, connection);
        best = fit > best ? fit : best;
        own = fit > own && x->pid == pid ? fit : own;
    }
    return own != FIT_NONE && own == best;
}

bool listeners_own(const struct listeners *l, const struct tuple *local, uint32_t pid)
{
    const struct tuple connection = tuple_reversed(local);
    const uint16_t port = be16_to_host(local->src_port);
    for (const struct listener *x = first_of(l, port); x; x = next_of(l, x)) {
        if (x->port == port && x->pid == pid && fit_of(x, &connection) != FIT_NONE) {
            return true;
        }
    }
    return false;
}
