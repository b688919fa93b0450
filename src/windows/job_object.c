/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The job objects of one root: the job, whose members are the tree, and an inner one nested in it.
 *
 * Theory of operation: the job has no limit at all. So nobody can leave it, and whoever asks whether he may break away
 * is told no. But a program that insists on CREATE_BREAKAWAY_FROM_JOB would fail. So the tree's processes are in the
 * inner job, too, and that permits it: a process that breaks away climbs until it reaches a job that does not permit
 * breakaway, which is ours ("Nested Jobs", Microsoft). The job's port gets the messages of the inner one and of all
 * jobs that programs nest below.
 *
 * A process that has broken away could not do so again, nor could its children. So it is put into the inner job again
 * after a while (job_object_return), but not at once: programs break away in order to put their child into a job of
 * their own, and Windows refuses that if the child is not where its siblings were.
 *
 * One redirector at a time holds the named jobs of a root. It marks them as held by a named event, which Windows
 * removes with the event's last handle. Later starts on the same root find the jobs by name and take them over, so that
 * restarts do not nest jobs without end. A name lasts only as long as a handle to its object; so handles without rights
 * (SYNCHRONIZE) are duplicated into the root process. While another redirector holds the named jobs, or if they cannot
 * be taken over, unnamed ones are nested into them; so each redirector has a completion port of its own.
 */
#include "windows/job_object.h"

#include "windows/process_internal.h"

#include <stdio.h>

enum { INNER_LIMITS = JOB_OBJECT_LIMIT_BREAKAWAY_OK };

static bool allow_breakaway(HANDLE job)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags = INNER_LIMITS;
    return SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
}

/* A job that another program created under our name is not used: it could, say, kill the tree with its last handle. */
static bool has_limits(HANDLE job, DWORD wanted)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    return QueryInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL) &&
           limits.BasicLimitInformation.LimitFlags == wanted;
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

/* Keeps the names until the root ends. A failure is harmless: the next start nests jobs. */
static void give_handles_to_root(const struct job_object *o, uint32_t root)
{
    HANDLE process = OpenProcess(PROCESS_DUP_HANDLE, FALSE, root);
    HANDLE remote;
    if (!process) {
        return;
    }
    DuplicateHandle(GetCurrentProcess(), o->job, process, &remote, SYNCHRONIZE, FALSE, 0);
    DuplicateHandle(GetCurrentProcess(), o->inner, process, &remote, SYNCHRONIZE, FALSE, 0);
    CloseHandle(process);
}

/* NULL: it could not be created. */
static HANDLE create_job(const wchar_t *name, bool *existed)
{
    SetLastError(ERROR_SUCCESS);
    HANDLE job = CreateJobObjectW(NULL, name);
    *existed = GetLastError() == ERROR_ALREADY_EXISTS;
    return job;
}

static void close_jobs(struct job_object *o)
{
    if (o->job) {
        CloseHandle(o->job);
    }
    if (o->inner) {
        CloseHandle(o->inner);
    }
    if (o->holder) {
        CloseHandle(o->holder);
    }
    *o = (struct job_object){NULL, NULL, NULL};
}

/* Creates both, or finds both as an earlier start has left them. name NULL: without names. */
static bool create_jobs(struct job_object *o, const wchar_t *name, uint32_t root)
{
    wchar_t inner_name[100];
    bool existed = false, inner_existed = false;
    if (name) {
        swprintf(inner_name, sizeof inner_name / sizeof *inner_name, L"%ls-inner", name);
    }
    o->job = create_job(name, &existed);
    if (!o->job) {
        return false; /* at once: the caller tells what Windows has said */
    }
    o->inner = create_job(name ? inner_name : NULL, &inner_existed);
    if (!o->inner || existed != inner_existed) {
        return false;
    }
    if (existed) {
        return has_limits(o->job, 0) && has_limits(o->inner, INNER_LIMITS);
    }
    if (!allow_breakaway(o->inner)) {
        return false;
    }
    if (name) {
        give_handles_to_root(o, root);
    }
    return true;
}

static bool take_named_jobs(struct job_object *o, struct process_id root, HANDLE port, uint32_t key)
{
    wchar_t name[80], holder[90];
    swprintf(name, sizeof name / sizeof *name, L"Local\\windows-redirector-tree-%lu-%llx", (unsigned long)root.pid,
             (unsigned long long)root.created);
    swprintf(holder, sizeof holder / sizeof *holder, L"%ls-held", name);
    SetLastError(ERROR_SUCCESS);
    o->holder = CreateEventW(NULL, TRUE, FALSE, holder);
    if (is_first(&o->holder) && create_jobs(o, name, root.pid)) {
        set_port(o->job, NULL, 0); /* of a redirector that has ended */
        if (set_port(o->job, port, key)) {
            return true;
        }
    }
    close_jobs(o);
    return false;
}

bool job_object_open(struct job_object *o, struct process_id root, HANDLE port, uint32_t key)
{
    return take_named_jobs(o, root, port, key) || (create_jobs(o, NULL, 0) && set_port(o->job, port, key));
}

static HANDLE open_to_assign(uint32_t pid)
{
    return OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, FALSE, pid);
}

bool job_object_put(struct job_object *o, uint32_t pid)
{
    HANDLE process = open_to_assign(pid);
    bool put = process && AssignProcessToJobObject(o->job, process);
    DWORD code = GetLastError();
    if (put) {
        AssignProcessToJobObject(o->inner, process); /* if it cannot be, it cannot break away: no harm to us */
    }
    if (process) {
        CloseHandle(process);
    }
    SetLastError(code);
    return put;
}

void job_object_return(struct job_object *o, uint32_t pid, HANDLE process)
{
    HANDLE strong = process_is_in_job(process, o->inner) ? NULL : open_to_assign(pid);
    if (strong) {
        AssignProcessToJobObject(o->inner, strong); /* refused where it has a job of its own by now */
        CloseHandle(strong);
    }
}

void job_object_close(struct job_object *o)
{
    if (o->job) {
        /* the job outlives us with its processes, and must not queue messages to a closed port */
        set_port(o->job, NULL, 0);
    }
    close_jobs(o);
}
