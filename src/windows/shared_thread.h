/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file shared_thread.h
 * A thread for calls into Windows that may take long, or never return, and cannot be cancelled.
 *
 * What it works on has two owners, the thread and its creator; the last to leave frees it. So a thread that hangs
 * finds everything it uses when it comes back, and its creator need not wait for it.
 */
#ifndef WINDOWS_SHARED_THREAD_H
#define WINDOWS_SHARED_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct shared_thread {
    void *handle; /* waitable: set when it has ended */
    void *whole;  /* what this is a part of */
    void (*run)(void *whole);
    void (*free)(void *whole);
    atomic_int owners;
};

/**
 * Runs run(whole) on a thread of its own at that priority (as SetThreadPriority() takes it). free(whole) is called by
 * the last owner. false: no thread, or not `ready`; then free(whole) has been called.
 */
bool shared_thread_start(struct shared_thread *t, bool ready, int priority, void *whole, void (*run)(void *whole),
                         void (*free)(void *whole));

/** The creator's share ends, after waiting for the thread for wait_ms at most. */
void shared_thread_leave(struct shared_thread *t, uint32_t wait_ms);

/** An event, or NULL, is closed. */
void shared_thread_close_event(void *event);

/** The handle of another's event, for a thread that may outlive it. false: it cannot be had. */
bool shared_thread_keep_event(void *event, void **own);

#endif
