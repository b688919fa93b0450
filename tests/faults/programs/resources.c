/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a process has open.
 *
 *   resources              handles, how many of each kind; threads; what is allocated on the heaps: bytes, blocks
 *
 * The numbers are of the moment: threads that are only about to end, this command's own among them, count.
 */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winternl.h>

enum { HEAPS = 64, SYSTEM_PROCESSES = 5, SYSTEM_HANDLES = 64, OBJECT_TYPE = 2, ROOM = 8 << 20 };
enum { KINDS = 32, KIND = 32 };

typedef LONG query_fn(ULONG what, void *out, ULONG room, ULONG *needed);

struct handles {
    ULONG_PTR count, reserved;
    struct {
        void *object;
        ULONG_PTR pid, value;
        ULONG access;
        USHORT trace, type;
        ULONG attributes, more;
    } all[];
};

/* A list of the system's; NULL: not to be had. The caller frees it. */
static void *system_list(ULONG what)
{
    FARPROC found = GetProcAddress(GetModuleHandleA("ntdll"), "NtQuerySystemInformation");
    query_fn *query;
    memcpy(&query, &found, sizeof query);
    void *list = malloc(ROOM);
    ULONG needed = 0;
    if (list && query(what, list, ROOM, &needed) < 0) {
        free(list);
        return NULL;
    }
    return list;
}

typedef LONG object_fn(HANDLE object, ULONG what, void *out, ULONG room, ULONG *needed);

static void kind_of(HANDLE handle, char out[KIND])
{
    union {
        UNICODE_STRING name;
        char room[512];
    } type;
    FARPROC found = GetProcAddress(GetModuleHandleA("ntdll"), "NtQueryObject");
    object_fn *query;
    memcpy(&query, &found, sizeof query);
    ULONG needed = 0;
    strcpy(out, "?");
    if (query(handle, OBJECT_TYPE, &type, sizeof type, &needed) >= 0 && type.name.Buffer) {
        snprintf(out, KIND, "%.*ls", type.name.Length / 2, type.name.Buffer);
    }
}

/* Handle by handle: Wine's other numbers are how much room there is for them. */
static void count_handles(struct json *answer)
{
    struct handles *list = system_list(SYSTEM_HANDLES);
    char names[KINDS][KIND];
    long long counts[KINDS] = {0}, total = 0;
    int kinds = 0;
    for (ULONG_PTR i = 0; list && i < list->count; i++) {
        char kind[KIND];
        int at = 0;
        if (list->all[i].pid != GetCurrentProcessId()) {
            continue;
        }
        kind_of((HANDLE)list->all[i].value, kind);
        while (at < kinds && strcmp(names[at], kind) != 0) {
            at++;
        }
        if (at == kinds && kinds < KINDS) {
            strcpy(names[kinds++], kind);
        }
        counts[at < KINDS ? at : KINDS - 1]++;
        total++;
    }
    json_number(answer, "handles", list ? total : -1);
    json_open(answer, "kinds", '{');
    for (int i = 0; i < kinds; i++) {
        json_number(answer, names[i], counts[i]);
    }
    json_close(answer, '}');
    free(list);
}

static long long count_threads(void)
{
    char *list = system_list(SYSTEM_PROCESSES);
    long long count = -1;
    for (size_t at = 0; list;) {
        const SYSTEM_PROCESS_INFORMATION *p = (const void *)(list + at);
        if ((DWORD)(uintptr_t)p->UniqueProcessId == GetCurrentProcessId()) {
            count = p->NumberOfThreads;
        }
        if (!p->NextEntryOffset) {
            break;
        }
        at += p->NextEntryOffset;
    }
    free(list);
    return count;
}

static void count_heap(long long *bytes, long long *blocks)
{
    HANDLE heaps[HEAPS];
    DWORD count = GetProcessHeaps(HEAPS, heaps);
    *bytes = *blocks = 0;
    for (DWORD i = 0; i < count && i < HEAPS; i++) {
        PROCESS_HEAP_ENTRY entry = {0};
        HeapLock(heaps[i]);
        while (HeapWalk(heaps[i], &entry)) {
            if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) {
                *bytes += entry.cbData;
                ++*blocks;
            }
        }
        HeapUnlock(heaps[i]);
    }
}

void command_resources(const struct command *c, struct json *answer)
{
    long long bytes, blocks;
    (void)c;
    count_heap(&bytes, &blocks);
    count_handles(answer);
    json_number(answer, "threads", count_threads());
    json_number(answer, "bytes", bytes);
    json_number(answer, "blocks", blocks);
}
