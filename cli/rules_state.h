/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file rules_state.h
 * The rules in force: those of the file, behind them those of the command line. A set of rules never changes; another one
 * takes its place. Any thread.
 */
#ifndef CLI_RULES_STATE_H
#define CLI_RULES_STATE_H

#include "rules_load.h"

#include <stdatomic.h>

/** A set of rules. */
struct rules_in_force {
    redirector_rule rules[RULES_FILE_RULES_MAX];    /**< `upstream`: see rules_route() */
    redirector_rule any_host[RULES_FILE_RULES_MAX]; /**< the same, but every host's name matches, whatever it is */
    uint32_t count, from_file;                      /**< the first ones are the file's */
    bool names_hosts;                               /**< one names a host */
    uint32_t number;                                /**< of the set */
    struct rules_loaded loaded;
    struct routes *routes; /**< where "through" leads (routes.h); NULL: the file has none, or nobody goes through any */
    atomic_uint holders;
};

/** A set of a file's rules, which it takes over in any case, and of others, whose texts must outlive it. NULL: there are
 * too many, or no memory, and it was told. */
struct rules_in_force *rules_make(struct rules_loaded *l, const redirector_rule *own, uint32_t own_count,
                                  const struct rules_teller *to);

/** To be called by whoever has taken or made it. NULL is fine. */
void rules_release(struct rules_in_force *f);

/** One more of them. */
struct rules_in_force *rules_hold(struct rules_in_force *f);

/** What "through" says of a rule, by the `upstream` of one of its rules, or that the library tells of a connection.
 * NULL: nothing. It lives as long as the set. */
const struct route *rules_route(const struct rules_in_force *f, uint32_t upstream);

/** The number of that route, from 1 on; 0: none. */
uint32_t rules_route_number(const struct rules_in_force *f, uint32_t upstream);

struct rules_state;

/** Before redirecting begins, with Winsock: finds the proxies of the rules, and from now on those of later ones. `relays`:
 * somebody goes through them. False: a message was shown. */
bool rules_state_find_proxies(struct rules_state *s, bool relays, uint32_t connect_ms);

/** The rules to begin with: of the file at `path` (absolute; NULL: none), then the `own_count` others, which must outlive
 * it. NULL: messages were shown. */
struct rules_state *rules_state_open(const wchar_t *path, const redirector_rule *own, uint32_t own_count);

void rules_state_close(struct rules_state *s);

/** Those in force now. */
struct rules_in_force *rules_state_take(struct rules_state *s);

/** The set that a connection was judged by, from the `upstream` that the library tells of it: those in force, or one of
 * the last that were. NULL: it is too long ago. */
struct rules_in_force *rules_state_take_of(struct rules_state *s, uint32_t upstream);

/** Whether a rule in force names a host: then names are to be told. */
bool rules_state_names_hosts(const struct rules_state *s);

/**
 * Replaces the file's rules, also at the redirector: by those of these bytes, whose name is for messages. All or nothing:
 * false: something was wrong, and was told, and the former ones stay. *count: all rules now.
 */
bool rules_state_set(struct rules_state *s, redirector *r, const char *name, const char *bytes, size_t size,
                     const struct rules_teller *to, uint32_t *count);

#endif
