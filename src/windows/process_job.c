/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The jobs that keep track of a process tree (I1): one for each root (job_object.c), all with one completion port.
 *
 * Theory of operation: process events come from three sources. (1) The completion port reports each member that begins
 * or ends, also one that has ended before its message is read. (2) A snapshot at the start finds descendants that
 * already run. They are put into their root's job; one that cannot be (no rights, or a job of its own that does not
 * nest) is reported all the same, and its later children are found by their parent link. (3) Windows does not guarantee
 * the delivery of job messages, so the jobs' lists of processes are compared with the members every COMPARE_MS, a slice
 * at a time where there are many: packets wait for the thread that does it.
 *
 * Whether a process is in a job has to be asked of each job by itself, and there may be thousands. So it is asked of
 * those that are no members and are in some job at all, once each: a process gets into our jobs by being born there, or
 * by us.
 *
 * The handle of each member is kept until its end has been reported: until then its pid cannot be reused.
 */
#include "windows/job_object.h"
#include "windows/process_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <tlhelp32.h>

enum { COMPARE_MS = 500, COMPARE_SLICE_MS = 20, COMPARE_SLICE = 128, SNAPSHOT_ROUNDS = 8, STRANGERS = 256 };

struct member {
    struct process_id id;
    HANDLE process;
    uint32_t root; /* number of the job that it is in, or should be in */
    bool announced;
    bool ended; /* to be announced */
};

struct process_job {
    struct job_object *jobs; /* one a root, in use or not */
    uint32_t roots;
    HANDLE port;
    struct member *members;
    uint32_t count, room;
    uint32_t unannounced;  /* members with something to announce */
    uint32_t compare_from; /* where the next slice begins */
    ULONGLONG compared_at;
    struct process_id strangers[STRANGERS]; /* in jobs of others, not in ours */
};

/* ---- members */

static struct member *find_member(struct process_job *job, uint32_t pid)
{
    for (uint32_t i = 0; i < job->count; i++) {
        if (job->members[i].id.pid == pid) {
            return &job->members[i];
        }
    }
    return NULL;
}

/* Takes the handle. NULL: no memory. */
static struct member *add_member(struct process_job *job, uint32_t root, uint32_t pid, HANDLE process)
{
    if (job->count == job->room) {
        uint32_t room = job->room ? job->room * 2 : 64;
        struct member *larger = realloc(job->members, room * sizeof *larger);
        if (!larger) {
            CloseHandle(process);
            return NULL;
        }
        job->members = larger;
        job->room = room;
    }
    struct member *m = &job->members[job->count++];
    *m = (struct member){.id = {.pid = pid, .created = process_created(process)}, .process = process, .root = root};
    job->unannounced++;
    return m;
}

bool process_job_holds(struct process_job *job, struct process_id id, HANDLE process)
{
    const struct member *m = find_member(job, id.pid);
    if (m && m->id.created == id.created) {
        return true;
    }
    struct process_id *stranger = &job->strangers[id.pid / 4 % STRANGERS]; /* Windows' pids are multiples of 4 */
    bool known = stranger->pid == id.pid && stranger->created == id.created;
    if (known || !process_is_in_job(process, NULL)) {
        return false;
    }
    for (uint32_t i = 0; i < job->roots; i++) {
        if (job->jobs[i].job && process_is_in_job(process, job->jobs[i].job)) {
            return true;
        }
    }
    *stranger = id;
    return false;
}

static void remove_member(struct process_job *job, struct member *m)
{
    CloseHandle(m->process);
    *m = job->members[--job->count];
}

/* Adds a process that a root's job reported; NULL if it has ended, or its pid was reused. */
static struct member *add_from_job(struct process_job *job, uint32_t root, uint32_t pid)
{
    HANDLE process = process_open(pid);
    if (!process) {
        return NULL;
    }
    if (!process_is_in_job(process, job->jobs[root].job)) {
        CloseHandle(process);
        return NULL;
    }
    return add_member(job, root, pid, process);
}

/* Adds processes that the list of a root's job has and the members have not. */
static void add_listed(struct process_job *job, uint32_t root)
{
    uint32_t room = job->count + 64;
    size_t size = sizeof(JOBOBJECT_BASIC_PROCESS_ID_LIST) + room * sizeof(ULONG_PTR);
    JOBOBJECT_BASIC_PROCESS_ID_LIST *list = malloc(size);
    if (!list) {
        return;
    }
    list->NumberOfProcessIdsInList = 0;
    /* With ERROR_MORE_DATA it is filled as far as it goes; the rest comes next time. */
    if (QueryInformationJobObject(job->jobs[root].job, JobObjectBasicProcessIdList, list, (DWORD)size, NULL) ||
        GetLastError() == ERROR_MORE_DATA) {
        for (DWORD i = 0; i < list->NumberOfProcessIdsInList && i <= room; i++) {
            uint32_t pid = (uint32_t)list->ProcessIdList[i];
            if (!find_member(job, pid)) {
                add_from_job(job, root, pid);
            }
        }
    }
    free(list);
}

/* ---- processes that run at the start */

/* Puts a running process into its root's job, if Windows lets us, and among the members. */
static bool adopt(struct process_job *job, uint32_t root, uint32_t pid, HANDLE process)
{
    if (!process_is_in_job(process, job->jobs[root].job)) {
        HANDLE strong = OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, FALSE, pid);
        if (strong) {
            AssignProcessToJobObject(job->jobs[root].job, strong);
            CloseHandle(strong);
        }
    }
    return add_member(job, root, pid, process) != NULL;
}

/* Scans all processes once; returns how many new descendants were found. */
static uint32_t adopt_children(struct process_job *job)
{
    uint32_t found = 0;
    PROCESSENTRY32W entry = {.dwSize = sizeof entry};
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    if (snapshot == INVALID_HANDLE_VALUE) {
        return 0;
    }
    for (BOOL more = Process32FirstW(snapshot, &entry); more; more = Process32NextW(snapshot, &entry)) {
        uint32_t pid = entry.th32ProcessID;
        const struct member *parent = find_member(job, entry.th32ParentProcessID);
        if (!pid || !parent || find_member(job, pid)) {
            continue;
        }
        HANDLE process = process_open(pid);
        if (!process) {
            continue;
        }
        if (process_has_exited(process) || parent->id.created > process_created(process)) {
            CloseHandle(process);
        } else {
            found += adopt(job, parent->root, pid, process);
        }
    }
    CloseHandle(snapshot);
    return found;
}

/* Opens the root's job and puts it there, with what an earlier start has left in it. */
static bool adopt_root(struct process_job *job, uint32_t root, struct process_id id, redirector_error *error)
{
    HANDLE process = process_open(id.pid);
    uint32_t code = process ? ERROR_SUCCESS : GetLastError();
    if (process && (process_created(process) != id.created || process_has_exited(process))) {
        CloseHandle(process);
        process = NULL;
    }
    if (!process) {
        char detail[40];
        redirector_status status = process_open_status(code);
        bool ended = status == REDIRECTOR_NO_SUCH_PROCESS;
        snprintf(detail, sizeof detail, "pid %lu%s", (unsigned long)id.pid, ended ? " has ended" : "");
        error_set(error, status, code, detail);
        return false;
    }
    if (!job_object_open(&job->jobs[root], id, job->port, root)) {
        code = GetLastError();
        error_set(error, error_status(code, REDIRECTOR_INTERNAL), code, "no job object for the process tree");
        CloseHandle(process);
        return false;
    }
    if (adopt(job, root, id.pid, process)) {
        add_listed(job, root);
        return true;
    }
    error_set(error, REDIRECTOR_NO_MEMORY, 0, NULL);
    return false;
}

struct process_job *process_job_open(const struct process_id *roots, uint32_t count, redirector_error *error)
{
    struct process_job *job = calloc(1, sizeof *job);
    if (job) {
        job->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
        job->jobs = calloc(count, sizeof *job->jobs);
    }
    if (!job || !job->port || !job->jobs) {
        error_set(error, REDIRECTOR_NO_MEMORY, job ? GetLastError() : 0, NULL);
        goto fail;
    }
    job->roots = count;
    for (uint32_t i = 0; i < count; i++) { /* one that is in another's job already needs none */
        if (!find_member(job, roots[i].pid) && !adopt_root(job, i, roots[i], error)) {
            goto fail;
        }
    }
    /* Children created from now on are created in the job; but children of a process that is not in it yet may be
     * created during a scan, hence more than one. */
    for (int round = 0; round < SNAPSHOT_ROUNDS && adopt_children(job); round++) {
        ;
    }
    job->compared_at = GetTickCount64();
    return job;
fail:
    process_job_close(job);
    return NULL;
}

void process_job_close(struct process_job *job)
{
    if (!job) {
        return;
    }
    while (job->count) {
        remove_member(job, &job->members[0]);
    }
    free(job->members);
    for (uint32_t i = 0; i < job->roots; i++) {
        job_object_close(&job->jobs[i]);
    }
    free(job->jobs);
    if (job->port) {
        CloseHandle(job->port);
    }
    free(job);
}

/* ---- process events */

static struct process_event announce(struct process_job *job, struct member *m)
{
    struct process_event event = {.id = m->id, .exited = m->announced};
    job->unannounced--;
    if (event.exited) {
        remove_member(job, m);
    } else {
        m->announced = true;
    }
    return event;
}

static bool next_announcement(struct process_job *job, struct process_event *event)
{
    for (uint32_t i = 0; job->unannounced && i < job->count; i++) {
        struct member *m = &job->members[i];
        if (!m->announced || m->ended) {
            *event = announce(job, m);
            return true;
        }
    }
    return false;
}

/* One message of a root's job; false: it is no process event. */
static bool read_message(struct process_job *job, uint32_t root, DWORD message, uint32_t pid,
                         struct process_event *event)
{
    struct member *m = find_member(job, pid);
    *event = (struct process_event){.id = {.pid = pid}};
    switch (message) {
    case JOB_OBJECT_MSG_NEW_PROCESS:
        if (m) { /* the snapshot found it first */
            return false;
        }
        m = add_from_job(job, root, pid);
        if (m) {
            *event = announce(job, m);
        }
        return true;
    case JOB_OBJECT_MSG_EXIT_PROCESS:
    case JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS:
        event->exited = true;
        if (!m) {
            return true;
        }
        /*
         * The message can be that of an earlier process with this pid, or precede the end; compare() then finds the
         * end.
         */
        if (!process_has_exited(m->process) || m->ended) {
            return false;
        }
        m->ended = true;
        job->unannounced++;
        *event = announce(job, m);
        return true;
    default:
        return false;
    }
}

static void compare(struct process_job *job)
{
    ULONGLONG now = GetTickCount64();
    if (now - job->compared_at < (job->compare_from ? COMPARE_SLICE_MS : COMPARE_MS)) {
        return;
    }
    job->compared_at = now;
    uint32_t from = job->compare_from, to = from + COMPARE_SLICE;
    for (uint32_t i = from; i < to && i < job->count; i++) {
        struct member *m = &job->members[i];
        if (!m->ended && process_has_exited(m->process)) {
            m->ended = true;
            job->unannounced++;
        }
    }
    for (uint32_t i = from; i < to && i < job->roots; i++) {
        if (job->jobs[i].job) {
            add_listed(job, i);
        }
    }
    job->compare_from = to < job->count || to < job->roots ? to : 0;
}

bool process_job_poll(struct process_job *job, struct process_event *event)
{
    if (next_announcement(job, event)) {
        return true;
    }
    DWORD message;
    ULONG_PTR root;  /* the key that job_object_open() was given */
    OVERLAPPED *pid; /* job messages put a process id where others put a pointer */
    while (GetQueuedCompletionStatus(job->port, &message, &root, &pid, 0)) {
        if (read_message(job, (uint32_t)root, message, (uint32_t)(ULONG_PTR)pid, event)) {
            return true;
        }
    }
    compare(job);
    return next_announcement(job, event);
}
