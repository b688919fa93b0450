/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file process.h
 * Processes as Windows sees them: identity, parents, and the job object that keeps a tree together.
 *
 * Membership in the tree is kept by the kernel: the roots are put into a job object (nested since Windows 8), every
 * descendant is born into it, and IsProcessInJob answers for any process that is alive, however its parents fared
 * (I1). The job allows breakaway, so that programs that ask for it do not fail; such a process is then found by its
 * parent link (the engine's process tree). The job's completion port tells of new members, so that one which has
 * already exited when its event is read is known all the same.
 */
#ifndef WINDOWS_PROCESS_H
#define WINDOWS_PROCESS_H

#include "engine/types.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * Opens a process just to identify it (least rights). false: *error says NO_SUCH_PROCESS, PROCESS_DENIED or NO_MEMORY.
 * An exited process whose object lingers counts as no such process.
 */
bool process_identify(uint32_t pid, struct process_id *out, redirector_error *error);

enum { PROCESS_ROOTS_MAX = 65 }; /* redirector_config: client_pid and 64 more */

struct process_job; /* the jobs of one redirector, one a root, with their completion port */

/**
 * Creates the jobs and puts the roots into them (a root may be named twice, and be a descendant of another); descendants that already run are found by a snapshot (parent links
 * checked by creation time, I2) and put in too. Where a process cannot be assigned it is still reported by
 * process_job_poll(). NULL: *error. A job left by an earlier start on the same root is used again (named by pid and
 * creation time), so that restarts do not nest jobs without end.
 */
struct process_job *process_job_open(const struct process_id *roots, uint32_t count, redirector_error *error);
void process_job_close(struct process_job *job); /* the processes live on, unrestricted */

/**
 * Next news about members, without waiting. `exited`: the pid's process is gone. created is 0 when it was gone before
 * it could be asked; its `exited` follows with 0, too. The first news after process_job_open() are the roots and the
 * descendants of the snapshot. As long as the end of a member has not been told, its pid is not given to another
 * process. false: no more news.
 */
struct process_news {
    struct process_id id;
    bool exited;
};
bool process_job_poll(struct process_job *job, struct process_news *news);

/**
 * Facts about a live process: creation time, parent (created 0 when the parent is gone or younger than the child,
 * I2; a parent that has ended is not gone as long as somebody, like a job here, has a handle to it), in_tree by
 * IsProcessInJob. false: it is gone or cannot be opened.
 */
bool process_facts(struct process_job *job, uint32_t pid, struct process_facts *out);

/** Full path of the process' image in UTF-8, "" when unknown. */
void process_path(uint32_t pid, char *out, uint32_t size);

#endif
