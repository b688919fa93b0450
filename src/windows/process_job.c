/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The job that keeps a process tree together (I1).
 *
 * Which job. One redirector at a time holds the named job of a root; it proves to be alive by a named event, which
 * Windows removes with its last handle. Later starts on the same root find the job by its name and take it over, so
 * that restarts do not nest jobs without end. A name lives only as long as a handle, though: a handle that can do
 * nothing (SYNCHRONIZE) is therefore given to the root itself. While another redirector holds the named job, or
 * where it cannot be taken over, an unnamed one is nested into it; each has its own completion port that way.
 *
 * News come from three sources. (1) The completion port tells of each new and each ended member, also of those
 * whose life is over before we hear of it. (2) A snapshot at the start finds descendants that ran already. They are
 * put into the job; one that cannot be (no rights, a job of its own that does not nest) is reported all the same,
 * and its later children are found by their parent link. (3) Windows does not promise to deliver job messages, so
 * now and then the job's list of processes is compared with what we know.
 *
 * The handle of each member is kept until its end has been reported: so long its pid cannot go to another process.
 */
#include "windows/process_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <tlhelp32.h>

enum { COMPARE_MS = 500, SNAPSHOT_ROUNDS = 8 };

struct member {
    struct process_id id;
    HANDLE process;
    bool announced;
    bool ended; /* to be announced */
};

struct process_job {
    HANDLE job;
    HANDLE port;
    HANDLE holder; /* the named event, when we hold the named job */
    struct member *members;
    uint32_t count, room;
    uint32_t news; /* members with something to announce */
    ULONGLONG compared_at;
};

HANDLE process_job_handle(const struct process_job *job)
{
    return job->job;
}

/* ---- members ---- */

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
static struct member *add_member(struct process_job *job, uint32_t pid, HANDLE process)
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
    *m = (struct member){.id = {.pid = pid, .created = process_created(process)}, .process = process};
    job->news++;
    return m;
}

static void remove_member(struct process_job *job, struct member *m)
{
    CloseHandle(m->process);
    *m = job->members[--job->count];
}

/* Adds a process that the job told us of; NULL if it is gone already, or its pid is another process' by now. */
static struct member *add_from_job(struct process_job *job, uint32_t pid)
{
    HANDLE process = process_open(pid);
    if (!process) {
        return NULL;
    }
    if (!process_is_in_job(process, job->job)) {
        CloseHandle(process);
        return NULL;
    }
    return add_member(job, pid, process);
}

/* ---- the job object ---- */

/* The only limit of the job is none: programs that ask to break away must not fail because of us. */
static bool allow_breakaway(HANDLE job)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_BREAKAWAY_OK;
    return SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
}

/* A job that another program made under our name could, say, end the tree with its last handle: not ours, not used. */
static bool is_our_kind(HANDLE job)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    return QueryInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL) &&
           limits.BasicLimitInformation.LimitFlags == JOB_OBJECT_LIMIT_BREAKAWAY_OK;
}

/* A job has one port at a time; NULL takes the former one away (Windows 8). */
static bool set_port(HANDLE job, HANDLE port)
{
    JOBOBJECT_ASSOCIATE_COMPLETION_PORT association = {.CompletionPort = port};
    return SetInformationJobObject(job, JobObjectAssociateCompletionPortInformation, &association, sizeof association);
}

/* Whether a new handle names an object that nobody else has open; else it is closed. */
static bool is_first(HANDLE *handle)
{
    bool existed = GetLastError() == ERROR_ALREADY_EXISTS;
    if (*handle && existed) {
        CloseHandle(*handle);
        *handle = NULL;
    }
    return *handle != NULL;
}

/* Keeps the name alive as long as the root. It is a pity if it fails, no more: the next start nests a job. */
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

static bool take_named_job(struct process_job *job, struct process_id root)
{
    wchar_t name[80], holder[90];
    swprintf(name, sizeof name / sizeof *name, L"Local\\windows-redirector-%lu-%llx", (unsigned long)root.pid,
             (unsigned long long)root.created);
    swprintf(holder, sizeof holder / sizeof *holder, L"%ls-held", name);
    SetLastError(ERROR_SUCCESS);
    job->holder = CreateEventW(NULL, TRUE, FALSE, holder);
    if (!is_first(&job->holder)) {
        return false;
    }
    SetLastError(ERROR_SUCCESS);
    HANDLE named = CreateJobObjectW(NULL, name);
    bool existed = GetLastError() == ERROR_ALREADY_EXISTS;
    if (named && existed) {
        set_port(named, NULL); /* of a redirector that has ended */
    }
    if (named && (existed ? is_our_kind(named) : allow_breakaway(named)) && set_port(named, job->port)) {
        job->job = named;
        if (!existed) {
            give_handle_to_root(named, root.pid);
        }
        return true;
    }
    if (named) {
        CloseHandle(named);
    }
    CloseHandle(job->holder);
    job->holder = NULL;
    return false;
}

static bool create_unnamed_job(struct process_job *job)
{
    job->job = CreateJobObjectW(NULL, NULL);
    return job->job && allow_breakaway(job->job) && set_port(job->job, job->port);
}

/* ---- who is there at the start ---- */

/* Puts a running process into the job, if Windows lets us, and among the members. */
static bool adopt(struct process_job *job, uint32_t pid, HANDLE process)
{
    if (!process_is_in_job(process, job->job)) {
        HANDLE strong = OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, FALSE, pid);
        if (strong) {
            AssignProcessToJobObject(job->job, strong);
            CloseHandle(strong);
        }
    }
    return add_member(job, pid, process) != NULL;
}

static bool is_child_of_member(struct process_job *job, uint32_t parent, HANDLE process)
{
    struct member *m = find_member(job, parent);
    return m && m->id.created <= process_created(process);
}

/* One look at all processes; returns how many descendants were new. */
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
        if (!pid || find_member(job, pid) || !find_member(job, entry.th32ParentProcessID)) {
            continue;
        }
        HANDLE process = process_open(pid);
        if (!process) {
            continue;
        }
        if (process_has_exited(process) || !is_child_of_member(job, entry.th32ParentProcessID, process)) {
            CloseHandle(process);
        } else {
            found += adopt(job, pid, process);
        }
    }
    CloseHandle(snapshot);
    return found;
}

static bool adopt_root(struct process_job *job, struct process_id root, redirector_error *error)
{
    HANDLE process = process_open(root.pid);
    uint32_t code = process ? ERROR_SUCCESS : GetLastError();
    if (process && (process_created(process) != root.created || process_has_exited(process))) {
        CloseHandle(process);
        process = NULL;
    }
    if (!process) {
        bool denied = code == ERROR_ACCESS_DENIED;
        error_set(error, denied ? REDIRECTOR_PROCESS_DENIED : REDIRECTOR_NO_SUCH_PROCESS, code, "the root has ended");
        return false;
    }
    if (adopt(job, root.pid, process)) {
        return true;
    }
    error_set(error, REDIRECTOR_NO_MEMORY, 0, NULL);
    return false;
}

struct process_job *process_job_open(struct process_id root, redirector_error *error)
{
    struct process_job *job = calloc(1, sizeof *job);
    if (job) {
        job->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    }
    if (!job || !job->port) {
        error_set(error, REDIRECTOR_NO_MEMORY, job ? GetLastError() : 0, NULL);
        goto fail;
    }
    if (!take_named_job(job, root) && !create_unnamed_job(job)) {
        error_set(error, REDIRECTOR_INTERNAL, GetLastError(), "no job object for the process tree");
        goto fail;
    }
    if (!adopt_root(job, root, error)) {
        goto fail;
    }
    /* Children born from now on are born into the job; grandchildren of a child that we are about to adopt may slip in
     * between, hence more than one look. */
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
    if (job->job) {
        set_port(job->job, NULL); /* the job lives on with its processes: no more messages to nobody */
        CloseHandle(job->job);
    }
    if (job->port) {
        CloseHandle(job->port);
    }
    if (job->holder) {
        CloseHandle(job->holder);
    }
    free(job);
}

/* ---- news ---- */

static struct process_news announce(struct process_job *job, struct member *m)
{
    struct process_news news = {.id = m->id, .exited = m->announced};
    job->news--;
    if (news.exited) {
        remove_member(job, m);
    } else {
        m->announced = true;
    }
    return news;
}

static bool next_announcement(struct process_job *job, struct process_news *news)
{
    for (uint32_t i = 0; job->news && i < job->count; i++) {
        struct member *m = &job->members[i];
        if (!m->announced || m->ended) {
            *news = announce(job, m);
            return true;
        }
    }
    return false;
}

/* One message of the port; false: it is no news. */
static bool read_message(struct process_job *job, DWORD message, uint32_t pid, struct process_news *news)
{
    struct member *m = find_member(job, pid);
    *news = (struct process_news){.id = {.pid = pid}};
    switch (message) {
    case JOB_OBJECT_MSG_NEW_PROCESS:
        if (m) { /* the snapshot found it first */
            return false;
        }
        m = add_from_job(job, pid);
        if (m) {
            *news = announce(job, m);
        }
        return true;
    case JOB_OBJECT_MSG_EXIT_PROCESS:
    case JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS:
        news->exited = true;
        if (!m) {
            return true;
        }
        /* The message can be that of an earlier owner of the pid, or come just before the end. compare() sees to it. */
        if (!process_has_exited(m->process) || m->ended) {
            return false;
        }
        m->ended = true;
        job->news++;
        *news = announce(job, m);
        return true;
    default:
        return false;
    }
}

/* Adds what the job's list has and we have not. */
static void compare_list(struct process_job *job)
{
    uint32_t room = job->count + 64;
    size_t size = sizeof(JOBOBJECT_BASIC_PROCESS_ID_LIST) + room * sizeof(ULONG_PTR);
    JOBOBJECT_BASIC_PROCESS_ID_LIST *list = malloc(size);
    if (!list) {
        return;
    }
    list->NumberOfProcessIdsInList = 0;
    /* With ERROR_MORE_DATA it is filled as far as it goes; the rest comes next time. */
    if (QueryInformationJobObject(job->job, JobObjectBasicProcessIdList, list, (DWORD)size, NULL) ||
        GetLastError() == ERROR_MORE_DATA) {
        for (DWORD i = 0; i < list->NumberOfProcessIdsInList && i <= room; i++) {
            uint32_t pid = (uint32_t)list->ProcessIdList[i];
            if (!find_member(job, pid)) {
                add_from_job(job, pid);
            }
        }
    }
    free(list);
}

static void compare(struct process_job *job)
{
    ULONGLONG now = GetTickCount64();
    if (now - job->compared_at < COMPARE_MS) {
        return;
    }
    job->compared_at = now;
    for (uint32_t i = 0; i < job->count; i++) {
        struct member *m = &job->members[i];
        if (!m->ended && process_has_exited(m->process)) {
            m->ended = true;
            job->news++;
        }
    }
    compare_list(job);
}

bool process_job_poll(struct process_job *job, struct process_news *news)
{
    if (next_announcement(job, news)) {
        return true;
    }
    DWORD message;
    ULONG_PTR key;
    OVERLAPPED *pid; /* job messages put a process id where others put a pointer */
    while (GetQueuedCompletionStatus(job->port, &message, &key, &pid, 0)) {
        if (read_message(job, message, (uint32_t)(ULONG_PTR)pid, news)) {
            return true;
        }
    }
    compare(job);
    return next_announcement(job, news);
}
