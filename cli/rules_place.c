/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where a rule's connections go, and through what. */
#include "rules_line.h"

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#endif

#include <string.h>

enum { PORT_LAST = 65535 };

bool rules_line_number(const char *text, uint32_t most, uint32_t *out)
{
    uint64_t value = 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || (value = value * 10 + (uint64_t)(*p - '0')) > most) {
            return false;
        }
    }
    *out = (uint32_t)value;
    return *text;
}

static bool read_address(const char *text, redirector_rule *rule)
{
    memset(rule->network, 0, sizeof rule->network);
    rule->family = inet_pton(AF_INET, text, rule->network) == 1    ? 4
                   : inet_pton(AF_INET6, text, rule->network) == 1 ? 6
                                                                   : 0;
    return rule->family;
}

/* Letters, digits, '-', '.', '_', wildcards, and whatever is not ASCII. */
static bool is_host_pattern(const char *text)
{
    bool more = false;
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        more |= letter || c == '*' || c >= 0x80;
        if (!letter && !(c >= '0' && c <= '9') && !strchr("-._*?", c) && c < 0x80) {
            return false;
        }
    }
    return more && strlen(text) <= RULES_PATTERN_MAX;
}

bool rules_line_place(struct rules_line *l, char *text)
{
    redirector_rule *rule = &l->rule;
    rule->family = rule->prefix_length = 0;
    rule->host = NULL;
    if (strcmp(text, "any") == 0) {
        return true;
    }
    char *slash = strchr(text, '/');
    if (slash) {
        *slash = 0;
    }
    if (read_address(text, rule)) {
        uint32_t bits = rule->family == 4 ? 32 : 128;
        rule->prefix_length = bits;
        if (slash && !rules_line_number(slash + 1, 9999, &rule->prefix_length)) {
            return rules_line_wrong(l, text, "'%.60s' is no prefix length", slash + 1);
        }
        return rule->prefix_length <= bits ||
               rules_line_wrong(l, text, "a prefix of %u bits is longer than the address, which has %u",
                                (unsigned)rule->prefix_length, (unsigned)bits);
    }
    if (slash || !is_host_pattern(text)) {
        return rules_line_wrong(
            l, text, "'%.60s' is neither an address, nor a network such as 10.0.0.0/8, nor the name of a host", text);
    }
    rule->host = text;
    return true;
}

bool rules_line_ports(struct rules_line *l, char *text)
{
    redirector_rule *rule = &l->rule;
    rule->first_port = rule->last_port = 0;
    if (strcmp(text, "any") == 0) {
        return true;
    }
    char *dash = strchr(text, '-');
    if (dash) {
        *dash = 0;
    }
    bool read = rules_line_number(text, PORT_LAST, &rule->first_port) && rule->first_port;
    rule->last_port = rule->first_port;
    read = read && (!dash || (rules_line_number(dash + 1, PORT_LAST, &rule->last_port) && rule->last_port));
    if (!read) {
        return rules_line_wrong(l, text, "'%.30s%s%.30s' is no port, 1 to 65535, and no range such as 8000-8100", text,
                                dash ? "-" : "", dash ? dash + 1 : "");
    }
    return rule->first_port <= rule->last_port ||
           rules_line_wrong(l, text, "the range %s-%s runs backwards", text, dash + 1);
}

static bool add_hop(struct rules_line *l, struct route_way *way, int hop, struct rules_word w)
{
    const char *complaint =
        *w.text ? l->reader->check_url(l->reader->context, w.text) : "a proxy is missing before ','";
    way->hops[hop] = w.text;
    return !complaint || rules_line_wrong(l, w.text, "%s", complaint);
}

/* A proxy, behind that word. *more: another way follows it. */
static bool take_hop(struct rules_line *l, const char *after, struct route_way *way, int hop, bool *more)
{
    struct rules_word w = rules_line_needed(l, after, "a proxy");
    if (!w.text) {
        return false;
    }
    size_t length = strlen(w.text);
    *more = w.text[length - 1] == ',';
    w.text[length - *more] = 0;
    return add_hop(l, way, hop, w);
}

static bool take_way(struct rules_line *l, const char *after, struct route_way *way, bool *more)
{
    if (!take_hop(l, after, way, 0, more)) {
        return false;
    }
    struct rules_word next = *more ? (struct rules_word){0} : rules_line_word(l);
    if (next.text && strcmp(next.text, "over") == 0) {
        if (!take_hop(l, "over", way, 1, more)) {
            return false;
        }
        next = *more ? (struct rules_word){0} : rules_line_word(l);
        return !next.text ||
               rules_line_wrong(l, next.text,
                                "'%.60s' stands behind two proxies: that is the most, and 'through' comes last",
                                next.text);
    }
    return !next.text ||
           rules_line_wrong(l, next.text, "'%.60s' is neither 'over' nor the end of the line: 'through' comes last",
                            next.text);
}

bool rules_line_route(struct rules_line *l)
{
    struct rules_file *out = l->out;
    if (out->route_count == ROUTES_MAX) {
        return rules_line_wrong(l, l->at, "there are more than %d lines with 'through'", ROUTES_MAX);
    }
    struct route *route = &out->routes[out->route_count];
    const char *after = "through";
    *route = (struct route){0};
    for (bool more = true; more; after = ",") {
        if (route->way_count == ROUTE_WAYS_MAX) {
            return rules_line_wrong(l, l->at, "there are more than %d ways", ROUTE_WAYS_MAX);
        }
        if (!take_way(l, after, &route->ways[route->way_count++], &more)) {
            return false;
        }
    }
    l->rule.upstream = ++out->route_count;
    return true;
}
