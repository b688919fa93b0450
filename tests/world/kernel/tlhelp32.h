/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file tlhelp32.h  Snapshots of the processes; see windows.h beside it. */
#ifndef KERNEL_TLHELP32_H
#define KERNEL_TLHELP32_H

#include <windows.h>

#define TH32CS_SNAPPROCESS 2u

typedef struct {
    DWORD dwSize, th32ProcessID, th32ParentProcessID;
} PROCESSENTRY32W;

HANDLE CreateToolhelp32Snapshot(DWORD flags, DWORD pid);
BOOL Process32FirstW(HANDLE snapshot, PROCESSENTRY32W *entry);
BOOL Process32NextW(HANDLE snapshot, PROCESSENTRY32W *entry);

#endif
