/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Threads, and what is known of each of them.
 */
#ifndef LAB_WINDOWS_THREAD_H
#define LAB_WINDOWS_THREAD_H

#include <stdbool.h>
#include <stdint.h>

struct wdf_request;

/* What belongs to a thread. All zero: nothing special. */
struct thread_state {
    uint64_t volatile owner;  /* its TEB */
    int64_t clock;            /* what time it is for this thread; 0: what it is for all */
    int defers;               /* its completions are left to another thread */
    struct wdf_request *send; /* the SEND that it is in */
};

/* NULL: all zero. The pointer is the calling thread's alone. */
struct thread_state *thread_state_find(void);

/* Made if need be; NULL: there are too many. */
struct thread_state *thread_state(void);

/* A thread that runs `run` and can be waited for. NULL: none could be made. */
typedef void thread_fn(void *context);
void *thread_start(thread_fn *run, void *context);
void thread_join(void *thread); /* also frees it */

#endif
