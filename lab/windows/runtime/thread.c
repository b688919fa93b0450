/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: there is no thread-local storage in a driver under Wine, so what a thread is doing
 * stands in a table, found by the address of its environment block (TEB) and linear probing. A place is
 * taken when a thread has something to remember for the first time, and stays its own. Few ever have:
 * the thread that reads the network and those that dispatch. Wine uses the TEB of an ended thread for
 * the next one, which finds its place all zero, because each use restores what it set.
 */
#include <ddk/wdm.h>

#include "../platform.h"
#include "linux.h"
#include "thread.h"

enum { STATES = 256, TEB_SHIFT = 12 };

/* Missing in mingw's wdm.h. */
NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE object, BOOLEAN alertable, LARGE_INTEGER *timeout);

struct thread {
    HANDLE handle;
    thread_fn *run;
    void *context;
};

static struct thread_state states[STATES];

static uint64_t self(void)
{
    uint64_t teb;

    __asm__("movq %%gs:0x30, %0" : "=r"(teb));
    return teb;
}

static struct thread_state *find(uint64_t teb, bool make)
{
    unsigned first = (unsigned)((teb >> TEB_SHIFT) * 0x9e3779b1u) % STATES;

    for (unsigned i = 0; i < STATES; i++) {
        struct thread_state *state = &states[(first + i) % STATES];
        uint64_t owner = __atomic_load_n(&state->owner, __ATOMIC_RELAXED);

        if (owner == teb) {
            return state;
        }
        if (owner != 0) {
            continue;
        }
        if (!make) {
            return NULL;
        }
        if (__sync_bool_compare_and_swap(&state->owner, 0, teb)) {
            return state;
        }
    }
    return NULL;
}

struct thread_state *thread_state_find(void)
{
    return find(self(), false);
}

struct thread_state *thread_state(void)
{
    return find(self(), true);
}

static void NTAPI thread_main(void *context)
{
    struct thread *thread = context;

    thread->run(thread->context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

void *thread_start(thread_fn *run, void *context)
{
    struct thread *thread = lab_allocate(sizeof(*thread));

    if (!thread) {
        return NULL;
    }
    thread->run = run;
    thread->context = context;
    if (!NT_SUCCESS(PsCreateSystemThread(&thread->handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, thread_main, thread))) {
        lab_free(thread);
        return NULL;
    }
    return thread;
}

void thread_join(void *joined)
{
    struct thread *thread = joined;

    if (!thread) {
        return;
    }
    ZwWaitForSingleObject(thread->handle, FALSE, NULL);
    ZwClose(thread->handle);
    lab_free(thread);
}
