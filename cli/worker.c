/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a thread and an event that says when it shall end. The event stays set, so it does not matter
 * whether the thread waits for it already. The thread reads the worker, which therefore must stay where it is.
 */
#include "worker.h"

#include <process.h>

static unsigned __stdcall enter(void *argument)
{
    const struct worker *w = argument;
    w->run(w->context);
    return 0;
}

bool worker_start(struct worker *w, void (*run)(void *context), void *context)
{
    w->run = run;
    w->context = context;
    w->ending = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!w->ending) {
        return false;
    }
    w->thread = (HANDLE)_beginthreadex(NULL, 0, enter, w, 0, NULL);
    if (!w->thread) {
        DWORD error = GetLastError();
        CloseHandle(w->ending);
        w->ending = NULL;
        SetLastError(error);
    }
    return w->thread != NULL;
}

bool worker_pause(const struct worker *w, DWORD ms)
{
    return WaitForSingleObject(w->ending, ms) == WAIT_TIMEOUT;
}

void worker_end(struct worker *w)
{
    if (!w->thread) {
        return;
    }
    SetEvent(w->ending);
    WaitForSingleObject(w->thread, INFINITE);
    CloseHandle(w->thread);
    CloseHandle(w->ending);
    w->thread = w->ending = NULL;
}
