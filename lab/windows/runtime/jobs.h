/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Threads that do what others leave to them, in order of arrival.
 */
#ifndef LAB_WINDOWS_JOBS_H
#define LAB_WINDOWS_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "linux.h"

enum { JOBS_THREADS_MAX = 3 };

struct job {
    struct job *next;
    void (*run)(struct job *job); /* may free it, or add it anew */
    int64_t due_ms;               /* not before; 0: at once */
};

struct jobs {
    struct mutex lock;
    struct job *first;
    volatile int changes, idle;
    unsigned count, running;
    bool ending;
    void *threads[JOBS_THREADS_MAX];
};

bool jobs_start(struct jobs *jobs, unsigned threads);
void jobs_add(struct jobs *jobs, struct job *job);

/* Returns when all that has been added is done, that which is due later not awaited but done now. */
void jobs_stop(struct jobs *jobs);

/* Returns when there is nothing to do at the moment. */
void jobs_wait(struct jobs *jobs);

/* Milliseconds of the clock that due_ms is of. */
int64_t jobs_now(void);

#endif
