/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a launcher may end at once while its children run on; redirection lasts until the last of them
 * has ended. They are counted by a job for each root. The job restricts nothing, and is nested with the library's own
 * job. A descendant that ran before and cannot be put into the job (its own job does not nest with it) is not counted.
 */
#include "tree.h"

#include "processes.h"

static void add_descendants(HANDLE job, uint32_t root)
{
    struct process_list list;
    if (!processes_read(&list)) {
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        uint32_t pid = list.rows[i].pid;
        if (pid == root || pid == GetCurrentProcessId() || !processes_descends(&list, pid, &root, 1)) {
            continue;
        }
        HANDLE process = OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, FALSE, pid);
        if (process) {
            AssignProcessToJobObject(job, process);
            CloseHandle(process);
        }
    }
    processes_free(&list);
}

bool tree_add(struct tree *t, HANDLE process)
{
    if (t->count == TREE_ROOTS_MAX) {
        return false;
    }
    struct tree_root *root = &t->roots[t->count++];
    *root = (struct tree_root){.process = process, .job = CreateJobObjectW(NULL, NULL)};
    if (root->job && !AssignProcessToJobObject(root->job, process)) {
        CloseHandle(root->job);
        root->job = NULL;
    }
    if (root->job) {
        add_descendants(root->job, GetProcessId(process));
    }
    return true;
}

uint32_t tree_alive(const struct tree *t)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        JOBOBJECT_BASIC_ACCOUNTING_INFORMATION accounts = {0};
        const struct tree_root *root = &t->roots[i];
        if (root->job && QueryInformationJobObject(root->job, JobObjectBasicAccountingInformation, &accounts,
                                                   sizeof accounts, NULL)) {
            alive += accounts.ActiveProcesses;
        } else {
            alive += WaitForSingleObject(root->process, 0) == WAIT_TIMEOUT;
        }
    }
    return alive;
}

bool tree_has(const struct tree *t, uint32_t pid)
{
    BOOL member = FALSE;
    HANDLE process = OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, pid);
    for (uint32_t i = 0; process && i < t->count && !member; i++) {
        if (t->roots[i].job) {
            IsProcessInJob(process, t->roots[i].job, &member);
        } else {
            member = GetProcessId(t->roots[i].process) == pid;
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
        if (t->roots[i].job) {
            CloseHandle(t->roots[i].job);
        }
        CloseHandle(t->roots[i].process);
    }
    t->count = 0;
}
