/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the library takes from the system, with a shortage at a call that the test chooses, and a clock that jumps.
 *
 *   scarce [at] [times]    the at-th request from now on fails, and those after it, `times` in all; 0: none
 *   scarcity               requests since then, how many were refused and the first one's name; what is out: blocks of
 *                          memory, handles
 *   clock seconds          the date, as the library sees it, is that far off
 *
 * tests/faults/build.sh gives a copy of the library's archive these functions in the place of the system's, by name;
 * the program around it has the genuine ones.
 */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

static volatile LONG requests, refused, fail_at, fail_times, blocks, handles;
static const char *volatile first_refused;
static volatile LONG64 clock_offset; /* in units of 100 ns */

static bool refuse(const char *name)
{
    LONG number = InterlockedIncrement(&requests);
    if (!fail_at || number < fail_at || number >= fail_at + fail_times) {
        return false;
    }
    if (InterlockedIncrement(&refused) == 1) {
        first_refused = name;
    }
    SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    return true;
}

static void *count_block(void *block)
{
    if (block) {
        InterlockedIncrement(&blocks);
    }
    return block;
}

static HANDLE count_handle(HANDLE handle)
{
    if (handle && handle != INVALID_HANDLE_VALUE) {
        InterlockedIncrement(&handles);
    }
    return handle;
}

void *scarce_malloc(size_t size);
void *scarce_calloc(size_t count, size_t size);
void *scarce_realloc(void *block, size_t size);
void scarce_free(void *block);

void *scarce_malloc(size_t size)
{
    return refuse("malloc") ? NULL : count_block(malloc(size));
}

void *scarce_calloc(size_t count, size_t size)
{
    return refuse("calloc") ? NULL : count_block(calloc(count, size));
}

void *scarce_realloc(void *block, size_t size)
{
    if (refuse("realloc")) {
        return NULL;
    }
    void *larger = realloc(block, size);
    return block ? larger : count_block(larger);
}

void scarce_free(void *block)
{
    if (block) {
        InterlockedDecrement(&blocks);
    }
    free(block);
}

static char *scarce_strdup(const char *text)
{
    return refuse("strdup") ? NULL : count_block(_strdup(text));
}

static void *WINAPI scarce_VirtualAlloc(void *at, SIZE_T size, DWORD kind, DWORD protect)
{
    return refuse("VirtualAlloc") ? NULL : count_block(VirtualAlloc(at, size, kind, protect));
}

static BOOL WINAPI scarce_VirtualFree(void *block, SIZE_T size, DWORD kind)
{
    InterlockedDecrement(&blocks);
    return VirtualFree(block, size, kind);
}

static HANDLE WINAPI scarce_CreateEventW(SECURITY_ATTRIBUTES *security, BOOL manual, BOOL set, const WCHAR *name)
{
    return refuse("CreateEvent") ? NULL : count_handle(CreateEventW(security, manual, set, name));
}

static HANDLE WINAPI scarce_CreateThread(SECURITY_ATTRIBUTES *security, SIZE_T stack, LPTHREAD_START_ROUTINE run,
                                         void *argument, DWORD flags, DWORD *id)
{
    return refuse("CreateThread") ? NULL : count_handle(CreateThread(security, stack, run, argument, flags, id));
}

static HANDLE WINAPI scarce_CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads)
{
    return refuse("CreateIoCompletionPort") ? NULL : count_handle(CreateIoCompletionPort(file, port, key, threads));
}

static HANDLE WINAPI scarce_CreateJobObjectW(SECURITY_ATTRIBUTES *security, const WCHAR *name)
{
    return refuse("CreateJobObject") ? NULL : count_handle(CreateJobObjectW(security, name));
}

static HANDLE WINAPI scarce_OpenProcess(DWORD access, BOOL inherit, DWORD pid)
{
    return refuse("OpenProcess") ? NULL : count_handle(OpenProcess(access, inherit, pid));
}

static HANDLE WINAPI scarce_CreateFileW(const WCHAR *path, DWORD access, DWORD share, SECURITY_ATTRIBUTES *security,
                                        DWORD how, DWORD flags, HANDLE like)
{
    return refuse("CreateFile") ? INVALID_HANDLE_VALUE
                                : count_handle(CreateFileW(path, access, share, security, how, flags, like));
}

static HMODULE WINAPI scarce_LoadLibraryExW(const WCHAR *path, HANDLE file, DWORD flags)
{
    return refuse("LoadLibraryEx") ? NULL : LoadLibraryExW(path, file, flags);
}

static BOOL WINAPI scarce_CloseHandle(HANDLE handle)
{
    InterlockedDecrement(&handles);
    return CloseHandle(handle);
}

static void add_offset(FILETIME *out)
{
    ULARGE_INTEGER t = {.LowPart = out->dwLowDateTime, .HighPart = out->dwHighDateTime};
    t.QuadPart += (ULONGLONG)clock_offset;
    *out = (FILETIME){.dwLowDateTime = t.LowPart, .dwHighDateTime = t.HighPart};
}

static void WINAPI scarce_GetSystemTimeAsFileTime(FILETIME *out)
{
    GetSystemTimeAsFileTime(out);
    add_offset(out);
}

static void WINAPI scarce_GetSystemTimePreciseAsFileTime(FILETIME *out)
{
    GetSystemTimePreciseAsFileTime(out);
    add_offset(out);
}

/* What the compiler calls through: pointers, as an import library has them. */
#define IMPORT(name)                                                                                                   \
    extern void *const import_##name;                                                                                  \
    void *const import_##name = (void *)scarce_##name
IMPORT(strdup);
IMPORT(VirtualAlloc);
IMPORT(VirtualFree);
IMPORT(CreateEventW);
IMPORT(CreateThread);
IMPORT(CreateIoCompletionPort);
IMPORT(CreateJobObjectW);
IMPORT(OpenProcess);
IMPORT(CreateFileW);
IMPORT(LoadLibraryExW);
IMPORT(CloseHandle);
IMPORT(GetSystemTimeAsFileTime);
IMPORT(GetSystemTimePreciseAsFileTime);

static void command_scarce(const struct command *c, struct json *answer)
{
    (void)answer;
    fail_at = 0;
    requests = refused = 0;
    first_refused = NULL;
    fail_times = (LONG)command_number(c, "times", 1);
    fail_at = (LONG)command_number(c, "at", 0);
}

static void command_scarcity(const struct command *c, struct json *answer)
{
    (void)c;
    json_number(answer, "requests", requests);
    json_number(answer, "refused", refused);
    json_string(answer, "first", first_refused ? first_refused : "");
    json_number(answer, "blocks", blocks);
    json_number(answer, "handles", handles);
}

static void command_clock(const struct command *c, struct json *answer)
{
    (void)answer;
    clock_offset = strtoll(command_text(c, "seconds", "0"), NULL, 10) * 10000000;
}

const struct command_entry scarce_commands[] = {
    {"scarce", command_scarce},
    {"scarcity", command_scarcity},
    {"clock", command_clock},
    {NULL, NULL},
};
