/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file route_option.h
 * --upstream: ways as "through" of a file of rules has them, for the connections to which no rule gives any.
 */
#ifndef CLI_ROUTE_OPTION_H
#define CLI_ROUTE_OPTION_H

#include "rules_file.h"

struct route_options {
    struct route routes[ROUTES_MAX];
    struct route_texts {
        char *whom, *ways;
        size_t ways_size;
    } texts[ROUTES_MAX]; /**< what the pointers lead into */
    uint32_t count;
};

enum { ROUTE_WRONG_MAX = 200 };

/** Reads "[WHOM=]WAYS" and appends it. false: what is wrong with it is in `wrong`. */
bool route_options_add(struct route_options *o, const char *text, char wrong[ROUTE_WRONG_MAX]);

void route_options_free(struct route_options *o);

#endif
