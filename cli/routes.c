/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "routes.h"

#include "output.h"
#include "relay_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_MS = 5000, LOGIN_MS = 5000 };

struct tended_way {
    struct way way;
    bool down;
    ULONGLONG check_at;           /* when it is tried again */
    struct dial *check;           /* that is under way; NULL: none is */
    struct rules_in_force *owner; /* while it is */
};

struct routes {
    struct upstream_list proxies;
    struct {
        struct tended_way ways[ROUTE_WAYS_MAX];
        uint32_t count;
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

static bool take_routes(struct routes *r, const struct rules_file *f, const struct rules_teller *to)
{
    bool wrong = false;
    for (r->count = 0; r->count < f->route_count; r->count++) {
        const struct route *from = &f->routes[r->count];
        for (uint32_t i = 0; i < from->way_count; i++) {
            const char *const *hops = from->ways[i].hops;
            struct way *w = &r->all[r->count].ways[i].way;
            w->to = proxy_of(r, hops[0], &wrong);
            w->over = w->to && hops[1] ? proxy_of(r, hops[1], &wrong) : NULL;
        }
        r->all[r->count].count = from->way_count;
    }
    if (wrong) {
        rules_tell(to, "the rules name more than %d proxies", UPSTREAM_RULES_MAX);
    }
    return !wrong;
}

struct routes *routes_open(const struct rules_file *f, uint32_t connect_ms, const struct rules_teller *to)
{
    struct routes *r = calloc(1, sizeof *r);
    if (!r) {
        rules_tell(to, "out of memory");
        return NULL;
    }
    const char *host = NULL;
    if (!take_routes(r, f, to)) {
        routes_free(r);
        return NULL;
    }
    if (upstream_resolve(&r->proxies, connect_ms, &host)) {
        rules_tell(to, "the proxy's host '%s' was not found", host);
        routes_free(r);
        return NULL;
    }
    relay_loop_find_local(&r->proxies);
    return r;
}

void routes_free(struct routes *r)
{
    if (r) {
        SecureZeroMemory(&r->proxies, sizeof r->proxies);
    }
    free(r);
}

uint32_t routes_local(const struct routes *r, redirector_address *out, uint32_t max)
{
    return r ? relay_loop_local(&r->proxies, out, max) : 0;
}

/* ---- which one */

struct rules_in_force *routes_find(struct rules_state *s, uint32_t upstream, struct ways *out)
{
    struct rules_in_force *f = upstream ? rules_state_take_of(s, upstream) : NULL;
    uint32_t number = f ? rules_route_number(f, upstream) : 0;
    *out = (struct ways){.count = 0};
    if (!number || !f->routes) {
        rules_release(f);
        return NULL;
    }
    const struct routes *r = f->routes;
    for (int down = 0; down < 2; down++) { /* those that work, in order; then the others: they may work again */
        for (uint32_t i = 0; i < r->all[number - 1].count; i++) {
            const struct tended_way *w = &r->all[number - 1].ways[i];
            if (w->down == (down != 0)) {
                out->all[out->count++] = w->way;
            }
        }
    }
    return f;
}

/* ---- whether they work */

static void tell(const struct way *w, const char *what)
{
    char text[700];
    way_text(text, sizeof text, w);
    output_message("the way through %s %s", text, what);
}

void routes_failed(struct rules_in_force *f, const struct way *w)
{
    struct routes *r = f->routes;
    for (uint32_t i = 0; i < r->count; i++) {
        for (uint32_t k = 0; k < r->all[i].count; k++) {
            struct tended_way *t = &r->all[i].ways[k];
            if (t->way.to != w->to || t->way.over != w->over || t->down || !t->way.to) {
                continue;
            }
            t->down = true;
            t->check_at = GetTickCount64() + CHECK_MS;
            if (r->all[i].count > 1) {
                tell(w, "does not work; others are taken until it does");
            }
        }
    }
}

static void on_checked(void *context, const struct dial_result *result)
{
    struct tended_way *t = context;
    struct rules_in_force *owner = t->owner;
    bool works = result->socket != INVALID_SOCKET;
    t->check = NULL;
    t->check_at = GetTickCount64() + CHECK_MS;
    t->down = !works;
    if (works) {
        closesocket(result->socket);
        tell(&t->way, "works again");
    }
    rules_release(owner);
}

static void watch(struct rules_in_force *f, struct dialler *dialler, bool stop)
{
    struct routes *r = f->routes;
    ULONGLONG now = GetTickCount64();
    for (uint32_t i = 0; i < r->count; i++) {
        for (uint32_t k = 0; k < r->all[i].count; k++) {
            struct tended_way *t = &r->all[i].ways[k];
            if (stop && t->check) {
                dial_cancel(t->check);
                t->check = NULL;
                rules_release(t->owner);
            } else if (!stop && t->down && !t->check && now >= t->check_at) {
                struct dial_plan plan = {
                    .via = t->way.to, .over = t->way.over, .limit_ms = LOGIN_MS, .done = on_checked, .context = t};
                t->owner = rules_hold(f);
                t->check = dial_start(dialler, &plan);
                if (!t->check) {
                    rules_release(f);
                }
            }
        }
    }
}

void routes_watch(struct rules_state *s, struct dialler *dialler, bool stop)
{
    struct rules_in_force *f = rules_state_take(s);
    if (f->routes) {
        watch(f, dialler, stop);
    }
    rules_release(f);
}
