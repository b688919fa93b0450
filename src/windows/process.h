/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file process.h
 * Processes as Windows sees them: identity, parents, and the job object that keeps a tree together.
 *
 * The kernel keeps track of the tree: the roots are put into job objects (nested since Windows 8), every descendant is
 * created in them, and IsProcessInJob answers for any live process, whether or not its parents still exist (I1).
 * Programs that break away from their job leave an inner one only (job_object.c). The jobs' completion port reports new
 * members, so that a process which has exited before its event is read is known all the same.
 */
#ifndef WINDOWS_PROCESS_H
#define WINDOWS_PROCESS_H

#include "engine/types.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * Opens a process with the least rights, to identify it. false: *error says NO_SUCH_PROCESS, PROCESS_DENIED or
 * NO_MEMORY. An exited process whose object lingers counts as no such process.
 */
bool process_identify(uint32_t pid, struct process_id *out, redirector_error *error);

struct process_job; /* the jobs of one redirector, one per root, with their completion port */

/**
 * Creates the jobs and puts the roots, one or more, into them (one may be named twice, and descend from another).
 * Descendants that already run are found by a snapshot (parent links checked by creation time, I2) and put in, too. A
 * process that cannot be assigned is reported by process_job_poll() as outside. NULL: *error. A job left by an earlier start
 * on the same root is used again (it is named by pid and creation time), so that restarts do not nest jobs without end.
 */
struct process_job *process_job_open(const struct process_id *roots, uint32_t count, redirector_error *error);
void process_job_close(struct process_job *job); /* the processes live on, unrestricted */

/** A process has joined the tree, or has ended. Times are as those of creation. */
struct process_event {
    struct process_id id; /* created is 0 if it could not be opened */
    bool exited;
    bool gone;    /* it joined, and was gone before it could be opened */
    bool outside; /* it joined, and Windows does not let it into its root's job: the kernel tells of no child of it */
    uint32_t os_error; /* outside: why */
    uint64_t from;     /* gone: it was created no earlier, */
    uint64_t to;       /* and ended no later; exited: it ended no later; 0: unknown */
};

/**
 * Takes the next process event, without waiting; false: there is none. The first events after process_job_open() are
 * the roots and the descendants of the snapshot. The pid of a member is not reused until its end has been reported.
 */
bool process_job_poll(struct process_job *job, struct process_event *event);

/**
 * Whether members live that are outside of their root's job, or did a moment ago: then all processes that come have to be looked at
 * (process_watch.h), and those that are found to belong to the tree are to be handed in by process_job_adopt().
 */
bool process_job_needs_watch(struct process_job *job);

/** A process that belongs to the tree by its parent becomes a member, and gets into the job if it may. false: it is gone. */
bool process_job_adopt(struct process_job *job, const struct process_facts *facts);

/**
 * Facts about a live process: creation time, parent (created 0 when the parent is gone or younger than the child,
 * I2; a parent that has ended still counts while any handle to it is open, for instance a job's), in_tree by
 * IsProcessInJob. false: it is gone or cannot be opened.
 */
bool process_facts(struct process_job *job, uint32_t pid, struct process_facts *out);

/** Now, on the clock of creation times. */
uint64_t process_clock(void);

/** Full path of the process' image in UTF-8, "" when unknown. */
void process_path(uint32_t pid, char *out, uint32_t size);

#endif
