/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * See listen.h. A table; how well a listener fits a connection is a number, the greatest wins.
 */
#include "listen.h"

#include <stdio.h>
#include <string.h>

#define LISTENERS 1024

struct listener {
    uint64_t cookie; /* 0: free */
    bool ipv6;
    uint32_t addr[4];
    uint16_t port;
    uint32_t pid;
};

static struct listener listeners[LISTENERS];

static bool addr_is_zero(const uint32_t addr[4])
{
    return !(addr[0] | addr[1] | addr[2] | addr[3]);
}

void listen_add(const struct sock_event *ev)
{
    for (int i = 0; i < LISTENERS; i++) {
        struct listener *l = &listeners[i];

        if (l->cookie) {
            continue;
        }
        l->cookie = ev->endpoint;
        l->ipv6 = ev->ipv6;
        memcpy(l->addr, ev->local_addr, sizeof l->addr);
        l->port = ev->local_port;
        l->pid = ev->pid;
        return;
    }
    fprintf(stderr, "events: more than %d listeners; ACCEPT on further ones lacks its owner\n", LISTENERS);
}

void listen_remove(uint64_t cookie)
{
    for (int i = 0; i < LISTENERS; i++) {
        if (listeners[i].cookie == cookie) {
            listeners[i].cookie = 0;
        }
    }
}

/* How well a listener fits a connection's local end; 0: not at all. */
static int listener_fit(const struct listener *l, const struct sock_event *ev)
{
    if (!l->cookie || l->port != ev->local_port) {
        return 0;
    }
    if (!addr_is_zero(l->addr)) {
        return l->ipv6 == ev->ipv6 && !memcmp(l->addr, ev->local_addr, sizeof l->addr) ? 3 : 0;
    }
    if (l->ipv6 == ev->ipv6) {
        return 2;
    }
    return l->ipv6 ? 1 : 0; /* dual-stack, or the kernel would not have accepted */
}

static const struct listener *listener_find(const struct sock_event *ev)
{
    const struct listener *best = NULL;
    int best_fit = 0;

    for (int i = 0; i < LISTENERS; i++) {
        int fit = listener_fit(&listeners[i], ev);

        if (fit > best_fit) {
            best = &listeners[i];
            best_fit = fit;
        }
    }
    return best;
}

void listen_owner(struct sock_event *ev)
{
    const struct listener *l = listener_find(ev);

    if (l) {
        ev->pid = l->pid;
        ev->parent_endpoint = l->cookie;
    }
}
