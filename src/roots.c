/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: every process that the configuration names is identified by pid and creation time before the
 * driver is opened, so that a wrong pid is an error of the start and has no effect.
 */
#include "roots.h"

#include "windows/debug_privilege.h"

#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

static bool add(struct roots *out, uint32_t pid, redirector_error *error)
{
    return process_identify(pid, &out->all[out->count], error) && ++out->count;
}

static bool identify_all(const redirector_config *config, struct roots *out, redirector_error *error)
{
    struct process_id agent;
    if (config->client_pid == config->agent_pid && !(config->flags & REDIRECTOR_DESCENDANTS_ONLY)) {
        error_set(error, REDIRECTOR_INVALID_ARGUMENT, 0, "the agent cannot be its own client");
        return false;
    }
    out->all = calloc((size_t)config->root_count + 1, sizeof *out->all);
    if (!out->all) {
        error_set(error, REDIRECTOR_NO_MEMORY, 0, NULL);
        return false;
    }
    if ((config->client_pid || !config->root_count) && !add(out, config->client_pid, error)) {
        return false;
    }
    for (uint32_t i = 0; i < config->root_count; i++) {
        if (!add(out, config->roots[i], error)) {
            return false;
        }
    }
    return config->agent_pid == GetCurrentProcessId() || process_identify(config->agent_pid, &agent, error);
}

bool roots_identify(const redirector_config *config, struct roots *out, redirector_error *error)
{
    struct debug_privilege privilege;
    bool wanted = config->flags & REDIRECTOR_DEBUG_PRIVILEGE;
    *out = (struct roots){0};
    if (wanted) {
        debug_privilege_take(&privilege); /* without it, what cannot be opened is an error of the start */
    }
    bool ok = identify_all(config, out, error);
    if (wanted) {
        debug_privilege_drop(&privilege);
    }
    return ok;
}

void roots_free(struct roots *roots)
{
    free(roots->all);
    *roots = (struct roots){0};
}

void roots_describe(const struct roots *roots, char out[40])
{
    int length = snprintf(out, 40, "pid %lu", (unsigned long)roots->all[0].pid);
    if (roots->count > 1) {
        snprintf(out + length, (size_t)(40 - length), " (one of %lu roots)", (unsigned long)roots->count);
    }
}
