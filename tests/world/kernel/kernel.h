/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file kernel.h
 * Processes and nested jobs by Windows' documented rules, for tests of what keeps track of the tree (I1).
 *
 * The rules ("Nested Jobs", "Job Objects", AssignProcessToJobObject, JOBOBJECT_ASSOCIATE_COMPLETION_PORT and process
 * creation flags, all by Microsoft):
 *
 *  - a child is created in its parent's immediate job, and so in all jobs above that;
 *  - with CREATE_BREAKAWAY_FROM_JOB, which fails if the immediate job does not permit it, it climbs from job to job
 *    until it reaches one that does not permit breakaway. With SILENT_BREAKAWAY_OK every child does. Whether one that
 *    breaks away silently climbs also through jobs that permit only the other way, the documents do not say:
 *    `silent_climbs`;
 *  - a process that is in a job gets into another only if that is empty, then it is nested below, or stands below the
 *    process' immediate job already; never where UI limits are set, nor in another session;
 *  - messages go to the ports of all jobs above, and may be lost;
 *  - a name lasts as long as a handle to its object, a job as long as a process or a handle, a pid as long as a process
 *    or a handle. A pid that is free is given away again after KERNEL_REUSE_MS: a stranger who has it sooner can be
 *    taken for a member that lived too briefly to be opened.
 */
#ifndef TESTS_KERNEL_H
#define TESTS_KERNEL_H

#include <windows.h>

#include <stdbool.h>

enum { KERNEL_SELF = 4000, KERNEL_PIDS = 64, KERNEL_REUSE_MS = 500 };

/** What a test chooses. */
struct kernel_rules {
    bool silent_climbs;
    uint32_t lost_of_16; /* so many messages of 16 do not arrive */
};

/** Begins anew, with the process KERNEL_SELF, whose handles the calls of windows.h give out. */
void kernel_begin(const struct kernel_rules *rules);

/** A new process; 0: Windows refuses, GetLastError(), or there is no room. */
uint32_t kernel_spawn(uint32_t parent, DWORD flags);

/** It ends, and with it its handles. */
void kernel_exit(uint32_t pid);

bool kernel_lives(uint32_t pid);

/** Time passes. Each new process takes a little, too. */
void kernel_pass_ms(uint32_t ms);

/** What QueryInformationJobObject(NULL) tells a process: the limits of its immediate job; 0 also if it has none. */
DWORD kernel_limits_of(uint32_t pid);

/** A job with a handle that belongs to a process, as programs make for their children. */
HANDLE kernel_job_of(uint32_t pid, DWORD limits, bool ui_limits);

/** Nobody may put this process into a job, nor what it starts, as if they were of another session. */
void kernel_refuse(uint32_t pid);

/** The port that was made last, and whether it is told of a process: by its job, or by one above. */
const void *kernel_newest_port(void);
bool kernel_tells(uint32_t pid, const void *port);

/** The pid of its parent, or of the one that had it then. */
uint32_t kernel_parent_of(uint32_t pid);

/** Until time passes, this process is only about to begin: lists of processes have it with a senseless creation time. */
void kernel_hesitate(uint32_t pid);

/** Whether a process descends from another, through whichever generations. */
bool kernel_descends(uint32_t pid, uint32_t from);

#endif
