/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a launcher may end at once while its children run on; redirection lasts until the last of them
 * has ended. They are counted by a job, which restricts nothing, and in which the library's own jobs are nested. A
 * process that Windows does not let into it, because it is in a job that does not nest there, gets a job of its own, and
 * if that cannot be either it is counted by itself. So the number of jobs to ask does not grow with that of the roots.
 */
#include "tree.h"

#include "processes.h"

#include <stdlib.h>

static uint32_t active_in(HANDLE job)
{
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION accounts = {0};
    QueryInformationJobObject(job, JobObjectBasicAccountingInformation, &accounts, sizeof accounts, NULL);
    return accounts.ActiveProcesses;
}

/* Into the tree's job, or one of its own. */
static void join(struct tree *t, struct tree_process *p)
{
    BOOL member = FALSE;
    if (!t->job) {
        t->job = CreateJobObjectW(NULL, NULL);
    }
    p->joined = t->job && ((IsProcessInJob(p->process, t->job, &member) && member) ||
                           AssignProcessToJobObject(t->job, p->process));
    if (p->joined) {
        return;
    }
    p->job = CreateJobObjectW(NULL, NULL);
    if (p->job && !AssignProcessToJobObject(p->job, p->process)) {
        CloseHandle(p->job);
        p->job = NULL;
    }
}

static bool add(struct tree *t, HANDLE process, bool root)
{
    if (t->count == t->room) {
        uint32_t room = t->room ? 2 * t->room : 16;
        struct tree_process *larger = realloc(t->processes, room * sizeof *larger);
        if (!larger) {
            CloseHandle(process);
            return false;
        }
        t->processes = larger;
        t->room = room;
    }
    struct tree_process *p = &t->processes[t->count];
    *p = (struct tree_process){.process = process, .root = root};
    join(t, p);
    if (!root && p->joined) {
        CloseHandle(process); /* the job counts it */
    } else {
        t->count++;
    }
    return true;
}

bool tree_add(struct tree *t, HANDLE process)
{
    return add(t, process, true);
}

uint32_t *tree_roots(const struct tree *t, uint32_t *count)
{
    uint32_t *pids = calloc(t->count + 1u, sizeof *pids);
    *count = 0;
    for (uint32_t i = 0; pids && i < t->count; i++) {
        if (t->processes[i].root) {
            pids[(*count)++] = GetProcessId(t->processes[i].process);
        }
    }
    return pids;
}

HANDLE tree_open(uint32_t pid)
{
    /* to put it into a job; where that is not allowed, to wait for its end at least */
    HANDLE process = OpenProcess(
        SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SET_QUOTA | PROCESS_TERMINATE, FALSE, pid);
    return process ? process : OpenProcess(SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
}

void tree_add_running(struct tree *t)
{
    struct process_list list;
    uint32_t count, *roots = tree_roots(t, &count);
    if (!roots || !processes_read(&list)) {
        free(roots);
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        uint32_t pid = list.rows[i].pid, parent = list.rows[i].parent;
        bool descends = parent && pid != GetCurrentProcessId() && processes_descends(&list, parent, roots, count) &&
                        !processes_is_among(pid, roots, count);
        HANDLE process = descends ? tree_open(pid) : NULL;
        if (process) {
            add(t, process, false);
        }
    }
    processes_free(&list);
    free(roots);
}

uint32_t tree_alive(const struct tree *t)
{
    uint32_t alive = t->job ? active_in(t->job) : 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct tree_process *p = &t->processes[i];
        if (p->job) {
            alive += active_in(p->job);
        } else if (!p->joined) {
            alive += WaitForSingleObject(p->process, 0) == WAIT_TIMEOUT;
        }
    }
    return alive;
}

bool tree_has(const struct tree *t, uint32_t pid)
{
    BOOL member = FALSE;
    HANDLE process = OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, pid);
    if (process && t->job) {
        IsProcessInJob(process, t->job, &member);
    }
    for (uint32_t i = 0; process && i < t->count && !member; i++) {
        const struct tree_process *p = &t->processes[i];
        if (p->job) {
            IsProcessInJob(process, p->job, &member);
        } else if (!p->joined) {
            member = GetProcessId(p->process) == pid;
        }
    }
    if (process) {
        CloseHandle(process);
    }
    return member;
}

void tree_close(struct tree *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->processes[i].job) {
            CloseHandle(t->processes[i].job);
        }
        CloseHandle(t->processes[i].process);
    }
    if (t->job) {
        CloseHandle(t->job);
    }
    free(t->processes);
    *t = (struct tree){0};
}
