/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "windows/shared_thread.h"

#include <windows.h>

static void leave(struct shared_thread *t)
{
    if (atomic_fetch_sub(&t->owners, 1) == 1) {
        shared_thread_close_event(t->handle);
        t->free(t->whole);
    }
}

static DWORD WINAPI thread_main(void *shared)
{
    struct shared_thread *t = shared;
    t->run(t->whole);
    leave(t);
    return 0;
}

bool shared_thread_start(struct shared_thread *t, bool ready, int priority, void *whole, void (*run)(void *whole),
                         void (*free)(void *whole))
{
    t->whole = whole;
    t->run = run;
    t->free = free;
    atomic_store(&t->owners, 2);
    /* Suspended: it may end, and with it `handle`, at once. */
    t->handle = ready ? CreateThread(NULL, 0, thread_main, t, CREATE_SUSPENDED, NULL) : NULL;
    if (!t->handle) {
        atomic_store(&t->owners, 1);
        leave(t);
        return false;
    }
    SetThreadPriority(t->handle, priority);
    ResumeThread(t->handle);
    return true;
}

void shared_thread_leave(struct shared_thread *t, uint32_t wait_ms)
{
    if (wait_ms) {
        WaitForSingleObject(t->handle, wait_ms);
    }
    leave(t);
}

void shared_thread_close_event(void *event)
{
    if (event) {
        CloseHandle(event);
    }
}

bool shared_thread_keep_event(void *event, void **own)
{
    return DuplicateHandle(GetCurrentProcess(), event, GetCurrentProcess(), own, EVENT_MODIFY_STATE, FALSE, 0);
}
