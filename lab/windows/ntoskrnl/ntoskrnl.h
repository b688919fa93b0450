/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Functions of ntoskrnl.exe and hal.dll that stand in for Wine's, see imports.c for the reasons.
 */
#ifndef LAB_WINDOWS_NTOSKRNL_H
#define LAB_WINDOWS_NTOSKRNL_H

#include "../platform.h"

PVOID NTAPI lab_MmMapLockedPagesSpecifyCache(MDL *mdl, KPROCESSOR_MODE mode, MEMORY_CACHING_TYPE caching, PVOID base,
                                             ULONG bug_check, ULONG priority);
VOID NTAPI lab_MmBuildMdlForNonPagedPool(MDL *mdl);
VOID NTAPI lab_KeAcquireInStackQueuedSpinLock(KSPIN_LOCK *lock, KLOCK_QUEUE_HANDLE *handle);
VOID NTAPI lab_KeReleaseInStackQueuedSpinLock(KLOCK_QUEUE_HANDLE *handle);
PVOID NTAPI lab_IoAllocateErrorLogEntry(PVOID object, UCHAR size);
VOID NTAPI lab_IoWriteErrorLogEntry(PVOID entry);
NTSTATUS NTAPI lab_ExUuidCreate(GUID *uuid);
LARGE_INTEGER NTAPI lab_KeQueryPerformanceCounter(LARGE_INTEGER *frequency);
VOID NTAPI lab_KeBugCheckEx(ULONG code, ULONG_PTR one, ULONG_PTR two, ULONG_PTR three, ULONG_PTR four);

/*
 * `acquired` is called, with the lock held, whenever a spin lock is acquired by the call that returns to
 * `site`. NULL: no more.
 */
typedef void spinlock_acquired_fn(KSPIN_LOCK *lock);
void spinlock_watch(const void *site, spinlock_acquired_fn *acquired);

#endif
