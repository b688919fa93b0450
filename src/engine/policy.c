/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a process belongs to the tree by the kernel's word (it is in our job), or because one of its
 * parents does. Parents that nobody has asked about yet are asked about on the way up. Then each rule that matches has
 * its say.
 */
#include "policy.h"

enum { PID_IDLE = 0, PID_SYSTEM = 4, PATH_BYTES = 1024, GENERATIONS_MAX = 32 };

/* Whether a live process is a member, by the kernel's word or by its parents. */
static bool is_member(struct engine *e, const struct process_facts *facts, int generations)
{
    if (process_tree_learn(e->tree, facts)) {
        return true;
    }
    struct process_facts parent;
    return generations && facts->parent.created && process_tree_may_hold(e->tree, facts->parent) &&
           e->host.process_facts(e->host.context, facts->parent.pid, &parent) &&
           parent.self.created == facts->parent.created && is_member(e, &parent, generations - 1) &&
           process_tree_learn(e->tree, facts);
}

bool policy_is_member(struct engine *e, uint32_t pid)
{
    struct process_facts facts;
    e->process_unknown = false;
    if (process_tree_is_pinned(e->tree, pid)) {
        return true; /* no need to ask */
    }
    if (e->host.process_facts(e->host.context, pid, &facts)) {
        return is_member(e, &facts, GENERATIONS_MAX);
    }
    e->process_unknown = !process_tree_knows(e->tree, pid); /* it is gone already: what we knew of it counts */
    return !e->process_unknown;
}

bool policy_may_redirect(const struct engine *e, uint32_t pid)
{
    return pid != PID_IDLE && pid != PID_SYSTEM && pid != e->config.agent_pid;
}

static const struct rule_verdict passes = {RULE_PASS, RULE_NONE, 0};

/* What rules are asked about a process; its connection is filled in by the caller. */
static struct rule_case case_of(struct engine *e, uint32_t pid, char path[PATH_BYTES])
{
    *path = 0;
    if (e->rules && rules_want_path(e->rules)) {
        e->host.process_path(e->host.context, pid, path, PATH_BYTES);
    }
    return (struct rule_case){
        .in_tree = policy_is_member(e, pid) && !process_tree_is_marked(e->tree, pid),
        .pid = pid,
        .path = path,
        .listener = "",
        .host = "",
    };
}

static void go_to(const struct engine *e, struct rule_case *c, const struct tuple *t, uint8_t protocol,
                  enum rule_direction direction)
{
    c->protocol = protocol;
    c->direction = direction;
    c->family = t->family;
    c->address = direction == RULE_OUTGOING ? t->dst : t->src;
    c->port = be16_to_host(t->dst_port);
    if (e->rules && rules_want_host(e->rules)) {
        c->host = names_of(e->names, &c->address, c->family);
    }
}

struct rule_verdict policy_judge(struct engine *e, uint32_t pid, const struct tuple *t, uint8_t protocol,
                                 enum rule_direction direction)
{
    char path[PATH_BYTES];
    if (!policy_may_redirect(e, pid)) {
        return passes;
    }
    struct rule_case c = case_of(e, pid, path);
    go_to(e, &c, t, protocol, direction);
    return rules_judge(e->rules, &c);
}

bool policy_may_concern(struct engine *e, uint32_t pid, uint8_t protocol, enum rule_direction direction)
{
    char path[PATH_BYTES];
    if (!policy_may_redirect(e, pid)) {
        return false;
    }
    struct rule_case c = case_of(e, pid, path);
    c.protocol = protocol;
    c.direction = direction;
    return e->rules ? rules_may_concern(e->rules, &c) : c.in_tree;
}

bool policy_minds_places(const struct engine *e)
{
    return e->rules && rules_want_place(e->rules);
}

bool policy_minds_listeners(const struct engine *e)
{
    return e->rules && rules_want_listener(e->rules);
}

struct rule_verdict policy_judge_to(struct engine *e, uint32_t pid, const struct tuple *t, uint8_t protocol,
                                    uint32_t listener, struct rule_verdict otherwise)
{
    char path[PATH_BYTES], listens[PATH_BYTES] = "";
    e->host.process_path(e->host.context, listener, listens, sizeof listens);
    if (!rules_know_listener(e->rules, listens) || !policy_may_redirect(e, pid)) {
        return otherwise;
    }
    struct rule_case c = case_of(e, pid, path);
    go_to(e, &c, t, protocol, RULE_OUTGOING);
    c.listener = listens;
    return rules_judge(e->rules, &c);
}
