/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Passwords are left out, wherever a rule is shown. */
#include "rules_show.h"

#include "json.h"
#include "output.h"
#include "pattern.h"
#include "upstream.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <winsock2.h>
#include <ws2tcpip.h>

struct out {
    char *text;
    size_t size, used;
};

/* NOLINTNEXTLINE(readability-non-const-parameter): put() writes there */
static struct out into(char *text, size_t size)
{
    return (struct out){text, size, 0};
}

static void put(struct out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct out *o, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(o->text + o->used, o->size - o->used, format, arguments);
    va_end(arguments);
    o->used = length < 0 || (size_t)length >= o->size - o->used ? o->size - 1 : o->used + (size_t)length;
}

static void put_text(struct out *o, const char *name, const char *value)
{
    char quoted[3200];
    if (value) {
        json_string_utf8(quoted, sizeof quoted, value);
        put(o, ",\"%s\":%s", name, quoted);
    }
}

/* Without "user:password@". */
static void url_without_login(char *out, size_t size, const char *url)
{
    const char *scheme = strstr(url, "://"), *at = scheme ? strrchr(url, '@') : NULL;
    snprintf(out, size, "%.*s%s", at ? (int)(scheme + 3 - url) : 0, url, at ? at + 1 : url);
}

static void put_url(struct out *o, const char *url)
{
    char whole[600], quoted[700];
    url_without_login(whole, sizeof whole, url);
    json_string_utf8(quoted, sizeof quoted, whole);
    put(o, "%s", quoted);
}

static void put_route(struct out *o, const struct route *route)
{
    put(o, ",\"through\":[");
    for (uint32_t i = 0; i < route->way_count; i++) {
        put(o, i ? ",[" : "[");
        for (int hop = 0; hop < ROUTE_HOPS_MAX && route->ways[i].hops[hop]; hop++) {
            put(o, hop ? "," : "");
            put_url(o, route->ways[i].hops[hop]);
        }
        put(o, "]");
    }
    put(o, "]");
}

void rules_json(char *out, size_t size, const struct rules_in_force *f, uint32_t number)
{
    static const char *const actions[] = {"pass", "redirect", "block"}, *const directions[] = {"", "outgoing",
                                                                                               "incoming"};
    const redirector_rule *r = &f->rules[number];
    const struct route *route = rules_route(f, r->upstream);
    struct out o = into(out, size);
    put(&o, "{\"type\":\"rule\",\"line\":");
    put(&o, number < f->from_file ? "%" PRIu32 : "null", number < f->from_file ? f->loaded.file.lines[number] : 0);
    put(&o, ",\"action\":\"%s\"", actions[r->action]);
    if (r->pid) {
        put(&o, ",\"pid\":%" PRIu32, r->pid);
    }
    put_text(&o, "program", r->pattern);
    put_text(&o, "listener", r->listener);
    put_text(&o, "direction", r->direction ? directions[r->direction] : NULL);
    put_text(&o, "protocol", r->protocol == REDIRECTOR_TCP ? "tcp" : r->protocol ? "udp" : NULL);
    if (r->family) {
        char address[INET6_ADDRSTRLEN] = "";
        inet_ntop(r->family == 6 ? AF_INET6 : AF_INET, r->network, address, sizeof address);
        put(&o, ",\"network\":\"%s/%" PRIu32 "\"", address, r->prefix_length);
    }
    put_text(&o, "host", r->host);
    if (r->last_port) {
        put(&o, ",\"first_port\":%" PRIu32 ",\"last_port\":%" PRIu32, r->first_port, r->last_port);
    }
    if (route) {
        put_route(&o, route);
    }
    put(&o, "}");
}

/* The text of a line of the file, without logins. */
static void line_text(char *out, size_t size, const struct rules_loaded *l, uint32_t line)
{
    const char *at = l->bytes, *end = l->bytes + l->size;
    for (; line > 1 && at < end; line--) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        at = next ? next + 1 : end;
    }
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    size_t length = 0;
    while (at + length < end && at[length] != '\n' && at[length] != '\r') {
        length++;
    }
    snprintf(out, size, "%.*s", (int)(length < size ? length : size - 1), at);
    for (char *login = out; (login = strstr(login, "://")) != NULL;) { /* what is between that and '@' may be secret */
        login += 3;
        size_t word = strcspn(login, " \t,");
        char *host = login;
        for (size_t i = 0; i < word; i++) {
            host = login[i] == '@' ? login + i + 1 : host;
        }
        memmove(login, host, strlen(host) + 1);
    }
}

/* A rule of the command line, as a file would have it. */
static void own_text(char *out, size_t size, const redirector_rule *r)
{
    struct out o = into(out, size);
    put(&o, r->action == REDIRECTOR_RULE_REDIRECT ? "redirect" : "pass");
    if (r->pid) {
        put(&o, " pid %" PRIu32, r->pid);
    } else {
        put(&o, r->pattern ? " program \"%s\"" : " listener \"%s\"", r->pattern ? r->pattern : r->listener);
    }
}

void rules_text(char *out, size_t size, const struct rules_in_force *f, uint32_t number)
{
    char text[OUTPUT_LINE_MAX / 2];
    if (number < f->from_file) {
        line_text(text, sizeof text, &f->loaded, f->loaded.file.lines[number]);
        snprintf(out, size, "line %" PRIu32 ": %s", f->loaded.file.lines[number], text);
    } else {
        own_text(text, sizeof text, &f->rules[number]);
        snprintf(out, size, "command line: %s", text);
    }
}

bool rules_is_next_line(const struct rules_in_force *f, uint32_t number)
{
    return !number || number >= f->from_file || f->loaded.file.lines[number] != f->loaded.file.lines[number - 1];
}

static bool carries(const struct route_way *w, uint32_t protocol)
{
    struct upstream u;
    upstream_read(&u, w->hops[0]); /* the file's reader, or the option's, has checked it */
    bool good = protocol == REDIRECTOR_TCP || upstream_carries_datagrams(&u, w->hops[1]);
    SecureZeroMemory(&u, sizeof u);
    return good;
}

/* How the relay goes on, without the ways that cannot be. `way_count` 0: directly, or there is nothing to go on with. */
static struct route route_of(const struct rules_answer *a)
{
    struct route out = {.way_count = 0};
    const redirector_rule_case *c = a->about;
    const char *program = c->program ? pattern_file_name(c->program) : "";
    const struct route *all = NULL;
    if (a->verdict->action == REDIRECTOR_RULE_REDIRECT && c->direction == REDIRECTOR_OUTGOING) {
        all = rules_route(a->rules, a->verdict->upstream);
        all = all ? all : route_options_for(a->upstreams, program, &c->address);
    }
    for (uint32_t i = 0; all && i < all->way_count; i++) {
        if (carries(&all->ways[i], c->protocol)) {
            out.ways[out.way_count++] = all->ways[i];
        }
    }
    return out;
}

/* As behind "through", without logins. */
static void put_ways(struct out *o, const struct route *route)
{
    for (uint32_t i = 0; i < route->way_count; i++) {
        put(o, i ? ", " : " through ");
        for (int hop = 0; hop < ROUTE_HOPS_MAX && route->ways[i].hops[hop]; hop++) {
            char url[600];
            url_without_login(url, sizeof url, route->ways[i].hops[hop]);
            put(o, hop ? " over %s" : "%s", url);
        }
    }
}

void rules_answer_text(char *out, size_t size, bool json, const struct rules_answer *a)
{
    static const char *const actions[] = {"pass", "redirect", "block"};
    char rule[OUTPUT_LINE_MAX / 2] = "null";
    const redirector_rule_verdict *v = a->verdict;
    bool by_rule = v->rule != REDIRECTOR_NO_RULE;
    struct route route = route_of(a);
    struct out o = into(out, size);
    if (by_rule) {
        (json ? rules_json : rules_text)(rule, sizeof rule, a->rules, v->rule);
    }
    if (json) {
        put(&o, "{\"type\":\"verdict\",\"action\":\"%s\",\"rule\":%s", actions[v->action], rule);
        if (route.way_count) {
            put_route(&o, &route);
        } else {
            put(&o, ",\"through\":null");
        }
        put(&o, "}");
        return;
    }
    put(&o, "%s", actions[v->action]);
    put_ways(&o, &route);
    if (by_rule) {
        put(&o, ", by the last rule that matches, %s", rule);
    } else {
        put(&o, ": no rule matches, and the program %s",
            a->about->in_tree ? "is one that redirector runs" : "is not one that redirector runs");
    }
}
