/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Process identity, facts and the job of a tree, with real processes: this program starts itself as their members.
 * Members put their pids into a named memory area and act on two named events.
 */
#ifndef FAMILY_H
#define FAMILY_H

#include "check.h"
#include "windows/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

enum { SLOTS = 256, BURST = 30, HOPS = 4, WAIT_MS = 60000 };

/* What a tree's members share. Its name, and those of the events, begin with the tree's number. */
struct shared {
    volatile LONG count;
    volatile LONG pids[SLOTS];
    volatile LONG spawn_error;
    volatile LONG broke_away; /* how many children have */
};

static struct shared *shared;
static HANDLE mapping, go, end;
static wchar_t tree_name[64];

static inline void open_shared(const wchar_t *name)
{
    wchar_t full[80];
    swprintf(tree_name, 64, L"%ls", name);
    swprintf(full, 80, L"Local\\%ls-map", name);
    mapping = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, sizeof *shared, full);
    shared = MapViewOfFile(mapping, FILE_MAP_ALL_ACCESS, 0, 0, sizeof *shared);
    swprintf(full, 80, L"Local\\%ls-go", name);
    go = CreateEventW(NULL, TRUE, FALSE, full);
    swprintf(full, 80, L"Local\\%ls-end", name);
    end = CreateEventW(NULL, TRUE, FALSE, full);
}

static inline HANDLE spawn(const wchar_t *mode, DWORD flags, DWORD *pid)
{
    wchar_t program[MAX_PATH], command[400];
    STARTUPINFOW startup = {.cb = sizeof startup};
    PROCESS_INFORMATION info;
    GetModuleFileNameW(NULL, program, MAX_PATH);
    swprintf(command, 400, L"\"%ls\" %ls %ls", program, mode, tree_name);
    if (!CreateProcessW(program, command, NULL, NULL, FALSE, flags, NULL, NULL, &startup, &info)) {
        return NULL;
    }
    CloseHandle(info.hThread);
    if (pid) {
        *pid = info.dwProcessId;
    }
    return info.hProcess;
}

/* From now on nobody may put this process into a job, as nobody may a service of another session. */
static inline void guard_oneself(void)
{
    SID_IDENTIFIER_AUTHORITY world = {SECURITY_WORLD_SID_AUTHORITY};
    SECURITY_DESCRIPTOR descriptor;
    union {
        ACL acl;
        BYTE room[128];
    } list;
    PSID everyone;
    AllocateAndInitializeSid(&world, 1, SECURITY_WORLD_RID, 0, 0, 0, 0, 0, 0, 0, &everyone);
    InitializeAcl(&list.acl, sizeof list, ACL_REVISION);
    AddAccessAllowedAce(&list.acl, ACL_REVISION,
                        PROCESS_QUERY_INFORMATION | PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, everyone);
    InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION);
    SetSecurityDescriptorDacl(&descriptor, TRUE, &list.acl, FALSE);
    if (!SetKernelObjectSecurity(GetCurrentProcess(), DACL_SECURITY_INFORMATION, &descriptor)) {
        shared->spawn_error = (LONG)GetLastError();
    }
    FreeSid(everyone);
}

static inline int member_main(const wchar_t *mode, const wchar_t *name)
{
    open_shared(name);
    if (wcscmp(mode, L"guarded") == 0) {
        guard_oneself();
    }
    shared->pids[InterlockedIncrement(&shared->count) - 1] = (LONG)GetCurrentProcessId();
    if (wcscmp(mode, L"exit") == 0) {
        return 0;
    }
    if (wcscmp(mode, L"parent") == 0) {
        spawn(L"wait", 0, NULL);
    }
    if (wcscmp(mode, L"orphan") == 0) { /* starts a member and is gone */
        WaitForSingleObject(go, WAIT_MS);
        return !spawn(L"wait", 0, NULL);
    }
    if (wcscmp(mode, L"break") == 0) {
        WaitForSingleObject(go, WAIT_MS);
        shared->spawn_error = spawn(L"wait", CREATE_BREAKAWAY_FROM_JOB, NULL) ? 0 : (LONG)GetLastError();
    }
    if (wcscmp(mode, L"hop") == 0) { /* starts the next one out of the job, if that permits it, and is gone */
        WaitForSingleObject(go, WAIT_MS);
        const wchar_t *next = shared->count < HOPS ? L"hop" : L"wait";
        HANDLE child = spawn(next, CREATE_BREAKAWAY_FROM_JOB, NULL);
        shared->broke_away += child != NULL;
        return !child && !spawn(next, 0, NULL);
    }
    if (wcscmp(mode, L"burst") == 0) {
        WaitForSingleObject(go, WAIT_MS);
        for (int i = 0; i < BURST; i++) {
            HANDLE child = spawn(L"exit", 0, NULL);
            WaitForSingleObject(child, WAIT_MS);
            CloseHandle(child);
        }
    }
    WaitForSingleObject(end, WAIT_MS);
    return 0;
}

/* ---- for the tests */

static redirector_error error;

static inline bool wait_for_count(LONG count)
{
    for (int i = 0; i < WAIT_MS && shared->count < count; i++) {
        Sleep(1);
    }
    return shared->count >= count;
}

/* Starts a tree whose root is in `mode`, and waits until `count` members have told their pids. */
static inline HANDLE begin_tree(const wchar_t *mode, LONG count, struct process_id *root)
{
    static int number;
    wchar_t name[64];
    DWORD pid = 0;
    swprintf(name, 64, L"redirector-test-%lu-%d", (unsigned long)GetCurrentProcessId(), number++);
    open_shared(name);
    HANDLE process = spawn(mode, 0, &pid);
    CHECK(process && wait_for_count(count));
    CHECK(process_identify(pid, root, &error));
    return process;
}

static inline void wait_until_gone(uint32_t pid)
{
    HANDLE process = OpenProcess(SYNCHRONIZE, FALSE, pid);
    if (process) {
        CHECK(WaitForSingleObject(process, WAIT_MS) == WAIT_OBJECT_0);
        CloseHandle(process);
    }
}

static inline void end_tree(HANDLE root)
{
    SetEvent(end);
    for (LONG i = 0; i < shared->count && i < SLOTS; i++) {
        wait_until_gone((uint32_t)shared->pids[i]);
    }
    CloseHandle(root);
    UnmapViewOfFile(shared);
    CloseHandle(mapping);
    CloseHandle(go);
    CloseHandle(end);
}

/* Waits for the event of `pid`; skips others. */
static inline bool wait_for_event(struct process_job *job, uint32_t pid, bool exited, struct process_event *out)
{
    ULONGLONG deadline = GetTickCount64() + WAIT_MS;
    do {
        while (process_job_poll(job, out)) {
            if (out->id.pid == pid && out->exited == exited) {
                return true;
            }
        }
        Sleep(1);
    } while (GetTickCount64() < deadline);
    return false;
}

/* Whether process_job_poll() has reported the pid; takes all events. */
static inline bool has_come(struct process_job *job, uint32_t pid)
{
    struct process_event event;
    bool seen = false;
    while (process_job_poll(job, &event)) {
        seen |= event.id.pid == pid && !event.exited;
    }
    return seen;
}

static inline uint64_t created_of(uint32_t pid)
{
    struct process_id id = {0};
    process_identify(pid, &id, &error);
    return id.created;
}

/** For main(): whether this process is a member of a test's tree; then it has played its part, and *status is its own. */
static inline bool is_member_of_the_family(int *status)
{
    int argc;
    wchar_t **argv = CommandLineToArgvW(GetCommandLineW(), &argc);
    if (argc != 3) {
        return false;
    }
    *status = member_main(argv[1], argv[2]);
    return true;
}

#endif
