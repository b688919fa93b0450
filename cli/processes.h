/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file processes.h
 * The processes that run now.
 */
#ifndef CLI_PROCESSES_H
#define CLI_PROCESSES_H

#include "windows_redirector.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process_row {
    uint32_t pid;
    uint32_t parent;  /**< 0: none that runs; a younger process does not count */
    uint64_t created; /**< FILETIME; 0: not readable, as for protected processes */
    char path[1024];  /**< UTF-8; the file name alone if the path is not readable */
};

struct process_list {
    struct process_row *rows; /**< by pid, ascending */
    size_t count;
};

/** False: no memory, or Windows refuses. */
bool processes_read(struct process_list *list);

void processes_free(struct process_list *list);

/** Fills in what can be learned of row->pid: creation time and path. */
void processes_look(struct process_row *row);

/** NULL: it does not run. */
const struct process_row *processes_find(const struct process_list *list, uint32_t pid);

/** Whether a rule redirects whole processes, not some of their connections: it names one, and no place. */
bool processes_any_meant(const redirector_rule *rules, uint32_t count);

/**
 * Applies the rules about processes to one that is `redirected` or not: the last that matches decides. *rule: that one, or NULL.
 */
bool processes_judge(const struct process_row *row, const redirector_rule *rules, uint32_t count, bool redirected,
                     const redirector_rule **rule);

/** Whether `pid` is one of `roots`, or a descendant of one by parents that still run. */
bool processes_descends(const struct process_list *list, uint32_t pid, const uint32_t *roots, uint32_t root_count);

bool processes_is_among(uint32_t pid, const uint32_t *pids, uint32_t count);

/**
 * The `count` process ids given, and after them the processes, except this one, that an include rule matches and no later
 * rule excludes: as many as there are. *total: their number. NULL: no memory; else to be freed.
 */
uint32_t *processes_named(const struct process_list *list, const redirector_rule *rules, uint32_t rule_count,
                          const uint32_t *pids, uint32_t count, uint32_t *total);

#endif
