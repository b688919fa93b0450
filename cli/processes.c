/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a process keeps the pid of its parent, and Windows reuses that pid when the parent has ended; so
 * a parent is accepted only if it is older than its child.
 */
#include "processes.h"

#include "pattern.h"
#include "text.h"

#include <stdlib.h>
#include <windows.h>
#include <tlhelp32.h>

void processes_look(struct process_row *row)
{
    wchar_t path[1024];
    DWORD size = sizeof path / sizeof path[0];
    FILETIME created, ended, kernel, user;
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, row->pid);
    if (!process) {
        return;
    }
    if (GetProcessTimes(process, &created, &ended, &kernel, &user)) {
        row->created = (uint64_t)created.dwHighDateTime << 32 | created.dwLowDateTime;
    }
    if (QueryFullProcessImageNameW(process, 0, path, &size)) {
        text_copy_utf8(row->path, sizeof row->path, path);
    }
    CloseHandle(process);
}

static int by_pid(const void *a, const void *b)
{
    uint32_t left = ((const struct process_row *)a)->pid, right = ((const struct process_row *)b)->pid;
    return left < right ? -1 : left > right;
}

static void check_parents(struct process_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct process_row *row = &list->rows[i];
        const struct process_row *parent = processes_find(list, row->parent);
        if (!parent || parent == row || (row->created && parent->created > row->created)) {
            row->parent = 0;
        }
    }
}

bool processes_read(struct process_list *list)
{
    size_t room = 0;
    bool whole = true;
    PROCESSENTRY32W entry = {.dwSize = sizeof entry};
    *list = (struct process_list){0};
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    if (snapshot == INVALID_HANDLE_VALUE) {
        return false;
    }
    for (BOOL more = Process32FirstW(snapshot, &entry); more && whole; more = Process32NextW(snapshot, &entry)) {
        if (list->count == room) {
            room = room ? 2 * room : 256;
            struct process_row *larger = realloc(list->rows, room * sizeof *larger);
            whole = larger != NULL;
            if (!whole) {
                break;
            }
            list->rows = larger;
        }
        struct process_row *row = &list->rows[list->count++];
        *row = (struct process_row){.pid = entry.th32ProcessID, .parent = entry.th32ParentProcessID};
        text_copy_utf8(row->path, sizeof row->path, entry.szExeFile);
        processes_look(row);
    }
    CloseHandle(snapshot);
    if (!whole) {
        processes_free(list);
        return false;
    }
    qsort(list->rows, list->count, sizeof *list->rows, by_pid);
    check_parents(list);
    return true;
}

void processes_free(struct process_list *list)
{
    free(list->rows);
    *list = (struct process_list){0};
}

const struct process_row *processes_find(const struct process_list *list, uint32_t pid)
{
    struct process_row wanted = {.pid = pid};
    return list->count ? bsearch(&wanted, list->rows, list->count, sizeof wanted, by_pid) : NULL;
}

/* A rule is about whole processes: it names one, and no place. */
static bool are_meant(const redirector_rule *r)
{
    return (r->pattern || r->pid) && !r->listener && !r->direction && !r->host && !r->protocol && !r->last_port &&
           !r->family;
}

bool processes_any_meant(const redirector_rule *rules, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (rules[i].action == REDIRECTOR_RULE_REDIRECT && are_meant(&rules[i])) {
            return true;
        }
    }
    return false;
}

bool processes_judge(const struct process_row *row, const redirector_rule *rules, uint32_t count, bool redirected,
                     const redirector_rule **rule)
{
    *rule = NULL;
    for (uint32_t i = 0; i < count; i++) {
        bool matches =
            rules[i].pattern ? pattern_matches_program(rules[i].pattern, row->path) : rules[i].pid == row->pid;
        if (matches && are_meant(&rules[i])) {
            *rule = &rules[i];
            redirected = rules[i].action == REDIRECTOR_RULE_REDIRECT;
        }
    }
    return redirected;
}

bool processes_is_among(uint32_t pid, const uint32_t *pids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (pids[i] == pid) {
            return true;
        }
    }
    return false;
}

bool processes_descends(const struct process_list *list, uint32_t pid, const uint32_t *roots, uint32_t root_count)
{
    const struct process_row *row = processes_find(list, pid);
    for (size_t steps = 0; row && steps <= list->count; steps++) { /* equal creation times could make a circle */
        if (processes_is_among(row->pid, roots, root_count)) {
            return true;
        }
        row = row->parent ? processes_find(list, row->parent) : NULL;
    }
    return false;
}

uint32_t *processes_named(const struct process_list *list, const redirector_rule *rules, uint32_t rule_count,
                          const uint32_t *pids, uint32_t count, uint32_t *total)
{
    uint32_t *all = calloc(count + list->count + 1, sizeof *all);
    *total = 0;
    for (uint32_t i = 0; all && i < count; i++) {
        all[(*total)++] = pids[i];
    }
    for (size_t i = 0; all && i < list->count; i++) {
        const redirector_rule *rule;
        uint32_t pid = list->rows[i].pid;
        if (pid != GetCurrentProcessId() && !processes_is_among(pid, all, *total) &&
            processes_judge(&list->rows[i], rules, rule_count, false, &rule)) {
            all[(*total)++] = pid;
        }
    }
    return all;
}
