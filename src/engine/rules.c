/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: of the rules that match the last one wins, so they are looked at from the last one on, and the
 * first that matches decides. Which of them have a pattern that fits is one set for each kind of text, kept from earlier
 * connections (rule_texts.h); what else a rule names is compared as numbers.
 */
#include "rules.h"

#include "rule_texts.h"

#include <stdlib.h>

/* As it is compared. */
struct compiled {
    uint64_t network[2], mask[2]; /* as ip_addr has words */
    uint32_t family;              /* FAMILY_NONE: any */
    uint32_t pid;                 /* 0: any */
    uint32_t upstream;
    uint16_t first_port, last_port;
    uint8_t action, direction, protocol;
    bool who;   /* it names a process */
    bool where; /* it names a place */
};

struct rules {
    struct compiled all[RULES_MAX];
    uint32_t count;
    struct rule_set scope; /* rules that name a process and no place */
    bool wants_place;      /* there are others */
    struct rule_texts *programs, *listeners, *hosts;
};
static_assert((int)RULES_MAX <= (int)RULE_SET_MAX, "each rule has a number in a set");

struct rules *rules_new(void)
{
    struct rules *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->programs = rule_texts_new(pattern_matches_program);
    r->listeners = rule_texts_new(pattern_matches_program);
    r->hosts = rule_texts_new(pattern_matches);
    if (!r->programs || !r->listeners || !r->hosts) {
        rules_free(r);
        return NULL;
    }
    return r;
}

void rules_free(struct rules *r)
{
    if (r) {
        rule_texts_free(r->programs);
        rule_texts_free(r->listeners);
        rule_texts_free(r->hosts);
        free(r);
    }
}

/* ---- adding */

static bool text_fits(const char *text)
{
    return !text || (*text && strlen(text) <= PATTERN_MAX);
}

static const char *fault_of(const struct rules *r, const struct rule *rule)
{
    if (r->count == RULES_MAX) {
        return "there are more than 256 rules";
    }
    if (rule->action > RULE_BLOCK) {
        return "its action is none of pass, redirect and block";
    }
    if (rule->direction > RULE_INCOMING) {
        return "its direction is none of both, outgoing and incoming";
    }
    if (rule->protocol && rule->protocol != PROTOCOL_TCP && rule->protocol != PROTOCOL_UDP) {
        return "its protocol is neither TCP nor UDP";
    }
    if (rule->family != FAMILY_NONE && rule->family != FAMILY_IP4 && rule->family != FAMILY_IP6) {
        return "the family of its address is neither 4 nor 6";
    }
    if (rule->prefix_length > (rule->family == FAMILY_IP4 ? 32 : rule->family == FAMILY_IP6 ? 128 : 0)) {
        return "its prefix is longer than its address";
    }
    if (rule->first_port > rule->last_port) {
        return "its range of ports runs backwards";
    }
    if (rule->last_port && !rule->first_port) {
        return "its range of ports begins with 0";
    }
    if (rule->pid && rule->program) {
        return "it has both a pid and a pattern";
    }
    if (!text_fits(rule->program)) {
        return "its pattern is empty or longer than 512 bytes";
    }
    if (!text_fits(rule->listener)) {
        return "its listener is empty or longer than 512 bytes";
    }
    return text_fits(rule->host) ? NULL : "its host is empty or longer than 512 bytes";
}

static void mask_of(const struct rule *rule, ip_addr *mask)
{
    uint32_t bits = rule->prefix_length + (rule->family == FAMILY_IP4 ? 96u : 0);
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t here = bits < 8 * i ? 0 : bits - 8 * i < 8 ? bits - 8 * i : 8;
        mask->bytes[i] = (uint8_t)(0xff00u >> here);
    }
}

const char *rules_add(struct rules *r, const struct rule *rule)
{
    const char *fault = fault_of(r, rule);
    if (fault) {
        return fault;
    }
    uint32_t number = r->count;
    if ((rule->program && !rule_texts_add(r->programs, number, rule->program)) ||
        (rule->listener && !rule_texts_add(r->listeners, number, rule->listener)) ||
        (rule->host && !rule_texts_add(r->hosts, number, rule->host))) {
        return "out of memory";
    }
    struct compiled *c = &r->all[number];
    *c = (struct compiled){.family = rule->family,
                           .pid = rule->pid,
                           .upstream = rule->upstream,
                           .first_port = rule->first_port,
                           .last_port = rule->last_port ? rule->last_port : PORT_MAX,
                           .action = (uint8_t)rule->action,
                           .direction = (uint8_t)rule->direction,
                           .protocol = rule->protocol,
                           .who = rule->pid || rule->program,
                           .where = rule->direction || rule->protocol || rule->family || rule->last_port ||
                                    rule->listener || rule->host};
    if (rule->family) {
        ip_addr mask = {0};
        mask_of(rule, &mask);
        for (int i = 0; i < 2; i++) {
            c->mask[i] = mask.words[i];
            c->network[i] = rule->network.words[i] & mask.words[i];
        }
    }
    if (c->who && !c->where) {
        rule_set_add(&r->scope, number);
    } else {
        r->wants_place = true;
    }
    r->count++;
    return NULL;
}

/* ---- what they ask for */

bool rules_want_path(const struct rules *r)
{
    return !rule_set_is_empty(rule_texts_all(r->programs));
}

bool rules_want_place(const struct rules *r)
{
    return r->wants_place;
}

bool rules_want_listener(const struct rules *r)
{
    return !rule_set_is_empty(rule_texts_all(r->listeners));
}

bool rules_want_host(const struct rules *r)
{
    return !rule_set_is_empty(rule_texts_all(r->hosts));
}

bool rules_know_listener(struct rules *r, const char *path)
{
    return !rule_set_is_empty(rule_texts_find(r->listeners, path));
}

/* ---- judging */

/* The rules whose patterns do not stand in the way. */
static struct rule_set candidates(struct rules *r, const struct rule_case *c)
{
    struct rule_texts *const kinds[] = {r->programs, r->listeners, r->hosts};
    const char *const texts[] = {c->path, c->listener, c->host};
    struct rule_set open = {{~0ull, ~0ull, ~0ull, ~0ull}};
    for (int kind = 0; kind < 3; kind++) {
        const struct rule_set *all = rule_texts_all(kinds[kind]);
        if (!rule_set_is_empty(all)) {
            const struct rule_set *found = rule_texts_find(kinds[kind], texts[kind]);
            for (int i = 0; i < RULE_SET_WORDS; i++) {
                open.words[i] &= ~all->words[i] | found->words[i];
            }
        }
    }
    return open;
}

static bool fits(const struct compiled *rule, const struct rule_case *c)
{
    if (rule->pid && rule->pid != c->pid) {
        return false;
    }
    if (!rule->where) {
        return true;
    }
    return c->family && (!rule->protocol || rule->protocol == c->protocol) &&
           (!rule->direction || rule->direction == c->direction) && c->port >= rule->first_port &&
           c->port <= rule->last_port &&
           (!rule->family || (rule->family == c->family && (c->address.words[0] & rule->mask[0]) == rule->network[0] &&
                              (c->address.words[1] & rule->mask[1]) == rule->network[1]));
}

/* Whether the process is in scope for a rule of this number: what the last one before it says that names only who. */
static bool is_in_scope(const struct rules *r, const struct rule_set *open, const struct rule_case *c, uint32_t number)
{
    struct rule_set scope;
    for (int i = 0; i < RULE_SET_WORDS; i++) {
        scope.words[i] = r->scope.words[i] & open->words[i];
    }
    while ((number = rule_set_last(&scope, number)) != RULE_NONE) {
        if (fits(&r->all[number], c)) {
            return r->all[number].action != RULE_PASS;
        }
    }
    return c->in_tree;
}

bool rules_may_concern(struct rules *r, const struct rule_case *c)
{
    bool may = c->in_tree;
    const struct rule_set *named = rule_texts_find(r->programs, c->path), *all = rule_texts_all(r->programs);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct compiled *rule = &r->all[i];
        bool can =
            (!rule->direction || rule->direction == c->direction) && (!rule->protocol || rule->protocol == c->protocol);
        if (rule->who && can && (!rule_set_has(all, i) || rule_set_has(named, i)) &&
            (!rule->pid || rule->pid == c->pid)) {
            may = rule->action != RULE_PASS || (rule->where && may); /* one about some places passes but these */
        }
    }
    return may;
}

struct rule_verdict rules_judge(struct rules *r, const struct rule_case *c)
{
    struct rule_verdict verdict = {c->in_tree ? RULE_REDIRECT : RULE_PASS, RULE_NONE, 0};
    if (!r || !r->count) {
        return verdict;
    }
    struct rule_set open = candidates(r, c);
    uint32_t number = r->count;
    int scope = -1; /* not asked yet, or a rule that may change it has been passed */
    while ((number = rule_set_last(&open, number)) != RULE_NONE) {
        const struct compiled *rule = &r->all[number];
        if (!fits(rule, c)) {
            continue;
        }
        bool named = rule->who || rule_set_has(rule_texts_all(r->listeners), number);
        if (!named && scope < 0) {
            scope = is_in_scope(r, &open, c, number);
        }
        if (named || scope) {
            return (struct rule_verdict){rule->action, number, rule->upstream};
        }
    }
    return verdict;
}
