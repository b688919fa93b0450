/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: whoever uses a set of rules holds it, so that the next one can take its place at any time. A
 * connection that was judged just before may arrive at the relay just after; so the last sets are kept, and the
 * `upstream` of their rules has the number of the set in it. A new set can be found before the library has it, and counts
 * as the one in force when the library does.
 */
#include "rules_state.h"

#include "hosts_file.h"
#include "routes.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>
#include <windows.h>

enum { KEPT = 16, ROUTE_BITS = 8 };

static_assert(ROUTES_MAX < 1 << ROUTE_BITS, "the number of a route has room beside that of the set");

struct rules_state {
    const redirector_rule *own;
    uint32_t own_count;
    SRWLOCK setting;                         /* one at a time */
    SRWLOCK lock;                            /* guards what follows */
    struct rules_in_force *now, *kept[KEPT]; /* by the number of the set */
    atomic_bool names_hosts;
    bool prepared, relays; /* rules_state_find_proxies() */
    uint32_t connect_ms;
};

struct rules_in_force *rules_hold(struct rules_in_force *f)
{
    if (f) {
        atomic_fetch_add(&f->holders, 1);
    }
    return f;
}

void rules_release(struct rules_in_force *f)
{
    if (f && atomic_fetch_sub(&f->holders, 1) == 1) {
        rules_unload(&f->loaded);
        routes_release(f->routes);
        free(f);
    }
}

struct rules_in_force *rules_make(struct rules_loaded *l, const redirector_rule *own, uint32_t own_count,
                                  const struct rules_teller *to)
{
    struct rules_in_force *f = l->file.count + own_count <= RULES_FILE_RULES_MAX ? calloc(1, sizeof *f) : NULL;
    if (!f) {
        rules_tell(to,
                   l->file.count + own_count <= RULES_FILE_RULES_MAX ? "out of memory"
                                                                     : "there are more than 256 rules in all: %" PRIu32
                                                                       " of the file, %" PRIu32 " of the command line",
                   l->file.count, own_count);
        rules_unload(l);
        return NULL;
    }
    f->loaded = *l;
    *l = (struct rules_loaded){.size = 0};
    f->holders = 1;
    f->from_file = f->loaded.file.count;
    f->count = f->from_file + own_count;
    memcpy(f->rules, f->loaded.file.rules, f->from_file * sizeof *f->rules);
    if (own_count) {
        memcpy(f->rules + f->from_file, own, own_count * sizeof *f->rules);
    }
    for (uint32_t i = 0; i < f->count; i++) {
        f->any_host[i] = f->rules[i];
        if (f->rules[i].host) {
            f->any_host[i].host = "*";
            f->names_hosts = true;
        }
    }
    return f;
}

uint32_t rules_route_number(const struct rules_in_force *f, uint32_t upstream)
{
    uint32_t route = upstream & ((1u << ROUTE_BITS) - 1);
    return route <= f->loaded.file.route_count ? route : 0;
}

const struct route *rules_route(const struct rules_in_force *f, uint32_t upstream)
{
    uint32_t route = rules_route_number(f, upstream);
    return route ? &f->loaded.file.routes[route - 1] : NULL;
}

/* False: something was wrong, and was told. */
static bool find_proxies(const struct rules_state *s, struct rules_in_force *f, const struct rules_teller *to)
{
    if (!f->loaded.file.route_count || !s->prepared) {
        return true;
    }
    if (!s->relays) {
        rules_tell(to, "the rules say 'through', but nothing is relayed: --proxy-port takes the relay's place");
        return false;
    }
    f->routes = routes_open(f->loaded.file.routes, f->loaded.file.route_count, s->connect_ms, to);
    return f->routes;
}

bool rules_state_find_proxies(struct rules_state *s, bool relays, uint32_t connect_ms)
{
    s->prepared = true;
    s->relays = relays;
    s->connect_ms = connect_ms;
    return s->now->routes || find_proxies(s, s->now, &rules_messages);
}

/* ---- those in force */

/* To be found from now on by the `upstream` of its rules. */
static void keep(struct rules_state *s, struct rules_in_force *f)
{
    static_assert(KEPT < 1 << (32 - ROUTE_BITS), "two sets that are kept have different numbers");
    AcquireSRWLockExclusive(&s->lock);
    f->number = s->now ? s->now->number + 1 : 0;
    for (uint32_t i = 0; i < f->count; i++) {
        f->rules[i].upstream |= f->rules[i].upstream ? f->number << ROUTE_BITS : 0;
    }
    struct rules_in_force *oldest = s->kept[f->number % KEPT];
    s->kept[f->number % KEPT] = rules_hold(f);
    ReleaseSRWLockExclusive(&s->lock);
    rules_release(oldest);
}

/* In force from now on; takes it over. */
static void put_in_force(struct rules_state *s, struct rules_in_force *f)
{
    AcquireSRWLockExclusive(&s->lock);
    struct rules_in_force *former = s->now;
    s->now = f;
    atomic_store(&s->names_hosts, f->names_hosts);
    ReleaseSRWLockExclusive(&s->lock);
    rules_release(former);
}

struct rules_state *rules_state_open(const wchar_t *path, const redirector_rule *own, uint32_t own_count)
{
    struct rules_loaded l = {.size = 0};
    struct rules_state *s = calloc(1, sizeof *s);
    if (!s) {
        rules_tell(&rules_messages, "out of memory");
        return NULL;
    }
    s->own = own;
    s->own_count = own_count;
    InitializeSRWLock(&s->setting);
    InitializeSRWLock(&s->lock);
    struct rules_in_force *f =
        !path || rules_load(path, true, &l) ? rules_make(&l, own, own_count, &rules_messages) : NULL;
    if (!f) {
        rules_state_close(s);
        return NULL;
    }
    keep(s, f);
    put_in_force(s, f);
    return s;
}

void rules_state_close(struct rules_state *s)
{
    if (!s) {
        return;
    }
    rules_release(s->now);
    for (uint32_t i = 0; i < KEPT; i++) {
        rules_release(s->kept[i]);
    }
    free(s);
}

struct rules_in_force *rules_state_take(struct rules_state *s)
{
    AcquireSRWLockShared(&s->lock);
    struct rules_in_force *f = rules_hold(s->now);
    ReleaseSRWLockShared(&s->lock);
    return f;
}

struct rules_in_force *rules_state_take_of(struct rules_state *s, uint32_t upstream)
{
    AcquireSRWLockShared(&s->lock);
    uint32_t number = upstream >> ROUTE_BITS;
    struct rules_in_force *f = s->kept[number % KEPT];
    f = f && (f->number << ROUTE_BITS) >> ROUTE_BITS == number ? rules_hold(f) : NULL;
    ReleaseSRWLockShared(&s->lock);
    return f;
}

bool rules_state_names_hosts(const struct rules_state *s)
{
    return atomic_load(&s->names_hosts);
}

static bool set(struct rules_state *s, redirector *r, struct rules_in_force *f, const struct rules_teller *to)
{
    redirector_error error = {.size = sizeof error};
    if (!find_proxies(s, f, to)) {
        rules_release(f);
        return false;
    }
    keep(s, f);
    if (f->names_hosts && !rules_state_names_hosts(s)) {
        hosts_file_tell(r); /* before the rules are */
    }
    if (redirector_set_rules(r, f->rules, f->count, &error) != REDIRECTOR_OK) {
        rules_tell(to, "the rules cannot be set: %s", error.text);
        rules_release(f);
        return false;
    }
    put_in_force(s, f);
    return true;
}

bool rules_state_set(struct rules_state *s, redirector *r, const char *name, const char *bytes, size_t size,
                     const struct rules_teller *to, uint32_t *count)
{
    struct rules_loaded l;
    AcquireSRWLockExclusive(&s->setting);
    struct rules_in_force *f =
        rules_load_bytes(name, bytes, size, true, to, &l) ? rules_make(&l, s->own, s->own_count, to) : NULL;
    *count = f ? f->count : 0;
    bool good = f && set(s, r, f, to);
    ReleaseSRWLockExclusive(&s->setting);
    return good;
}
