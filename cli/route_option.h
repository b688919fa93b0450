/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file route_option.h
 * --upstream: ways as "through" of a file of rules has them, for the connections to which no rule gives any.
 */
#ifndef CLI_ROUTE_OPTION_H
#define CLI_ROUTE_OPTION_H

#include "rules_file.h"

#include <wchar.h>

struct route_options {
    struct route routes[ROUTES_MAX];
    struct route_texts {
        char *whom, *ways;
        size_t ways_size;
    } texts[ROUTES_MAX]; /**< what the pointers lead into */
    uint32_t count;
};

/** Reads "[WHOM=]WAYS" and appends it. WHOM is a pattern of the program's name, of the destination's address, or of that with
 * its port. false: a message was shown. */
bool route_options_add(struct route_options *o, const wchar_t *text);

void route_options_free(struct route_options *o);

/** Whether WHOM, if there is one, means a connection of a program with this file name. */
bool route_means(const char *whom, const char *program, const redirector_address *destination);

/** The last one that means it; NULL: none. */
const struct route *route_options_for(const struct route_options *o, const char *program,
                                      const redirector_address *destination);

#endif
