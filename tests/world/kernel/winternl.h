/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file winternl.h  A process' parent; see windows.h beside it. */
#ifndef KERNEL_WINTERNL_H
#define KERNEL_WINTERNL_H

#include <windows.h>

enum { ProcessBasicInformation };

typedef struct {
    ULONG_PTR InheritedFromUniqueProcessId;
} PROCESS_BASIC_INFORMATION;

NTSTATUS NtQueryInformationProcess(HANDLE process, int what, void *out, ULONG size, ULONG *length);

#endif
