/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a process is identified by pid and creation time (I2).
 *
 * A pid alone is not enough: Windows reuses it as soon as the last handle to the old process is closed. So all facts
 * about a process are read through one handle.
 */
#include "windows/process_internal.h"
#include "windows/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <winternl.h>

HANDLE process_open(uint32_t pid)
{
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, pid);
    if (process && GetProcessId(process) != pid) { /* Windows ignores a pid's two lowest bits */
        CloseHandle(process);
        SetLastError(ERROR_INVALID_PARAMETER);
        return NULL;
    }
    return process;
}

redirector_status process_open_status(uint32_t os_error)
{
    return os_error == ERROR_ACCESS_DENIED ? REDIRECTOR_PROCESS_DENIED
                                           : error_status(os_error, REDIRECTOR_NO_SUCH_PROCESS);
}

static uint64_t time_number(FILETIME time)
{
    return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

uint64_t process_created(HANDLE process)
{
    FILETIME created, exited, kernel, user;
    return GetProcessTimes(process, &created, &exited, &kernel, &user) ? time_number(created) : 0;
}

uint64_t process_ended(HANDLE process)
{
    FILETIME created, exited, kernel, user;
    return GetProcessTimes(process, &created, &exited, &kernel, &user) ? time_number(exited) : 0;
}

uint64_t process_clock(void)
{
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    return time_number(now);
}

bool process_has_exited(HANDLE process)
{
    return WaitForSingleObject(process, 0) == WAIT_OBJECT_0;
}

bool process_is_in_job(HANDLE process, HANDLE job)
{
    BOOL member = FALSE;
    if (IsProcessInJob(process, job, &member) || GetLastError() != ERROR_ACCESS_DENIED) {
        return member;
    }
    /* Wine requires more rights than Windows. */
    HANDLE strong = OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, GetProcessId(process));
    if (!strong) {
        return false;
    }
    IsProcessInJob(strong, job, &member);
    CloseHandle(strong);
    return member;
}

bool process_identify(uint32_t pid, struct process_id *out, redirector_error *error)
{
    char detail[40];
    snprintf(detail, sizeof detail, "pid %lu", (unsigned long)pid);
    HANDLE process = pid ? process_open(pid) : NULL;
    if (!process) {
        uint32_t code = pid ? GetLastError() : ERROR_INVALID_PARAMETER;
        error_set(error, process_open_status(code), code, detail);
        return false;
    }
    bool exited = process_has_exited(process);
    *out = (struct process_id){.pid = pid, .created = process_created(process)};
    CloseHandle(process);
    if (exited) {
        error_set(error, REDIRECTOR_NO_SUCH_PROCESS, 0, detail);
    }
    return !exited;
}

/* Pid of the parent, which may have been reused since. */
static uint32_t parent_pid(HANDLE process)
{
    PROCESS_BASIC_INFORMATION basic;
    ULONG length;
    if (NtQueryInformationProcess(process, ProcessBasicInformation, &basic, sizeof basic, &length) < 0) {
        return 0;
    }
    return (uint32_t)basic.InheritedFromUniqueProcessId;
}

/* The parent is accepted only if it is older than its child: a younger process has only reused the pid. */
static struct process_id parent_of(HANDLE process, uint64_t created)
{
    struct process_id parent = {.pid = parent_pid(process)};
    HANDLE handle = parent.pid ? process_open(parent.pid) : NULL;
    if (handle) {
        uint64_t parent_created = process_created(handle);
        if (parent_created <= created) {
            parent.created = parent_created;
        }
        CloseHandle(handle);
    }
    return parent;
}

bool process_facts(struct process_job *job, uint32_t pid, struct process_facts *out)
{
    HANDLE process = pid ? process_open(pid) : NULL;
    if (!process) {
        return false;
    }
    uint64_t created = process_created(process);
    *out = (struct process_facts){
        .self = {.pid = pid, .created = created},
        .parent = parent_of(process, created),
        .in_tree = job && process_job_holds(job, (struct process_id){pid, created}, process),
    };
    bool alive = !process_has_exited(process);
    CloseHandle(process);
    return alive;
}

void process_path(uint32_t pid, char *out, uint32_t size)
{
    *out = 0;
    HANDLE process = pid ? process_open(pid) : NULL;
    wchar_t *path = process ? malloc(PATH_CHARS_MAX * sizeof *path) : NULL;
    DWORD length = PATH_CHARS_MAX;
    if (path && QueryFullProcessImageNameW(process, 0, path, &length) && length) {
        text_from_wide(path, out, size);
    }
    free(path);
    if (process) {
        CloseHandle(process);
    }
}
