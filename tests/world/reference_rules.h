/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file reference_rules.h
 * Rules as rules.h describes them, read one by one from the first to the last: slow, and simple enough to be believed.
 */
#ifndef REFERENCE_RULES_H
#define REFERENCE_RULES_H

#include "engine/pattern.h"
#include "engine/rules.h"

static inline bool reference_place_fits(const struct rule *rule, const struct rule_case *c)
{
    if ((rule->protocol && rule->protocol != c->protocol) || (rule->direction && rule->direction != c->direction)) {
        return false;
    }
    if (rule->last_port && (c->port < rule->first_port || c->port > rule->last_port)) {
        return false;
    }
    if (rule->host && (!*c->host || !pattern_matches(rule->host, c->host))) {
        return false;
    }
    if (rule->listener && !pattern_matches_program(rule->listener, c->listener)) {
        return false;
    }
    uint32_t first = rule->family == FAMILY_IP4 ? 96 : 0;
    for (uint32_t bit = first; rule->family && bit < first + rule->prefix_length; bit++) {
        uint8_t mask = (uint8_t)(0x80u >> bit % 8);
        if ((rule->network.bytes[bit / 8] ^ c->address.bytes[bit / 8]) & mask) {
            return false;
        }
    }
    return !rule->family || rule->family == c->family;
}

static inline struct rule_verdict reference_judge(const struct rule *all, uint32_t count, const struct rule_case *c)
{
    struct rule_verdict verdict = {c->in_tree ? RULE_REDIRECT : RULE_PASS, RULE_NONE, 0};
    bool scope = c->in_tree;
    for (uint32_t i = 0; i < count; i++) {
        const struct rule *rule = &all[i];
        bool named = rule->pid || rule->program;
        bool place =
            rule->protocol || rule->direction || rule->last_port || rule->host || rule->listener || rule->family;
        bool who = rule->pid       ? rule->pid == c->pid
                   : rule->program ? pattern_matches_program(rule->program, c->path)
                                   : scope || rule->listener;
        if (!who || (place && (c->family == FAMILY_NONE || !reference_place_fits(rule, c)))) {
            continue;
        }
        verdict = (struct rule_verdict){rule->action, i, rule->upstream};
        if (named && !place) {
            scope = rule->action != RULE_PASS;
        }
    }
    return verdict;
}

#endif
