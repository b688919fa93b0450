/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file process_watch.h
 * Tells which processes have come, by snapshots on a thread of its own, while it is asked to.
 */
#ifndef WINDOWS_PROCESS_WATCH_H
#define WINDOWS_PROCESS_WATCH_H

#include "windows/process_table.h"

struct process_watch;

/** It rests at first. `wake` (HANDLE of an event) is set when there is something to take; duplicated. NULL: no memory. */
struct process_watch *process_watch_start(void *wake);

/**
 * Begins, or goes on, or rests: then it costs nothing. What is taken first after each beginning are all processes that
 * there are.
 */
void process_watch_run(struct process_watch *w, bool run);

/** Those that have come since the last time, the caller's from now on. false: none. */
bool process_watch_take(struct process_watch *w, struct process_table *out);

/** Ends it, within a tenth of a second: a thread that hangs in Windows is left to itself. NULL is fine. */
void process_watch_stop(struct process_watch *w);

#endif
