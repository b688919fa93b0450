/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: whether a name matters is asked before there is one: of the same rules, as if every pattern of a
 * host matched. If the one that decides then names a host, what becomes of the connection depends on its name.
 */
#include "relay_judge.h"

#include "processes.h"
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct relay_judge {
    struct rules_in_force *rules;
    redirector_rule_case about;
    char path[sizeof((struct process_row *)0)->path];
};

static bool may_matter(const struct relay_judge *j)
{
    redirector_rule_case any = j->about;
    redirector_rule_verdict v = {.size = sizeof v};
    any.host = "x";
    return redirector_test_rules(j->rules->any_host, j->rules->count, &any, &v, NULL) == REDIRECTOR_OK &&
           v.rule != REDIRECTOR_NO_RULE && j->rules->rules[v.rule].host;
}

struct relay_judge *relay_judge_new(const struct relay_host *host, uint32_t protocol, uint32_t pid,
                                    const redirector_address *destination)
{
    struct relay_judge *j = rules_state_names_hosts(host->rules) ? calloc(1, sizeof *j) : NULL;
    if (!j) {
        return NULL;
    }
    struct process_row process = {.pid = pid};
    processes_look(&process);
    memcpy(j->path, process.path, sizeof j->path);
    j->rules = rules_state_take(host->rules);
    j->about = (redirector_rule_case){.size = sizeof j->about,
                                      .in_tree = tree_has(host->tree, pid),
                                      .pid = pid,
                                      .protocol = protocol,
                                      .direction = REDIRECTOR_OUTGOING,
                                      .address = *destination,
                                      .program = j->path};
    if (!may_matter(j)) {
        relay_judge_free(j);
        return NULL;
    }
    return j;
}

bool relay_judge_by(const struct relay_judge *j, const char *host, redirector_rule_verdict *v)
{
    char name[HOST_NAME_MAX_BYTES];
    redirector_rule_case named = j->about;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(host, ":"), host); /* of HTTP there may be a port */
    size_t length = strlen(name);
    if (length && name[length - 1] == '.') {
        name[length - 1] = '\0';
    }
    named.host = name;
    *v = (redirector_rule_verdict){.size = sizeof *v};
    return redirector_test_rules(j->rules->rules, j->rules->count, &named, v, NULL) == REDIRECTOR_OK;
}

void relay_judge_free(struct relay_judge *j)
{
    if (j) {
        rules_release(j->rules);
    }
    free(j);
}
