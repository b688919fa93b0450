/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file process_internal.h  Shared by process.c, process_job.c, job_members.c and job_object.c. */
#ifndef WINDOWS_PROCESS_INTERNAL_H
#define WINDOWS_PROCESS_INTERNAL_H

#include "windows/process.h"

#include <windows.h>

/** Opens a process to ask about it and to wait for its end; NULL with GetLastError(). It may have exited. */
HANDLE process_open(uint32_t pid);

/** What an error of process_open() means: PROCESS_DENIED, NO_MEMORY or NO_SUCH_PROCESS. */
redirector_status process_open_status(uint32_t os_error);

/** Creation time; 0 when Windows does not say. */
uint64_t process_created(HANDLE process);

/** When it ended; 0 when Windows does not say. Of a process that lives it means nothing. */
uint64_t process_ended(HANDLE process);

bool process_has_exited(HANDLE process);

/** Whether the process is in the job, however deep the job is nested; NULL: in any job at all. */
bool process_is_in_job(HANDLE process, HANDLE job);

/** Whether the process is a member, or in any of the roots' jobs. */
bool process_job_holds(struct process_job *job, struct process_id id, HANDLE process);

#endif
