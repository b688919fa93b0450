/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The jobs that keep track of a process tree (I1): one for each root (job_object.c), all with one completion port.
 *
 * Theory of operation: process events come from three sources. (1) The completion port reports each member that begins
 * or ends, also one that has ended before its message is read. (2) A snapshot at the start finds descendants that
 * already run. They are put into their root's job; one that cannot be (no rights, another session, restrictions of the
 * user interface, a job of its own that does not nest) is reported as outside, and its later children are found by
 * looking at all processes, again and again (process_watch.c), while such a member lives. (3) Windows does not guarantee
 * the delivery of job messages, so the jobs' lists of processes are compared with the members every COMPARE_MS, a slice
 * at a time where there are many: packets wait for the thread that does it.
 *
 * Whether a process is in a job has to be asked of each job by itself, and there may be thousands. So it is asked of
 * those that are no members and are in some job at all, once each: a process gets into our jobs by being born there, or
 * by us.
 *
 * The handle of each member is kept until its end has been reported: until then its pid cannot be reused.
 */
#include "windows/job_members.h"
#include "windows/job_object.h"
#include "windows/process_table.h"

#include <stdio.h>
#include <stdlib.h>

enum { COMPARE_MS = 500, COMPARE_SLICE_MS = 20, COMPARE_SLICE = 128, SNAPSHOT_ROUNDS = 8, STRANGERS = 256 };

/* A process that has broken away is put into the inner job again when it has lived for so long. */
enum { RETURN_MS = 1000 };

/* All processes are looked at for so long after the end of the last member outside: it may have left children. */
enum { OUTSIDE_MS = 1000 };

/* A message can come so much later than its process was created; 100 ns units. */
enum { MESSAGE_DELAY = 100 * 10000 };

struct process_job {
    struct job_object *jobs; /* one a root, in use or not */
    uint32_t roots;
    HANDLE port;
    struct job_members members;
    ULONGLONG outside_at;  /* when a member outside of the jobs was last there; 0: never */
    bool unopened;         /* there was a member outside of the jobs that may not be opened */
    uint32_t compare_from; /* where the next slice begins */
    ULONGLONG compared_at;
    uint64_t drained_at;                    /* when the port was last empty, on the clock of creation times */
    struct process_id strangers[STRANGERS]; /* in jobs of others, not in ours */
};

/* ---- members */

bool process_job_holds(struct process_job *job, struct process_id id, HANDLE process)
{
    const struct job_member *m = job_members_find(&job->members, id.pid);
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

/* Adds a process that a root's job reported; NULL with GetLastError() if it has ended, or its pid was reused. */
static struct job_member *add_from_job(struct process_job *job, uint32_t root, uint32_t pid)
{
    HANDLE process = process_open(pid);
    if (!process) {
        return NULL;
    }
    if (!process_is_in_job(process, job->jobs[root].job)) {
        CloseHandle(process);
        SetLastError(ERROR_INVALID_PARAMETER);
        return NULL;
    }
    return job_members_add(&job->members, root, pid, process);
}

/* Adds processes that the list of a root's job has and the members have not. */
static void add_listed(struct process_job *job, uint32_t root)
{
    uint32_t room = job->members.count + 64;
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
            if (!job_members_find(&job->members, pid)) {
                add_from_job(job, root, pid);
            }
        }
    }
    free(list);
}

/* ---- processes that run at the start */

/* Puts a running process into its root's job, if Windows lets us, and among the members. Takes the handle. */
static bool adopt(struct process_job *job, uint32_t root, uint32_t pid, HANDLE process)
{
    bool was_there = process_is_in_job(process, job->jobs[root].job);
    bool is_there = was_there || job_object_put(&job->jobs[root], pid);
    uint32_t code = GetLastError();
    struct job_member *m = job_members_add(&job->members, root, pid, process);
    if (m) {
        m->settled = !was_there && is_there;
        if (!is_there) {
            job_members_set_outside(&job->members, m, code);
        }
    }
    return m != NULL;
}

bool process_job_needs_watch(struct process_job *job)
{
    ULONGLONG now = GetTickCount64();
    if (job->members.outside) {
        job->outside_at = now;
    }
    return job->members.outside || job->unopened || (job->outside_at && now - job->outside_at < OUTSIDE_MS);
}

bool process_job_adopt(struct process_job *job, const struct process_facts *facts)
{
    const uint32_t pid = facts->self.pid;
    if (job_members_find(&job->members, pid)) {
        return true;
    }
    HANDLE process = process_open(pid);
    if (!process) {
        bool denied = GetLastError() == ERROR_ACCESS_DENIED;
        job->unopened |= denied; /* nobody tells of its end, nor of its children */
        return denied;
    }
    if (process_created(process) != facts->self.created) {
        CloseHandle(process);
        return false;
    }
    const struct job_member *parent = job_members_find(&job->members, facts->parent.pid);
    adopt(job, parent ? parent->root : 0, pid, process);
    return true;
}

/* The process itself, alive; NULL with GetLastError(): it may not be opened, or, with 0, it has ended. */
static HANDLE open_alive(struct process_id id)
{
    HANDLE process = process_open(id.pid);
    if (process && (process_created(process) != id.created || process_has_exited(process))) {
        CloseHandle(process);
        SetLastError(ERROR_SUCCESS);
        return NULL;
    }
    return process;
}

/*
 * Looks at all processes once, parents before their children. true: it has to be done again, because there were new
 * descendants, who may have had children meanwhile; or processes that are not to be judged yet.
 */
static bool adopt_children(struct process_job *job)
{
    bool again = false;
    struct process_table all = {0};
    if (!process_table_read(&all)) {
        return false;
    }
    for (uint32_t i = 0; i < all.count; i++) {
        const struct process_facts *facts = &all.all[i];
        const struct job_member *parent = job_members_find(&job->members, facts->parent.pid);
        if (!facts->self.pid || !parent || parent->id.created > facts->self.created ||
            job_members_find(&job->members, facts->self.pid)) {
            continue;
        }
        const uint32_t root = parent->root;
        HANDLE process = open_alive(facts->self);
        again |= process && adopt(job, root, facts->self.pid, process);
    }
    again |= all.unborn;
    process_table_free(&all);
    return again;
}

/* Opens the root's job and puts it there, with what an earlier start has left in it. */
static bool adopt_root(struct process_job *job, uint32_t root, struct process_id id, redirector_error *error)
{
    HANDLE process = open_alive(id);
    uint32_t code = process ? ERROR_SUCCESS : GetLastError();
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
    job->drained_at = process_clock();
    for (uint32_t i = 0; i < count; i++) { /* one that is in another's job already needs none */
        if (!job_members_find(&job->members, roots[i].pid) && !adopt_root(job, i, roots[i], error)) {
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
    job_members_free(&job->members);
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

/* A member that is not there any more, or that we may not open. */
static struct process_event event_of_unopened(const struct process_job *job, uint32_t pid, uint32_t os_error)
{
    struct process_event event = {.id = {.pid = pid}, .gone = os_error != ERROR_ACCESS_DENIED};
    if (event.gone) {
        event.from = job->drained_at - MESSAGE_DELAY;
        event.to = process_clock();
    }
    return event;
}

/* One message of a root's job; false: it is no process event. */
static bool read_message(struct process_job *job, uint32_t root, DWORD message, uint32_t pid,
                         struct process_event *event)
{
    struct job_member *m = job_members_find(&job->members, pid);
    switch (message) {
    case JOB_OBJECT_MSG_NEW_PROCESS:
        if (m) { /* the snapshot found it first */
            return false;
        }
        m = add_from_job(job, root, pid);
        *event = m ? job_members_announce(&job->members, m) : event_of_unopened(job, pid, GetLastError());
        return true;
    case JOB_OBJECT_MSG_EXIT_PROCESS:
    case JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS:
        if (!m) {
            *event = (struct process_event){.id = {.pid = pid}, .exited = true, .to = process_clock()};
            return true;
        }
        /*
         * The message can be that of an earlier process with this pid, or precede the end; compare() then finds the
         * end.
         */
        if (m->ended || !process_has_exited(m->process)) {
            return false;
        }
        job_members_look_at(&job->members, m);
        *event = job_members_announce(&job->members, m);
        return true;
    default:
        return false;
    }
}

/*
 * Has it ended? Has it broken away, so that it and its children cannot do so again? If it is outside: may it into the
 * job, now that it is no longer about to begin?
 */
static void look_at_member(struct process_job *job, struct job_member *m, ULONGLONG now)
{
    job_members_look_at(&job->members, m);
    if (m->ended || m->settled || now - m->since < RETURN_MS) {
        return;
    }
    m->settled = true;
    if (!m->outside) {
        job_object_return(&job->jobs[m->root], m->id.pid, m->process);
    } else if (job_object_put(&job->jobs[m->root], m->id.pid)) {
        job_members_set_inside(&job->members, m);
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
    for (uint32_t i = from; i < to && i < job->members.count; i++) {
        look_at_member(job, &job->members.all[i], now);
    }
    for (uint32_t i = from; i < to && i < job->roots; i++) {
        if (job->jobs[i].job) {
            add_listed(job, i);
        }
    }
    job->compare_from = to < job->members.count || to < job->roots ? to : 0;
}

bool process_job_poll(struct process_job *job, struct process_event *event)
{
    if (job_members_next(&job->members, event)) {
        return true;
    }
    DWORD message;
    ULONG_PTR root;  /* the key that job_object_open() was given */
    OVERLAPPED *pid; /* job messages put a process id where others put a pointer */
    uint64_t now = process_clock();
    while (GetQueuedCompletionStatus(job->port, &message, &root, &pid, 0)) {
        if (read_message(job, (uint32_t)root, message, (uint32_t)(ULONG_PTR)pid, event)) {
            return true;
        }
        now = process_clock();
    }
    job->drained_at = now;
    compare(job);
    return job_members_next(&job->members, event);
}
