/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Nested jobs and their messages. */
#include "kernel_internal.h"

#include <string.h>

static void settle_job(struct job *job)
{
    if (job->used && !job->handles && !job->processes) {
        job->used = false; /* jobs below have no processes, or this one had them, too */
    }
    if (!job->handles) {
        job->name[0] = 0;
    }
}

void kernel_release_job(struct job *job)
{
    job->handles--;
    settle_job(job);
}

static void post_to(const struct job *job, DWORD message, uint32_t pid)
{
    kernel.random = kernel.random * 1103515245 + 12345;
    if (job->port && (kernel.random >> 16) % 16 >= kernel.rules.lost_of_16 && kernel.message_count < KERNEL_MESSAGES) {
        kernel.messages[kernel.message_count++] = (struct message){job->port, message, pid, job->key};
    }
}

/* Into `job` and all above it, up to `from`, where it is already. */
void kernel_enter(struct process *p, struct job *job, struct job *from)
{
    p->job = job;
    for (; job != from; job = job->parent) {
        job->processes++;
        job->ever++;
        post_to(job, JOB_OBJECT_MSG_NEW_PROCESS, p->pid);
    }
}

static bool permits(const struct job *job, DWORD flags)
{
    bool silent = job->limits & JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    bool asked = job->limits & JOB_OBJECT_LIMIT_BREAKAWAY_OK;
    return silent || (asked && (flags & CREATE_BREAKAWAY_FROM_JOB));
}

struct job *kernel_job_of_child(const struct process *parent, DWORD flags)
{
    struct job *job = parent->job;
    bool silent = job && job->limits & JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    if (silent && kernel.rules.silent_climbs) {
        flags |= CREATE_BREAKAWAY_FROM_JOB;
    }
    while (job && permits(job, flags)) {
        job = job->parent;
    }
    return job;
}

void kernel_leave(struct process *p)
{
    for (struct job *job = p->job, *parent; job; job = parent) {
        parent = job->parent;
        post_to(job, JOB_OBJECT_MSG_EXIT_PROCESS, p->pid);
        job->processes--;
        settle_job(job);
    }
}

HANDLE CreateJobObjectW(void *security, const wchar_t *name)
{
    (void)security;
    struct job *job = NULL;
    kernel.error = ERROR_SUCCESS;
    for (int i = 0; i < KERNEL_JOBS && name; i++) {
        if (kernel.jobs[i].used && wcscmp(kernel.jobs[i].name, name) == 0) {
            job = &kernel.jobs[i];
            kernel.error = ERROR_ALREADY_EXISTS;
        }
    }
    for (int i = 0; i < KERNEL_JOBS && !job; i++) {
        job = kernel.jobs[i].used ? NULL : &kernel.jobs[i];
    }
    if (!job) {
        kernel_misused("no more jobs");
    }
    if (!job->used) {
        *job = (struct job){.used = true};
        wcsncpy(job->name, name ? name : L"", KERNEL_NAME - 1);
    }
    job->handles++;
    return kernel_new_handle(HANDLE_JOB, job, KERNEL_SELF);
}

HANDLE kernel_job_of(uint32_t pid, DWORD limits, bool ui_limits)
{
    HANDLE h = CreateJobObjectW(NULL, NULL);
    struct job *job = kernel_object(h, HANDLE_JOB);
    job->limits = limits;
    job->ui_limits = ui_limits;
    kernel_handle(h)->owner = pid;
    return h;
}

/* Whether `above` is the job itself or one of those above it. */
static bool is_above(const struct job *above, const struct job *job)
{
    while (job && job != above) {
        job = job->parent;
    }
    return job != NULL;
}

BOOL AssignProcessToJobObject(HANDLE job_handle, HANDLE process)
{
    struct job *job = kernel_object(job_handle, HANDLE_JOB);
    struct process *p = kernel_object(process, HANDLE_PROCESS);
    if (p->job && is_above(job, p->job)) {
        return TRUE;
    }
    bool nests = p->job && !job->parent && !job->ever;
    bool fits = nests || (p->job ? is_above(p->job, job->parent) : !job->parent);
    bool limited = p->job && (job->ui_limits || p->job->ui_limits);
    if (!p->alive || p->refuses || !fits || limited) {
        kernel.error = ERROR_ACCESS_DENIED;
        return FALSE;
    }
    if (nests) {
        job->parent = p->job;
    }
    kernel_enter(p, job, p->job);
    return TRUE;
}

BOOL IsProcessInJob(HANDLE process, HANDLE job, BOOL *result)
{
    const struct process *p = kernel_object(process, HANDLE_PROCESS);
    *result = job ? p->job && is_above(kernel_object(job, HANDLE_JOB), p->job) : p->job != NULL;
    return TRUE;
}

BOOL SetInformationJobObject(HANDLE h, JOBOBJECTINFOCLASS what, const void *information, DWORD size)
{
    (void)size;
    struct job *job = kernel_object(h, HANDLE_JOB);
    if (what == JobObjectExtendedLimitInformation) {
        job->limits = ((const JOBOBJECT_EXTENDED_LIMIT_INFORMATION *)information)->BasicLimitInformation.LimitFlags;
    } else {
        const JOBOBJECT_ASSOCIATE_COMPLETION_PORT *association = information;
        if (association->CompletionPort && job->port) {
            kernel.error = ERROR_INVALID_PARAMETER;
            return FALSE;
        }
        job->port = association->CompletionPort ? kernel_object(association->CompletionPort, HANDLE_PORT) : NULL;
        job->key = (ULONG_PTR)association->CompletionKey;
        for (uint32_t i = 1; i < KERNEL_PIDS && job->port; i++) { /* those that are in it are told of */
            const struct process *p = &kernel.processes[i];
            if (p->alive && p->job && is_above(job, p->job)) {
                post_to(job, JOB_OBJECT_MSG_NEW_PROCESS, p->pid);
            }
        }
    }
    return TRUE;
}

BOOL QueryInformationJobObject(HANDLE h, JOBOBJECTINFOCLASS what, void *information, DWORD size, DWORD *length)
{
    (void)length;
    const struct job *job = kernel_object(h, HANDLE_JOB);
    if (what == JobObjectExtendedLimitInformation) {
        ((JOBOBJECT_EXTENDED_LIMIT_INFORMATION *)information)->BasicLimitInformation.LimitFlags = job->limits;
        return TRUE;
    }
    JOBOBJECT_BASIC_PROCESS_ID_LIST *list = information;
    DWORD room = (DWORD)((size - offsetof(JOBOBJECT_BASIC_PROCESS_ID_LIST, ProcessIdList)) / sizeof(ULONG_PTR));
    DWORD count = 0;
    for (uint32_t i = 1; i < KERNEL_PIDS; i++) {
        const struct process *p = &kernel.processes[i];
        if (p->alive && p->job && is_above(job, p->job)) {
            if (count < room) {
                list->ProcessIdList[count] = p->pid;
            }
            count++;
        }
    }
    list->NumberOfAssignedProcesses = count;
    list->NumberOfProcessIdsInList = count < room ? count : room;
    kernel.error = ERROR_MORE_DATA;
    return count <= room;
}

/* ---- completion ports */

HANDLE CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads)
{
    (void)file, (void)port, (void)key, (void)threads;
    struct port *p = kernel.ports;
    while (p->handles) {
        if (++p == kernel.ports + KERNEL_OTHERS) {
            kernel_misused("no more ports");
        }
    }
    p->handles = 1;
    kernel.newest_port = p;
    return kernel_new_handle(HANDLE_PORT, p, KERNEL_SELF);
}

const void *kernel_newest_port(void)
{
    return kernel.newest_port;
}

static void remove_message(uint32_t at)
{
    kernel.message_count--;
    memmove(&kernel.messages[at], &kernel.messages[at + 1], (kernel.message_count - at) * sizeof *kernel.messages);
}

void kernel_release_port(struct port *port)
{
    port->handles--;
    for (uint32_t i = kernel.message_count; i-- > 0;) {
        if (kernel.messages[i].port == port) {
            remove_message(i);
        }
    }
}

BOOL GetQueuedCompletionStatus(HANDLE port, DWORD *bytes, ULONG_PTR *key, OVERLAPPED **overlapped, DWORD timeout_ms)
{
    (void)timeout_ms;
    const struct port *p = kernel_object(port, HANDLE_PORT);
    for (uint32_t i = 0; i < kernel.message_count; i++) {
        struct message m = kernel.messages[i];
        if (m.port == p) {
            remove_message(i);
            *bytes = m.message;
            *key = m.key;
            *overlapped = (OVERLAPPED *)(uintptr_t)m.pid;
            return TRUE;
        }
    }
    return FALSE;
}
