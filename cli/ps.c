/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector ps: the processes as a tree, and whether "attach" with the same options would redirect each, and why. It
 * uses a snapshot: a descendant whose parent has ended has no parent here, while a redirector that was started before
 * would know it.
 */
#include "ps.h"

#include "json.h"
#include "options.h"
#include "output.h"
#include "pattern.h"
#include "processes.h"
#include "rules_show.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_MAX = 640, NAME_WIDTH = 44, DEPTH_MAX = 16 };

struct printer {
    const struct options *options;
    struct rules_in_force *rules;
    struct process_list list;
    uint32_t *roots;
    uint32_t root_count;
};

/* Whether it would be redirected. The reason is empty if no root or rule matches. */
static bool judge(const struct printer *p, const struct process_row *row, char reason[REASON_MAX])
{
    const redirector_rule *rule;
    const struct rules_in_force *f = p->rules;
    bool member = processes_descends(&p->list, row->pid, p->roots, p->root_count);
    bool redirected = processes_judge(row, f->rules, f->count, member, &rule);
    if (row->pid == 0 || row->pid == 4) {
        snprintf(reason, REASON_MAX, "Windows itself");
        return false;
    }
    if (row->pid == GetCurrentProcessId()) {
        snprintf(reason, REASON_MAX, "redirector itself");
        return false;
    }
    if (rule && rule < f->rules + f->from_file) {
        char text[REASON_MAX - 16];
        rules_text(text, sizeof text, f, (uint32_t)(rule - f->rules));
        snprintf(reason, REASON_MAX, "--rules, %s", text);
    } else if (rule && rule->pattern) {
        snprintf(reason, REASON_MAX, "%s %s", rule->action == REDIRECTOR_RULE_REDIRECT ? "--name" : "--exclude",
                 rule->pattern);
    } else if (rule) {
        snprintf(reason, REASON_MAX, "--exclude %" PRIu32, rule->pid);
    } else if (processes_is_among(row->pid, p->roots, p->root_count)) {
        snprintf(reason, REASON_MAX, "--pid %" PRIu32, row->pid);
    } else if (member) {
        snprintf(reason, REASON_MAX, "started by %" PRIu32, row->parent);
    } else {
        reason[0] = '\0';
    }
    return redirected;
}

static void print_json(const struct printer *p, const struct process_row *row)
{
    char reason[REASON_MAX], why[6 * REASON_MAX], path[6 * 1024], line[OUTPUT_LINE_MAX];
    bool redirected = judge(p, row, reason);
    json_string_utf8(why, 1024, reason);
    json_string_utf8(path, 2048, row->path);
    snprintf(line, sizeof line,
             "{\"type\":\"process\",\"pid\":%" PRIu32 ",\"parent\":%" PRIu32 ",\"path\":%s,\"redirected\":%s"
             ",\"reason\":%s}",
             row->pid, row->parent, path, redirected ? "true" : "false", why);
    output_result(line);
}

static void print_text(const struct printer *p, const struct process_row *row, unsigned depth)
{
    char reason[REASON_MAX], line[OUTPUT_LINE_MAX];
    bool redirected = judge(p, row, reason);
    int indent = 2 * (int)(depth < DEPTH_MAX ? depth : DEPTH_MAX);
    snprintf(line, sizeof line, "%8" PRIu32 "  %*s%-*.*s  %-4s %s", row->pid, indent, "", NAME_WIDTH - indent, 200,
             pattern_file_name(row->path),
             redirected ? "yes"
             : *reason  ? "no"
                        : "",
             reason);
    for (size_t end = strlen(line); end && line[end - 1] == ' ';) {
        line[--end] = '\0';
    }
    output_result(line);
}

/* A process, then its children; the list has no circles, because a parent is older than its child. */
static void print_branch(const struct printer *p, const struct process_row *row, unsigned depth)
{
    if (p->options->json) {
        print_json(p, row);
    } else {
        print_text(p, row, depth);
    }
    for (size_t i = 0; i < p->list.count && depth < p->list.count; i++) {
        if (row->pid && p->list.rows[i].parent == row->pid) {
            print_branch(p, &p->list.rows[i], depth + 1);
        }
    }
}

static DWORD ps_with_options(struct options *o)
{
    struct printer p = {.options = o};
    if (!processes_read(&p.list)) {
        output_message("the list of processes cannot be had (error %lu)", GetLastError());
        return EXIT_NOT_REDIRECTING;
    }
    for (uint32_t i = 0; i < o->pid_count; i++) {
        if (!processes_find(&p.list, o->pids[i])) {
            output_message("there is no process %" PRIu32, o->pids[i]);
        }
    }
    p.rules = rules_state_take(o->in_force);
    p.roots = processes_named(&p.list, p.rules->rules, p.rules->count, o->pids, o->pid_count, &p.root_count);
    if (!p.roots) {
        output_message("out of memory");
        rules_release(p.rules);
        processes_free(&p.list);
        return EXIT_NOT_REDIRECTING;
    }
    if (!o->json) {
        char line[OUTPUT_LINE_MAX];
        snprintf(line, sizeof line, "%8s  %-*s  %s", "PID", NAME_WIDTH, "PROCESS", "REDIRECTED");
        output_result(line);
    }
    for (size_t i = 0; i < p.list.count; i++) {
        if (!p.list.rows[i].parent) {
            print_branch(&p, &p.list.rows[i], 0);
        }
    }
    rules_release(p.rules);
    processes_free(&p.list);
    free(p.roots);
    return 0;
}

DWORD ps_command(wchar_t **arguments)
{
    return session_command(COMMAND_PS, arguments, ps_with_options);
}
