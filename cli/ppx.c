/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: each rule of the profile becomes one line for each of its applications, the last rule first. Of
 * its targets those that can be written as networks or names of hosts are taken; what cannot is said in a comment above
 * the line, and a rule of which nothing is left is a comment altogether: it must not become one about everything.
 */
#include "ppx.h"

#include "ppx_profile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct builder {
    char *text;
    size_t used, size;
    bool failed;
    struct ppx_result *result;
};

static void put(struct builder *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (!b->failed && length >= 0 && b->used + (size_t)length + 1 > b->size) {
        size_t size = (b->size + (size_t)length + 1) * 2;
        char *text = realloc(b->text, size);
        b->failed = !text;
        b->text = text ? text : b->text;
        b->size = text ? size : b->size;
    }
    if (!b->failed && length >= 0) {
        va_start(arguments, format);
        vsnprintf(b->text + b->used, b->size - b->used, format, arguments);
        va_end(arguments);
        b->used += (size_t)length;
    }
}

/* For a comment: one line, whatever it held. */
static void flatten(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ') {
            *text = ' ';
        }
    }
}

static void leave_out(struct builder *b, const struct ppx_rule *rule, const char *what, const char *why)
{
    put(b, "# not imported: %s of \"%s\": %s\n", what, rule->name ? rule->name : "", why);
    b->result->left_out++;
}

/* ---- targets */

/* The next item of a list that is parted by ';' and blanks (only ';' where quoted); NULL: none is left. */
static char *next_item(char **list, bool blanks)
{
    char *at = *list;
    while (at && (*at == ';' || *at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) {
        at++;
    }
    if (!at || !*at) {
        return NULL;
    }
    char *item = at, quote = 0;
    if (*at == '"') {
        quote = *at;
        item = ++at;
    }
    while (*at && (quote ? *at != quote
                         : *at != ';' && *at != '\r' && *at != '\n' && (!blanks || (*at != ' ' && *at != '\t')))) {
        at++;
    }
    char *end = at;
    *list = *at ? at + 1 : at;
    while (!quote && end > item && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    *end = 0;
    return item;
}

/* "a.b.c.d", or with '*' in the place of the last ones; *bits: how many are told. */
static bool read_ip4(const char *text, uint32_t *address, uint32_t *bits)
{
    *address = *bits = 0;
    bool star = false;
    for (int i = 0; i < 4; i++) {
        char *end;
        unsigned long part = 0;
        if (*text == '*') {
            star = true;
            end = (char *)text + 1;
        } else if (star || *text < '0' || *text > '9') {
            return false;
        } else {
            part = strtoul(text, &end, 10);
            *bits += 8;
        }
        if (part > 255 || *end != (i < 3 ? '.' : 0)) {
            return false;
        }
        *address = *address << 8 | (uint32_t)part;
        text = end + 1;
    }
    return true;
}

static void put_network(struct builder *b, uint32_t address, uint32_t bits, bool *any)
{
    put(b, "%s%u.%u.%u.%u/%u", *any ? "," : " to ", (unsigned)(address >> 24), (unsigned)(address >> 16 & 255),
        (unsigned)(address >> 8 & 255), (unsigned)(address & 255), (unsigned)bits);
    *any = true;
}

/* A range of addresses as the fewest networks. */
static bool put_range(struct builder *b, char *item, bool *any)
{
    char *dash = strchr(item, '-');
    uint32_t first, last, bits;
    if (!dash) {
        return false;
    }
    *dash = 0;
    bool good =
        read_ip4(item, &first, &bits) && bits == 32 && read_ip4(dash + 1, &last, &bits) && bits == 32 && first <= last;
    *dash = '-';
    for (uint64_t at = good ? first : 1, end = good ? last : 0; at <= end;) {
        bits = 32;
        while (bits && at % ((uint64_t)1 << (33 - bits)) == 0 && at + ((uint64_t)1 << (33 - bits)) - 1 <= end) {
            bits--;
        }
        put_network(b, (uint32_t)at, bits, any);
        at += (uint64_t)1 << (32 - bits);
    }
    return good;
}

static bool is_name(const char *item)
{
    bool letter = false;
    for (; *item; item++) {
        unsigned char c = (unsigned char)*item;
        letter |= (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*?:", c) && c < 0x80) {
            return false;
        }
    }
    return letter;
}

/* false: it has no counterpart. */
static bool put_target(struct builder *b, char *item, bool *any)
{
    uint32_t address, bits;
    if (read_ip4(item, &address, &bits)) {
        put_network(b, address, bits, any);
        return true;
    }
    if (strcmp(item, "localhost") == 0) {
        put(b, "%s127.0.0.0/8,::1,localhost", *any ? "," : " to ");
        *any = true;
        return true;
    }
    if (strchr(item, '%') || put_range(b, item, any)) {
        return !strchr(item, '%');
    }
    bool ip6 = strspn(item, "0123456789abcdefABCDEF:") == strlen(item) && strchr(item, ':');
    if (!ip6 && (!is_name(item) || strchr(item, ':'))) {
        return false;
    }
    put(b, "%s%s", *any ? "," : " to ", item);
    *any = true;
    return true;
}

/* ---- proxies */

static const struct ppx_proxy *find_proxy(const struct ppx_profile *p, uint32_t id)
{
    for (uint32_t i = 0; i < p->proxy_count; i++) {
        if (p->proxies[i].id == id) {
            return &p->proxies[i];
        }
    }
    return NULL;
}

/* NULL, or why it has no URL. */
static const char *url_of(const struct ppx_profile *p, uint32_t id, char out[1024])
{
    const struct ppx_proxy *x = find_proxy(p, id);
    if (!x) {
        return "its proxy is not in the profile";
    }
    const char *scheme = strcmp(x->type, "SOCKS5") == 0 ? "socks5" : strncmp(x->type, "HTTP", 4) == 0 ? "http" : NULL;
    if (!scheme) {
        return "its proxy speaks neither SOCKS5 nor HTTP";
    }
    if (!*x->address || strpbrk(x->address, " ,\"/@#") || x->port < 1 || x->port > 65535) {
        return "its proxy has no address";
    }
    char user[3 * sizeof x->user + 2] = "";
    size_t used = 0;
    for (const char *c = x->login ? x->user : ""; *c; c++) {
        bool plain = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~", *c);
        used += (size_t)snprintf(user + used, sizeof user - used, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    bool v6 = strchr(x->address, ':');
    snprintf(out, 1024, "%s://%s%s%s%s%s:%u", scheme, user, *user ? "@" : "", v6 ? "[" : "", x->address, v6 ? "]" : "",
             (unsigned)x->port);
    return NULL;
}

static const struct ppx_chain *find_chain(const struct ppx_profile *p, uint32_t id)
{
    for (uint32_t i = 0; i < p->chain_count; i++) {
        if (p->chains[i].id == id) {
            return &p->chains[i];
        }
    }
    return NULL;
}

/* " through ..." of what a rule says; NULL, or why it cannot be had. */
static const char *route_of(const struct ppx_profile *p, const struct ppx_rule *rule, char out[4400])
{
    char url[1024];
    *out = 0;
    if (strcmp(rule->action, "Proxy") == 0) {
        const char *why = url_of(p, rule->to, url);
        snprintf(out, 4400, " through %s", url);
        return why;
    }
    const struct ppx_chain *c = find_chain(p, rule->to);
    bool in_turn = c && strcmp(c->type, "simple") == 0;
    if (!c || !c->count || c->too_long || c->count > (in_turn ? 2u : 4u)) {
        return in_turn || !c ? "chains have one or two proxies here" : "one to four proxies can be tried in turn here";
    }
    for (uint32_t i = 0; i < c->count; i++) { /* the first of a chain is the one that is connected to */
        const char *why = url_of(p, c->proxies[in_turn ? c->count - 1 - i : i], url);
        if (why) {
            return why;
        }
        size_t used = strlen(out);
        snprintf(out + used, 4400 - used, "%s%s", !i ? " through " : in_turn ? " over " : ", ", url);
    }
    return NULL;
}

/* ---- rules */

static void put_places(struct builder *b, char *targets, char *ports, bool *nothing)
{
    bool any = false, wanted = false;
    for (char *item; (item = next_item(&targets, true)) != NULL;) {
        wanted = true;
        put_target(b, item, &any);
    }
    *nothing = wanted && !any;
    any = false;
    for (char *item; (item = next_item(&ports, true)) != NULL;) {
        put(b, "%s%s", any ? "," : " port ", item);
        any = true;
    }
}

static char *copy(const char *text)
{
    size_t size = text ? strlen(text) + 1 : 1;
    char *out = calloc(1, size);
    if (out && text) {
        memcpy(out, text, size);
    }
    return out;
}

/* What of the targets has no counterpart is told before the line. */
static void note_targets(struct builder *b, const struct ppx_rule *rule)
{
    struct builder nowhere = {.result = b->result};
    char *list = copy(rule->targets), *at = list;
    bool any = false;
    for (char *item; (item = next_item(&at, true)) != NULL;) {
        if (!put_target(&nowhere, item, &any)) {
            leave_out(b, rule, item, "it is neither an address nor the name of a host");
        }
    }
    free(nowhere.text);
    free(list);
}

static void put_line(struct builder *b, const struct ppx_rule *rule, const char *verb, const char *program,
                     const char *route)
{
    char *targets = copy(rule->targets), *ports = copy(rule->ports);
    size_t begin = b->used;
    bool nothing = false;
    put(b, "%s", verb);
    if (program) {
        put(b, " program \"%s\"", program);
    }
    b->failed = b->failed || !targets || !ports;
    if (!b->failed) {
        put_places(b, targets, ports, &nothing);
    }
    put(b, "%s\n", route);
    if (nothing && !b->failed) {
        b->used = begin;
        leave_out(b, rule, "the rule", "nothing is left of its targets");
    }
    free(targets);
    free(ports);
}

static void put_rule(struct builder *b, const struct ppx_profile *p, const struct ppx_rule *rule)
{
    char route[4400] = "";
    bool leads = strcmp(rule->action, "Proxy") == 0 || strcmp(rule->action, "Chain") == 0;
    const char *verb = leads                                 ? "redirect"
                       : strcmp(rule->action, "Direct") == 0 ? "pass"
                       : strcmp(rule->action, "Block") == 0  ? "block"
                                                             : NULL;
    const char *why = leads ? route_of(p, rule, route) : verb ? NULL : "its action is not known";
    put(b, "\n# %s\n", rule->name ? rule->name : "");
    if (why) {
        leave_out(b, rule, "the rule", why);
        return;
    }
    note_targets(b, rule);
    char *list = copy(rule->applications), *at = list;
    bool any = false;
    for (char *item; (item = next_item(&at, false)) != NULL;) {
        any = true;
        put_line(b, rule, verb, item, route);
    }
    if (!any) {
        put_line(b, rule, verb, NULL, route);
    }
    free(list);
    b->result->imported++;
}

bool ppx_import(const void *bytes, size_t size, struct ppx_result *out)
{
    memset(out, 0, sizeof *out);
    struct ppx_profile *p = calloc(1, sizeof *p);
    struct builder b = {.result = out};
    bool good = p && ppx_profile_read(bytes, size, p, out->wrong);
    if (!p) {
        snprintf(out->wrong, sizeof out->wrong, "out of memory");
    }
    put(&b, "# From a profile of Proxifier, its last rule first: here the last rule that matches decides.\n"
            "# Rules without a program are about the programs that redirector runs or attaches to.\n");
    for (uint32_t i = good ? p->rule_count : 0; i-- > 0;) {
        struct ppx_rule *rule = &p->rules[i];
        if (rule->name) {
            flatten(rule->name);
        }
        if (rule->on) {
            put_rule(&b, p, rule);
        }
    }
    for (uint32_t i = 0; good && i < p->proxy_count; i++) {
        if (p->proxies[i].login) {
            put(&b, "\n# Passwords are not imported: set REDIRECTOR_UPSTREAM_PASSWORD, or write USER:PASSWORD@ into "
                    "the line.\n");
            break;
        }
    }
    if (p) {
        ppx_profile_free(p);
    }
    free(p);
    if (good && b.failed) {
        snprintf(out->wrong, sizeof out->wrong, "out of memory");
    }
    good = good && !b.failed;
    out->text = good ? b.text : NULL;
    if (!good) {
        free(b.text);
    }
    return good;
}
