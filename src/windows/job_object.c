/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The job object of one root.
 *
 * Theory of operation: one redirector at a time holds the named job of a root. It marks it as held by a named event,
 * which Windows removes with the event's last handle. Later starts on the same root find the job by its name and take
 * it over, so that restarts do not nest jobs without end. A name lasts only as long as a handle to its object; so a
 * handle without rights (SYNCHRONIZE) is duplicated into the root process. While another redirector holds the named
 * job, or if it cannot be taken over, an unnamed job is nested into it; so each redirector has a completion port of its
 * own.
 */
#include "windows/job_object.h"

#include <stdio.h>

/* The job limits nothing: programs that ask to break away must not fail because of it. */
static bool allow_breakaway(HANDLE job)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_BREAKAWAY_OK;
    return SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
}

/* A job that another program created under this name is not used: it could, say, kill the tree with its last handle. */
static bool is_our_kind(HANDLE job)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    return QueryInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL) &&
           limits.BasicLimitInformation.LimitFlags == JOB_OBJECT_LIMIT_BREAKAWAY_OK;
}

/* A job has one port at a time; NULL takes the former one away (Windows 8). */
static bool set_port(HANDLE job, HANDLE port, uint32_t key)
{
    JOBOBJECT_ASSOCIATE_COMPLETION_PORT association = {
        .CompletionKey = (void *)(ULONG_PTR)key,
        .CompletionPort = port,
    };
    return SetInformationJobObject(job, JobObjectAssociateCompletionPortInformation, &association, sizeof association);
}

/* Whether a new handle is the first of its object; else it is closed. */
static bool is_first(HANDLE *handle)
{
    bool existed = GetLastError() == ERROR_ALREADY_EXISTS;
    if (*handle && existed) {
        CloseHandle(*handle);
        *handle = NULL;
    }
    return *handle != NULL;
}

/* Keeps the name until the root ends. A failure is harmless: the next start nests a job. */
static void give_handle_to_root(HANDLE job, uint32_t root)
{
    HANDLE process = OpenProcess(PROCESS_DUP_HANDLE, FALSE, root);
    HANDLE remote;
    if (!process) {
        return;
    }
    DuplicateHandle(GetCurrentProcess(), job, process, &remote, SYNCHRONIZE, FALSE, 0);
    CloseHandle(process);
}

static bool take_named_job(struct job_object *o, struct process_id root, HANDLE port, uint32_t key)
{
    wchar_t name[80], holder[90];
    swprintf(name, sizeof name / sizeof *name, L"Local\\windows-redirector-%lu-%llx", (unsigned long)root.pid,
             (unsigned long long)root.created);
    swprintf(holder, sizeof holder / sizeof *holder, L"%ls-held", name);
    SetLastError(ERROR_SUCCESS);
    o->holder = CreateEventW(NULL, TRUE, FALSE, holder);
    if (!is_first(&o->holder)) {
        return false;
    }
    SetLastError(ERROR_SUCCESS);
    HANDLE named = CreateJobObjectW(NULL, name);
    bool existed = GetLastError() == ERROR_ALREADY_EXISTS;
    if (named && existed) {
        set_port(named, NULL, 0); /* of a redirector that has ended */
    }
    if (named && (existed ? is_our_kind(named) : allow_breakaway(named)) && set_port(named, port, key)) {
        o->job = named;
        if (!existed) {
            give_handle_to_root(named, root.pid);
        }
        return true;
    }
    if (named) {
        CloseHandle(named);
    }
    CloseHandle(o->holder);
    o->holder = NULL;
    return false;
}

bool job_object_open(struct job_object *o, struct process_id root, HANDLE port, uint32_t key)
{
    if (take_named_job(o, root, port, key)) {
        return true;
    }
    o->job = CreateJobObjectW(NULL, NULL);
    return o->job && allow_breakaway(o->job) && set_port(o->job, port, key);
}

void job_object_close(struct job_object *o)
{
    if (o->job) {
        set_port(o->job, NULL,
                 0); /* the job outlives us with its processes, and must not queue messages to a closed port */
        CloseHandle(o->job);
    }
    if (o->holder) {
        CloseHandle(o->holder);
    }
    *o = (struct job_object){NULL, NULL};
}
