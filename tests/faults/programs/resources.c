/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a process has open.
 *
 *   resources              handles, threads, and what is allocated on the heaps: bytes, blocks
 *
 * The numbers are of the moment: threads that are only about to end, this command's own among them, count.
 */
#include "faults.h"

#include <stdlib.h>
#include <string.h>
#include <tlhelp32.h>
#include <winternl.h>

enum { HEAPS = 64, SYSTEM_PROCESSES = 5, ROOM = 1 << 20 };

typedef LONG query_fn(ULONG what, void *out, ULONG room, ULONG *needed);

/* GetProcessHandleCount() is always 0 under Wine; the list of processes has the number. */
static void count_of_process(long long *handles, long long *threads)
{
    FARPROC found = GetProcAddress(GetModuleHandleA("ntdll"), "NtQuerySystemInformation");
    query_fn *query;
    memcpy(&query, &found, sizeof query);
    char *list = malloc(ROOM);
    ULONG needed = 0;
    *handles = *threads = -1;
    if (list && query(SYSTEM_PROCESSES, list, ROOM, &needed) >= 0) {
        for (size_t at = 0;;) {
            const SYSTEM_PROCESS_INFORMATION *p = (const void *)(list + at);
            if ((DWORD)(uintptr_t)p->UniqueProcessId == GetCurrentProcessId()) {
                *handles = p->HandleCount;
                *threads = p->NumberOfThreads;
            }
            if (!p->NextEntryOffset) {
                break;
            }
            at += p->NextEntryOffset;
        }
    }
    free(list);
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
    long long handles, threads, bytes, blocks;
    (void)c;
    count_of_process(&handles, &threads);
    count_heap(&bytes, &blocks);
    json_number(answer, "handles", handles);
    json_number(answer, "threads", threads);
    json_number(answer, "bytes", bytes);
    json_number(answer, "blocks", blocks);
}
