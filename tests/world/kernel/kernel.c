/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Processes, handles, time. */
#include "kernel_internal.h"

#include "error.h"
#include "windows/text.h"
#include <winternl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kernel kernel;

_Noreturn void kernel_misused(const char *why)
{
    fprintf(stderr, "kernel: %s\n", why);
    abort();
}

/* ---- handles */

HANDLE kernel_new_handle(enum handle_kind kind, void *object, uint32_t owner)
{
    for (uintptr_t i = 1; i < KERNEL_HANDLES; i++) {
        if (kernel.handles[i].kind == HANDLE_FREE) {
            kernel.handles[i] = (struct handle){kind, object, owner};
            return (HANDLE)(i * 4);
        }
    }
    kernel_misused("no more handles");
}

struct handle *kernel_handle(HANDLE h)
{
    uintptr_t i = (uintptr_t)h / 4;
    if (i == 0 || i >= KERNEL_HANDLES || kernel.handles[i].kind == HANDLE_FREE) {
        kernel_misused("a handle that is not open");
    }
    return &kernel.handles[i];
}

void *kernel_object(HANDLE h, enum handle_kind kind)
{
    struct handle *handle = kernel_handle(h);
    if (handle->kind != kind) {
        kernel_misused("a handle of another kind");
    }
    return handle->object;
}

static void release(struct handle *handle)
{
    if (handle->kind == HANDLE_PROCESS) {
        ((struct process *)handle->object)->handles--;
    } else if (handle->kind == HANDLE_JOB) {
        kernel_release_job(handle->object);
    } else if (handle->kind == HANDLE_EVENT) {
        ((struct event *)handle->object)->handles--;
    } else if (handle->kind == HANDLE_PORT) {
        kernel_release_port(handle->object);
    }
    handle->kind = HANDLE_FREE;
}

BOOL CloseHandle(HANDLE h)
{
    release(kernel_handle(h));
    return TRUE;
}

/* ---- processes */

static struct process *process_at(uint32_t pid)
{
    struct process *p = pid / 4 < KERNEL_PIDS && pid % 4 == 0 ? &kernel.processes[pid / 4] : NULL;
    return p && p->pid ? p : NULL;
}

static struct process *living(uint32_t pid)
{
    struct process *p = process_at(pid);
    return p && p->alive ? p : NULL;
}

void kernel_begin(const struct kernel_rules *rules)
{
    memset(&kernel, 0, sizeof kernel);
    kernel.rules = *rules;
    kernel.now = 1000000ull * KERNEL_MS;
    kernel.random = 1;
}

uint32_t kernel_spawn(uint32_t parent, DWORD flags)
{
    struct process *p = NULL, *from = living(parent);
    const DWORD both = JOB_OBJECT_LIMIT_BREAKAWAY_OK | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    if (from && from->job && flags & CREATE_BREAKAWAY_FROM_JOB && !(from->job->limits & both)) {
        kernel.error = ERROR_ACCESS_DENIED;
        return 0;
    }
    for (uint32_t i = 1; i < KERNEL_PIDS && !p; i++) { /* the lowest that is free: pids come back soon */
        struct process *q = &kernel.processes[i];
        p = !q->alive && !q->handles && kernel.now >= q->free_at ? q : NULL;
    }
    kernel.error = ERROR_SUCCESS;
    if (!p || kernel.serials + 1 >= KERNEL_SERIALS) {
        return 0;
    }
    kernel.now += KERNEL_MS / 10;
    *p = (struct process){
        .pid = (uint32_t)(p - kernel.processes) * 4,
        .parent = parent,
        .serial = ++kernel.serials,
        .created = kernel.now,
        .alive = true,
    };
    p->refuses = from && from->refuses;
    kernel.parents[p->serial] = from ? from->serial : 0;
    kernel_enter(p, from ? kernel_job_of_child(from, flags) : NULL, NULL);
    return p->pid;
}

void kernel_exit(uint32_t pid)
{
    struct process *p = living(pid);
    if (!p) {
        kernel_misused("only the living end");
    }
    kernel.now += KERNEL_MS / 10;
    p->alive = false;
    p->ended = kernel.now;
    p->free_at = kernel.now + (uint64_t)KERNEL_REUSE_MS * KERNEL_MS;
    kernel_leave(p);
    for (int i = 1; i < KERNEL_HANDLES; i++) {
        if (kernel.handles[i].kind != HANDLE_FREE && kernel.handles[i].owner == pid) {
            release(&kernel.handles[i]);
        }
    }
}

bool kernel_lives(uint32_t pid)
{
    return living(pid) != NULL;
}

void kernel_pass_ms(uint32_t ms)
{
    for (int i = 0; i < KERNEL_PIDS; i++) {
        kernel.processes[i].begins = false;
    }
    kernel.now += (uint64_t)ms * KERNEL_MS;
}

DWORD kernel_limits_of(uint32_t pid)
{
    const struct process *p = living(pid);
    return p && p->job ? p->job->limits : 0;
}

bool kernel_tells(uint32_t pid, const void *port)
{
    const struct job *job = process_at(pid)->job;
    while (job && job->port != port) {
        job = job->parent;
    }
    return job != NULL;
}

uint32_t kernel_parent_of(uint32_t pid)
{
    return process_at(pid)->parent;
}

void kernel_hesitate(uint32_t pid)
{
    process_at(pid)->begins = true;
}

void kernel_refuse(uint32_t pid)
{
    process_at(pid)->refuses = true;
}

bool kernel_descends(uint32_t pid, uint32_t from)
{
    uint32_t serial = process_at(pid)->serial, wanted = process_at(from)->serial;
    while (serial && serial != wanted) {
        serial = kernel.parents[serial];
    }
    return serial != 0;
}

static FILETIME filetime(uint64_t time)
{
    return (FILETIME){(DWORD)time, (DWORD)(time >> 32)};
}

HANDLE OpenProcess(DWORD access, BOOL inherit, DWORD pid)
{
    (void)inherit;
    struct process *p = process_at(pid & ~3u);
    if (!p || (!p->alive && !p->handles)) {
        kernel.error = ERROR_INVALID_PARAMETER;
        return NULL;
    }
    if (p->refuses && access & PROCESS_SET_QUOTA) {
        kernel.error = ERROR_ACCESS_DENIED;
        return NULL;
    }
    p->handles++;
    return kernel_new_handle(HANDLE_PROCESS, p, KERNEL_SELF);
}

HANDLE GetCurrentProcess(void)
{
    return INVALID_HANDLE_VALUE;
}

DWORD GetProcessId(HANDLE process)
{
    return ((struct process *)kernel_object(process, HANDLE_PROCESS))->pid;
}

BOOL GetProcessTimes(HANDLE process, FILETIME *created, FILETIME *ended, FILETIME *in_kernel, FILETIME *in_user)
{
    const struct process *p = kernel_object(process, HANDLE_PROCESS);
    *created = filetime(p->created);
    *ended = filetime(p->ended);
    *in_kernel = *in_user = filetime(0);
    return TRUE;
}

BOOL QueryFullProcessImageNameW(HANDLE process, DWORD flags, wchar_t *path, DWORD *length)
{
    (void)process, (void)flags, (void)path, (void)length;
    return FALSE;
}

DWORD WaitForSingleObject(HANDLE object, DWORD timeout_ms)
{
    (void)timeout_ms;
    return ((struct process *)kernel_object(object, HANDLE_PROCESS))->alive ? WAIT_TIMEOUT : WAIT_OBJECT_0;
}

NTSTATUS NtQueryInformationProcess(HANDLE process, int what, void *out, ULONG size, ULONG *length)
{
    (void)what, (void)size, (void)length;
    ((PROCESS_BASIC_INFORMATION *)out)->InheritedFromUniqueProcessId =
        ((struct process *)kernel_object(process, HANDLE_PROCESS))->parent;
    return 0;
}

NTSTATUS NtQuerySystemInformation(int what, void *out, ULONG size, ULONG *needed)
{
    (void)what, (void)size, (void)needed; /* they always fit */
    SYSTEM_PROCESS_INFORMATION *entry = out, *last = NULL;
    for (uint32_t i = KERNEL_PIDS - 1; i > 0; i--) { /* in no order that helps */
        const struct process *p = &kernel.processes[i];
        if (p->alive) {
            *entry = (SYSTEM_PROCESS_INFORMATION){.NextEntryOffset = sizeof *entry};
            entry->CreateTime.QuadPart = p->begins ? 0x5555555555555555 : (int64_t)p->created;
            entry->UniqueProcessId = (HANDLE)(uintptr_t)p->pid;
            entry->InheritedFromUniqueProcessId = (HANDLE)(uintptr_t)p->parent;
            last = entry++;
        }
    }
    if (last) {
        last->NextEntryOffset = 0;
    }
    return last ? 0 : -1;
}

/* ---- the rest */

DWORD GetLastError(void)
{
    return kernel.error;
}

void SetLastError(DWORD code)
{
    kernel.error = code;
}

ULONGLONG GetTickCount64(void)
{
    return kernel.now / KERNEL_MS;
}

void GetSystemTimeAsFileTime(FILETIME *now)
{
    *now = filetime(kernel.now);
}

BOOL DuplicateHandle(HANDLE from, HANDLE handle, HANDLE to, HANDLE *out, DWORD access, BOOL inherit, DWORD options)
{
    (void)from, (void)access, (void)inherit, (void)options;
    struct job *job = kernel_object(handle, HANDLE_JOB);
    job->handles++;
    *out = kernel_new_handle(HANDLE_JOB, job, GetProcessId(to));
    return TRUE;
}

HANDLE CreateEventW(void *security, BOOL manual, BOOL set, const wchar_t *name)
{
    (void)security, (void)manual, (void)set;
    struct event *event = NULL;
    kernel.error = ERROR_SUCCESS;
    for (int i = 0; i < KERNEL_OTHERS; i++) {
        if (kernel.events[i].handles && wcscmp(kernel.events[i].name, name) == 0) {
            event = &kernel.events[i];
            kernel.error = ERROR_ALREADY_EXISTS;
        }
    }
    for (int i = 0; i < KERNEL_OTHERS && !event; i++) {
        event = kernel.events[i].handles ? NULL : &kernel.events[i];
    }
    if (!event) {
        kernel_misused("no more events");
    }
    wcsncpy(event->name, name, KERNEL_NAME - 1);
    event->handles++;
    return kernel_new_handle(HANDLE_EVENT, event, KERNEL_SELF);
}

/* What the files under test have of others. */

void error_set(redirector_error *error, redirector_status status, uint32_t os_error, const char *detail)
{
    (void)detail;
    if (error) {
        error->code = (uint32_t)status;
        error->os_error = os_error;
    }
}

redirector_status error_status(uint32_t os_error, redirector_status otherwise)
{
    (void)os_error;
    return otherwise;
}

size_t text_from_wide(const wchar_t *wide, char *out, size_t size)
{
    (void)wide, (void)size;
    *out = 0;
    return 0;
}
