/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file routes.h
 * Where "through" of a file of rules leads, and --upstream: proxies, one reached over another, and others that are tried in
 * their stead.
 *
 * Those of a file belong to a set of rules (rules_state.h) and do not change with it. A way that has failed is left out while there is
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
 * Looks up the hosts, each within routes_limit_ms(). What `whom` of the routes points to must outlive it.
 * NULL: something was wrong, and was told.
 */
struct routes *routes_open(const struct route *all, uint32_t count, uint32_t connect_ms, const struct rules_teller *to);

/** To be called by whoever has opened, held or found it; NULL is fine. Any thread. */
void routes_release(struct routes *r);
struct routes *routes_hold(struct routes *r);

/** How long a proxy may take before the program runs: 10 s, or `connect_ms` where that is less. */
DWORD routes_limit_ms(uint32_t connect_ms);

/** routes_try.c: of each route, tries its ways as far as the login, before any program runs; a message for each that does
 * not work. False: of one none works. Blocks, for each at most routes_limit_ms(). */
bool routes_try(const struct routes *r, uint32_t connect_ms);

/** Addresses of its proxies that are this machine's; at most `max`. Returns how many. */
uint32_t routes_local(const struct routes *r, redirector_address *out, uint32_t max);

/** Its routes, for routes_try(). */
uint32_t routes_count(const struct routes *r);
void routes_ways(const struct routes *r, uint32_t route, struct ways *out);

/* The relay's thread: */

/**
 * The ways of a connection, in the order in which they are to be tried: of the route that its rule names, by the `upstream`
 * that the library tells of it; else of the last of `upstreams` (--upstream; NULL: none) that means it; else directly.
 * What they belong to, which the caller releases; NULL: they are the way directly.
 */
struct routes *routes_for(struct rules_state *s, uint32_t upstream, struct routes *upstreams, const char *program,
                          const redirector_address *destination, struct ways *out);

/** A way has failed by a fault of its proxy's. */
void routes_failed(struct routes *r, const struct way *w);

/** Looks after the ways of the rules in force, and of `upstreams`, that have failed. To be called regularly; `stop`: nothing
 * is begun any more. */
void routes_watch(struct rules_state *s, struct routes *upstreams, struct dialler *dialler, bool stop);

#endif
