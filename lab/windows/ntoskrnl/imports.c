/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: which functions of ntoskrnl.exe and hal.dll the driver gets from here. In Wine 8
 *
 *   MmMapLockedPagesSpecifyCache, MmBuildMdlForNonPagedPool   give NULL, do nothing
 *   IoAllocateErrorLogEntry, IoWriteErrorLogEntry             give NULL, raise an exception
 *   KeAcquire-, KeReleaseInStackQueuedSpinLock                spin
 *   ExUuidCreate                                              is slow
 *   KeQueryPerformanceCounter                                 knows one time for all
 *   KeBugCheckEx                                              leaves no trace in our log
 *
 * All others that it imports are Wine's own.
 */
#include "ntoskrnl.h"

const struct import ntoskrnl_imports[] = {
    {"MmMapLockedPagesSpecifyCache", lab_MmMapLockedPagesSpecifyCache},
    {"MmBuildMdlForNonPagedPool", lab_MmBuildMdlForNonPagedPool},
    {"IoAllocateErrorLogEntry", lab_IoAllocateErrorLogEntry},
    {"IoWriteErrorLogEntry", lab_IoWriteErrorLogEntry},
    {"KeAcquireInStackQueuedSpinLock", lab_KeAcquireInStackQueuedSpinLock},
    {"KeReleaseInStackQueuedSpinLock", lab_KeReleaseInStackQueuedSpinLock},
    {"ExUuidCreate", lab_ExUuidCreate},
    {"KeQueryPerformanceCounter", lab_KeQueryPerformanceCounter},
    {"KeBugCheckEx", lab_KeBugCheckEx},
    {NULL, NULL},
};
