/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file windows.h
 * As much of Windows as src/windows/process*.c and job_*.c ask for, so that they can be built here and run against the
 * kernel that kernel.h describes.
 */
#ifndef KERNEL_WINDOWS_H
#define KERNEL_WINDOWS_H

#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

typedef void *HANDLE;
typedef int BOOL;
typedef uint32_t DWORD, ULONG;
typedef int32_t LONG, NTSTATUS;
typedef uintptr_t ULONG_PTR;
typedef uint64_t ULONGLONG;
typedef struct {
    DWORD dwLowDateTime, dwHighDateTime;
} FILETIME;
typedef struct {
    int unused;
} OVERLAPPED;

#define FALSE 0
#define TRUE 1
#define INVALID_HANDLE_VALUE ((HANDLE)(intptr_t)-1)
#define WAIT_OBJECT_0 0u
#define WAIT_TIMEOUT 258u

#define ERROR_SUCCESS 0u
#define ERROR_ACCESS_DENIED 5u
#define ERROR_INVALID_PARAMETER 87u
#define ERROR_ALREADY_EXISTS 183u
#define ERROR_MORE_DATA 234u

#define SYNCHRONIZE 0x100000u
#define PROCESS_TERMINATE 0x1u
#define PROCESS_DUP_HANDLE 0x40u
#define PROCESS_SET_QUOTA 0x100u
#define PROCESS_QUERY_INFORMATION 0x400u
#define PROCESS_QUERY_LIMITED_INFORMATION 0x1000u
#define CREATE_BREAKAWAY_FROM_JOB 0x1000000u

#define JOB_OBJECT_LIMIT_BREAKAWAY_OK 0x800u
#define JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK 0x1000u
#define JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE 0x2000u
#define JOB_OBJECT_MSG_NEW_PROCESS 6u
#define JOB_OBJECT_MSG_EXIT_PROCESS 7u
#define JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS 8u

typedef enum {
    JobObjectBasicProcessIdList = 3,
    JobObjectAssociateCompletionPortInformation = 7,
    JobObjectExtendedLimitInformation = 9,
} JOBOBJECTINFOCLASS;

typedef struct {
    struct {
        DWORD LimitFlags;
    } BasicLimitInformation;
} JOBOBJECT_EXTENDED_LIMIT_INFORMATION;

typedef struct {
    void *CompletionKey;
    HANDLE CompletionPort;
} JOBOBJECT_ASSOCIATE_COMPLETION_PORT;

typedef struct {
    DWORD NumberOfAssignedProcesses, NumberOfProcessIdsInList;
    ULONG_PTR ProcessIdList[1];
} JOBOBJECT_BASIC_PROCESS_ID_LIST;

DWORD GetLastError(void);
void SetLastError(DWORD code);
ULONGLONG GetTickCount64(void);
void GetSystemTimeAsFileTime(FILETIME *now);

HANDLE GetCurrentProcess(void);
HANDLE OpenProcess(DWORD access, BOOL inherit, DWORD pid);
DWORD GetProcessId(HANDLE process);
BOOL GetProcessTimes(HANDLE process, FILETIME *created, FILETIME *ended, FILETIME *kernel, FILETIME *user);
BOOL QueryFullProcessImageNameW(HANDLE process, DWORD flags, wchar_t *path, DWORD *length);
DWORD WaitForSingleObject(HANDLE object, DWORD timeout_ms);
BOOL CloseHandle(HANDLE handle);
BOOL DuplicateHandle(HANDLE from, HANDLE handle, HANDLE to, HANDLE *out, DWORD access, BOOL inherit, DWORD options);
HANDLE CreateEventW(void *security, BOOL manual, BOOL set, const wchar_t *name);

HANDLE CreateJobObjectW(void *security, const wchar_t *name);
BOOL AssignProcessToJobObject(HANDLE job, HANDLE process);
BOOL IsProcessInJob(HANDLE process, HANDLE job, BOOL *result);
BOOL SetInformationJobObject(HANDLE job, JOBOBJECTINFOCLASS what, const void *information, DWORD size);
BOOL QueryInformationJobObject(HANDLE job, JOBOBJECTINFOCLASS what, void *information, DWORD size, DWORD *length);

HANDLE CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads);
BOOL GetQueuedCompletionStatus(HANDLE port, DWORD *bytes, ULONG_PTR *key, OVERLAPPED **overlapped, DWORD timeout_ms);

#endif
