/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file rules_show.h  Rules and what comes of them, as text and as JSON; without logins. */
#ifndef CLI_RULES_SHOW_H
#define CLI_RULES_SHOW_H

#include "route_option.h"
#include "rules_state.h"

/** A rule as a JSON object, with the number of its line. */
void rules_json(char *out, size_t size, const struct rules_in_force *f, uint32_t number);

/** "line 3: redirect to ...", or "command line: ...". */
void rules_text(char *out, size_t size, const struct rules_in_force *f, uint32_t number);

/** Whether the rule begins a line: one that lists places or ports is several rules. */
bool rules_is_next_line(const struct rules_in_force *f, uint32_t number);

/** What becomes of a connection. */
struct rules_answer {
    const redirector_rule_case *about;
    const struct rules_in_force *rules;
    const redirector_rule_verdict *verdict;
    const struct route_options *upstreams; /**< --upstream */
};

/** That, by which rule, and through which proxies. */
void rules_answer_text(char *out, size_t size, bool json, const struct rules_answer *a);

#endif
