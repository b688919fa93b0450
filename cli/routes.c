/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "routes.h"

#include "output.h"
#include "relay_loop.h"
#include "resolve.h"
#include "route_option.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRY_MS = 10000, CHECK_MS = 5000, LOGIN_MS = 5000 };

struct tended_way {
    struct way way;
    bool down;
    ULONGLONG check_at;   /* when it is tried again */
    struct dial *check;   /* that is under way; NULL: none is */
    struct routes *owner; /* while it is, held */
};

struct routes {
    atomic_uint holders;
    struct upstream_list proxies;
    struct tended_route {
        struct tended_way ways[ROUTE_WAYS_MAX];
        uint32_t count;
        const char *whom;
    } all[ROUTES_MAX];
    uint32_t count;
};

void way_text(char *out, size_t size, const struct way *w)
{
    if (!w->to) {
        snprintf(out, size, "directly");
    } else if (w->over) {
        snprintf(out, size, "%s over %s", w->to->name, w->over->name);
    } else {
        snprintf(out, size, "%s", w->to->name);
    }
}

/* ---- reading */

static bool is_same(const struct upstream *a, const struct upstream *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->user, b->user) == 0 && strcmp(a->password, b->password) == 0;
}

/* The proxy of a URL, the same one for the same URL; NULL: directly. *wrong: there are too many. */
static const struct upstream *proxy_of(struct routes *r, const char *url, bool *wrong)
{
    struct upstream_list *all = &r->proxies;
    struct upstream one;
    uint32_t at = 0;
    if (strcmp(url, "direct") == 0) {
        return NULL;
    }
    upstream_read(&one, url); /* the file's reader has checked it */
    while (at < all->count && !is_same(&all->entries[at], &one)) {
        at++;
    }
    *wrong = *wrong || at == UPSTREAM_RULES_MAX;
    if (!*wrong && at == all->count) {
        all->entries[all->count++] = one;
    }
    SecureZeroMemory(&one, sizeof one);
    return *wrong ? NULL : &all->entries[at];
}

static bool take_routes(struct routes *r, const struct route *all, uint32_t count, const struct rules_teller *to)
{
    bool wrong = false;
    for (r->count = 0; r->count < count; r->count++) {
        const struct route *from = &all[r->count];
        for (uint32_t i = 0; i < from->way_count; i++) {
            const char *const *hops = from->ways[i].hops;
            struct way *w = &r->all[r->count].ways[i].way;
            w->to = proxy_of(r, hops[0], &wrong);
            w->over = w->to && hops[1] ? proxy_of(r, hops[1], &wrong) : NULL;
        }
        r->all[r->count].count = from->way_count;
        r->all[r->count].whom = from->whom;
    }
    if (wrong) {
        rules_tell(to, "there are more than %d proxies", UPSTREAM_RULES_MAX);
    }
    return !wrong;
}

DWORD routes_limit_ms(uint32_t connect_ms)
{
    return min(connect_ms, (DWORD)TRY_MS);
}

/* Finds the addresses of all. 0, or the error, and *host is whose. */
static DWORD find_addresses(struct upstream_list *list, uint32_t connect_ms, const char **host)
{
    DWORD error = 0;
    for (uint32_t i = 0; i < list->count && !error; i++) {
        struct upstream *u = &list->entries[i];
        *host = u->host;
        error = resolve(u->host, u->port, u->addresses, UPSTREAM_ADDRESSES_MAX, routes_limit_ms(connect_ms),
                        &u->address_count);
    }
    return error;
}

struct routes *routes_open(const struct route *all, uint32_t count, uint32_t connect_ms, const struct rules_teller *to)
{
    const char *host = NULL;
    struct routes *r = calloc(1, sizeof *r);
    if (!r) {
        rules_tell(to, "out of memory");
        return NULL;
    }
    r->holders = 1;
    if (!take_routes(r, all, count, to)) {
        routes_release(r);
        return NULL;
    }
    DWORD error = find_addresses(&r->proxies, connect_ms, &host);
    if (error) {
        rules_tell(to, "the upstream's host '%s' was not found%s", host,
                   error == WSAETIMEDOUT ? ": the name service does not answer" : "");
        routes_release(r);
        return NULL;
    }
    relay_loop_find_local(&r->proxies);
    return r;
}

struct routes *routes_hold(struct routes *r)
{
    if (r) {
        atomic_fetch_add(&r->holders, 1);
    }
    return r;
}

void routes_release(struct routes *r)
{
    if (r && atomic_fetch_sub(&r->holders, 1) == 1) {
        SecureZeroMemory(&r->proxies, sizeof r->proxies);
        free(r);
    }
}

uint32_t routes_local(const struct routes *r, redirector_address *out, uint32_t max)
{
    return r ? relay_loop_local(&r->proxies, out, max) : 0;
}

/* ---- which one */

uint32_t routes_count(const struct routes *r)
{
    return r->count;
}

/* Those that work, in order; then the others: they may work again. */
void routes_ways(const struct routes *r, uint32_t route, struct ways *out)
{
    const struct tended_route *from = &r->all[route];
    *out = (struct ways){.count = 0};
    for (int down = 0; down < 2; down++) {
        for (uint32_t i = 0; i < from->count; i++) {
            if (from->ways[i].down == (down != 0)) {
                out->all[out->count++] = from->ways[i].way;
            }
        }
    }
}

/* Of the rule; NULL: it names none, or it is too long ago. */
static struct routes *find(struct rules_state *s, uint32_t upstream, struct ways *out)
{
    struct rules_in_force *f = upstream ? rules_state_take_of(s, upstream) : NULL;
    uint32_t number = f ? rules_route_number(f, upstream) : 0;
    struct routes *r = number ? routes_hold(f->routes) : NULL;
    if (r) {
        routes_ways(r, number - 1, out);
    }
    rules_release(f);
    return r;
}

/* Of --upstream; NULL: none means it. */
static struct routes *choose(struct routes *r, const char *program, const redirector_address *destination,
                             struct ways *out)
{
    *out = (struct ways){.count = 1};
    for (uint32_t i = r ? r->count : 0; i-- > 0;) {
        if (route_means(r->all[i].whom, program, destination)) {
            routes_ways(r, i, out);
            return routes_hold(r);
        }
    }
    return NULL;
}

struct routes *routes_for(struct rules_state *s, uint32_t upstream, struct routes *upstreams, const char *program,
                          const redirector_address *destination, struct ways *out)
{
    struct routes *of_rule = find(s, upstream, out);
    return of_rule ? of_rule : choose(upstreams, program, destination, out);
}

/* ---- whether they work */

static void tell(const struct way *w, const char *what)
{
    char text[700];
    way_text(text, sizeof text, w);
    output_message("the way through %s %s", text, what);
}

void routes_failed(struct routes *r, const struct way *w)
{
    for (uint32_t i = 0; i < r->count; i++) {
        for (uint32_t k = 0; r->all[i].count > 1 && k < r->all[i].count; k++) { /* else there is no other */
            struct tended_way *t = &r->all[i].ways[k];
            if (t->way.to != w->to || t->way.over != w->over || t->down || !t->way.to) {
                continue;
            }
            t->down = true;
            t->check_at = GetTickCount64() + CHECK_MS;
            tell(w, "does not work; others are taken until it does");
        }
    }
}

static void on_checked(void *context, const struct dial_result *result)
{
    struct tended_way *t = context;
    struct routes *owner = t->owner;
    bool works = result->socket != INVALID_SOCKET;
    t->check = NULL;
    t->check_at = GetTickCount64() + CHECK_MS;
    t->down = !works;
    if (works) {
        closesocket(result->socket);
        tell(&t->way, "works again");
    }
    routes_release(owner);
}

static void watch_way(struct routes *r, struct tended_way *t, struct dialler *dialler, bool stop)
{
    if (stop && t->check) {
        dial_cancel(t->check);
        t->check = NULL;
        routes_release(t->owner);
    } else if (!stop && t->down && !t->check && GetTickCount64() >= t->check_at) {
        struct dial_plan plan = {
            .via = t->way.to, .over = t->way.over, .limit_ms = LOGIN_MS, .done = on_checked, .context = t};
        t->owner = routes_hold(r);
        t->check = dial_start(dialler, &plan);
        if (!t->check) {
            routes_release(r);
        }
    }
}

/* NOLINTBEGIN(clang-analyzer-unix.Malloc): the caller holds it, too */
static void watch(struct routes *r, struct dialler *dialler, bool stop)
{
    for (uint32_t i = 0; r && i < r->count; i++) {
        for (uint32_t k = 0; k < r->all[i].count; k++) {
            watch_way(r, &r->all[i].ways[k], dialler, stop);
        }
    }
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */

void routes_watch(struct rules_state *s, struct routes *upstreams, struct dialler *dialler, bool stop)
{
    struct rules_in_force *f = rules_state_take(s);
    watch(f->routes, dialler, stop);
    watch(upstreams, dialler, stop);
    rules_release(f);
}
