/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file worker.h
 * A thread that works until it is told to end. A worker set to zero is one that does not run.
 */
#ifndef CLI_WORKER_H
#define CLI_WORKER_H

#include <stdbool.h>
#include <windows.h>

struct worker {
    HANDLE thread; /**< NULL: it does not run */
    HANDLE ending; /**< an event, set by worker_end(); for those that wait for something else, too */
    void (*run)(void *context);
    void *context;
};

/** Begins run(context) on a thread of its own. False: there is none, and the worker is as before; GetLastError(). */
bool worker_start(struct worker *w, void (*run)(void *context), void *context);

/** For the thread itself: waits so long. False: it shall end. */
bool worker_pause(const struct worker *w, DWORD ms);

/**
 * Tells the thread to end and waits until it has. A thread that waits for something else than `ending` has to be woken
 * before. Fine if the worker does not run; afterwards it does not.
 */
void worker_end(struct worker *w);

#endif
