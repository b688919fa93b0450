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

/* `listener`: the path of who listens at the other end, on this machine; "": not known, or elsewhere. */
static bool judge(struct engine *e, uint32_t pid, const char *listener)
{
    if (!policy_may_redirect(e, pid)) {
        return false;
    }
    bool member = policy_is_member(e, pid) && !process_tree_is_marked(e->tree, pid);
    if (!e->rules) {
        return member;
    }
    char path[PATH_BYTES] = "";
    if (rules_want_path(e->rules)) {
        e->host.process_path(e->host.context, pid, path, sizeof path);
    }
    return rules_apply(e->rules, member, pid, path, listener);
}

bool policy_redirects(struct engine *e, uint32_t pid)
{
    return judge(e, pid, "");
}

bool policy_minds_listeners(const struct engine *e)
{
    return e->rules && rules_want_listener(e->rules);
}

bool policy_redirects_to(struct engine *e, uint32_t pid, uint32_t listener, bool otherwise)
{
    char path[PATH_BYTES] = "";
    e->host.process_path(e->host.context, listener, path, sizeof path);
    return rules_know_listener(e->rules, path) ? judge(e, pid, path) : otherwise;
}
