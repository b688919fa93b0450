/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file rules_file.h
 * Rules as text: one a line. docs/rules-file.md has the grammar.
 *
 *   redirect to *.github.com port 443
 *   block program "C:\Program Files\Spy\*" to 10.0.0.0/8,fd00::/8 port 25,8000-8100 tcp
 *   pass from 192.168.0.0/16 port 8080
 *   redirect program git.exe through socks5://a:1080 over http://b:8080, http://c
 */
#ifndef CLI_RULES_FILE_H
#define CLI_RULES_FILE_H

#include "windows_redirector.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    RULES_FILE_RULES_MAX = 256, /**< a line that lists several places or ports becomes several rules */
    RULES_FILE_BYTES_MAX = 1 << 20,
    ROUTE_WAYS_MAX = 4, /**< tried in this order */
    ROUTE_HOPS_MAX = 2, /**< the first is reached through the second */
    ROUTES_MAX = 64,
};

/** How the relay reaches what a rule has redirected: URLs as upstream.h takes them, "direct" included. */
struct route {
    const char *whom; /**< of --upstream: a pattern of program or destination; NULL: all that no rule gives a route */
    struct route_way {
        const char *hops[ROUTE_HOPS_MAX]; /**< NULL: no second one */
    } ways[ROUTE_WAYS_MAX];
    uint32_t way_count;
};

struct rules_file {
    redirector_rule rules[RULES_FILE_RULES_MAX]; /**< `upstream` is 1 + the number of a route; 0: none was named */
    uint32_t lines[RULES_FILE_RULES_MAX];        /**< from 1 on: where each stands */
    uint32_t count;
    struct route routes[ROUTES_MAX];
    uint32_t route_count;
    char *texts; /**< what the pointers lead into */
};

struct rules_file_reader {
    void *context;
    /** One mistake: what it is, and where; both from 1 on, columns in characters. */
    void (*wrong)(void *context, uint32_t line, uint32_t column, const char *what);
    /** What is wrong with the URL of a proxy; NULL: nothing. */
    const char *(*check_url)(void *context, const char *url);
};

/**
 * Reads a whole file of UTF-8. false: something was wrong, and was told, all that could be found; then *out is empty.
 * rules_file_free() in any case.
 */
bool rules_file_read(const char *text, size_t length, const struct rules_file_reader *reader, struct rules_file *out);
void rules_file_free(struct rules_file *f);

#endif
