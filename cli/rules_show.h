/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file rules_show.h  Rules and what comes of them, as text and as JSON; without logins. */
#ifndef CLI_RULES_SHOW_H
#define CLI_RULES_SHOW_H

#include "rules_state.h"

/** A rule as a JSON object, with the number of its line. */
void rules_json(char *out, size_t size, const struct rules_in_force *f, uint32_t number);

/** "line 3: redirect to ...", or "command line: ...". */
void rules_text(char *out, size_t size, const struct rules_in_force *f, uint32_t number);

/** Whether the rule begins a line: one that lists places or ports is several rules. */
bool rules_is_next_line(const struct rules_in_force *f, uint32_t number);

/** What becomes of a connection, and by which rule. */
void rules_verdict_text(char *out, size_t size, bool json, bool in_tree, const struct rules_in_force *f,
                        const redirector_rule_verdict *v);

#endif
