/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file divert_task.h
 * Opens and closes driver handles on other threads than the engine's, because Windows takes milliseconds for it.
 *
 * A task belongs to its creator until divert_task_end() or divert_task_leave(). A task that was left closes the handle
 * that it opens, and frees itself.
 */
#ifndef WINDOWS_DIVERT_TASK_H
#define WINDOWS_DIVERT_TASK_H

#include "windows/divert.h"

struct divert_task;

/** Begins to open a packet handle, as divert_open() does; `filter` is copied. NULL: no memory. */
struct divert_task *divert_task_open(struct divert_api *api, const char *filter, int16_t priority);

/**
 * Begins to close a ring, which is the task's from now on. Without memory for a task the ring is closed at once: NULL.
 */
struct divert_task *divert_task_close(struct divert_api *api, struct divert_ring *ring);

/** HANDLE that is set when the task is done. */
void *divert_task_wait_handle(const struct divert_task *t);

/** Ends a task that is done. The ring that was opened; NULL with *error set (unless it is NULL): it could not be. */
struct divert_ring *divert_task_end(struct divert_task *t, redirector_error *error);

/** Leaves a task to itself, done or not; from any thread, but only once. NULL is fine. */
void divert_task_leave(struct divert_task *t);

#endif
