/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file routes.h
 * Where "through" of a file of rules leads: proxies, one reached over another, and others that are tried in their stead.
 *
 * They belong to a set of rules (rules_state.h) and do not change with it. A way that has failed is left out while there is
 * another, and tried again every few seconds until it works: that is the relay's thread alone.
 */
#ifndef CLI_ROUTES_H
#define CLI_ROUTES_H

#include "dial.h"
#include "rules_state.h"
#include "upstream.h"

/** One way to a destination. */
struct way {
    const struct upstream *to;   /**< NULL: directly */
    const struct upstream *over; /**< `to` is reached through it; NULL: by itself */
};

struct ways {
    struct way all[ROUTE_WAYS_MAX];
    uint32_t count;
};

/** The proxy that a way connects to; NULL: none. */
static inline const struct upstream *way_near(const struct way *w)
{
    return w->over ? w->over : w->to;
}

/** For people: "socks5://a:1080 over http://b:8080", "directly". */
void way_text(char *out, size_t size, const struct way *w);

struct routes;

/**
 * Looks up the hosts, each within the smaller of 10 s and `connect_ms`. NULL: something was wrong, and was told.
 */
struct routes *routes_open(const struct rules_file *f, uint32_t connect_ms, const struct rules_teller *to);
void routes_free(struct routes *r); /**< NULL is fine */

/** Addresses of its proxies that are this machine's; at most `max`. Returns how many. */
uint32_t routes_local(const struct routes *r, redirector_address *out, uint32_t max);

/* The relay's thread: */

/** The set of rules that a connection was judged by, with the ways of the route that its rule names, in the order in which
 * they are to be tried. NULL: it names none, or it is too long ago. Else rules_release() is the caller's. */
struct rules_in_force *routes_find(struct rules_state *s, uint32_t upstream, struct ways *out);

/** A way has failed by a fault of its proxy's. */
void routes_failed(struct rules_in_force *f, const struct way *w);

/** Looks after the ways that have failed. To be called regularly; `stop`: nothing is begun any more. */
void routes_watch(struct rules_state *s, struct dialler *dialler, bool stop);

#endif
