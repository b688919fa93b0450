/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file winternl.h  A process' parent, and all processes; see windows.h beside it. */
#ifndef KERNEL_WINTERNL_H
#define KERNEL_WINTERNL_H

#include <windows.h>

enum { ProcessBasicInformation };

typedef struct {
    ULONG_PTR InheritedFromUniqueProcessId;
} PROCESS_BASIC_INFORMATION;

enum { SystemProcessInformation = 5 };

typedef struct {
    ULONG NextEntryOffset;
    struct {
        int64_t QuadPart;
    } CreateTime;
    HANDLE UniqueProcessId, InheritedFromUniqueProcessId;
} SYSTEM_PROCESS_INFORMATION;

NTSTATUS NtQuerySystemInformation(int what, void *out, ULONG size, ULONG *needed);
NTSTATUS NtQueryInformationProcess(HANDLE process, int what, void *out, ULONG size, ULONG *length);

#endif
