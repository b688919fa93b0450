/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a driver handle that is not read blocks the captured traffic of the whole machine while it is
 * open. So it has to be closed when the engine's thread hangs: in the driver, in a system call, or stopped by a
 * debugger or a bug. A second thread does that. If the whole process is suspended, it cannot.
 */
#include "service_internal.h"

/* Two seconds, counted in checks: while the machine sleeps, none is made. */
enum { CHECK_MS = 400, CHECKS = 5 };

static void trip(redirector *r)
{
    atomic_fetch_add(&r->watchdog_trips, 1);
    service_abandon(r);
    service_fail(r, REDIRECTOR_ENGINE_STALLED, 0, NULL);
}

static DWORD WINAPI watchdog_thread(void *redirector_pointer)
{
    redirector *r = redirector_pointer;
    HANDLE ends[] = {r->watchdog_end, r->thread};
    uint32_t seen = atomic_load(&r->progress);
    int stalled = 0;
    while (WaitForMultipleObjects(2, ends, FALSE, CHECK_MS) == WAIT_TIMEOUT) {
        uint32_t now = atomic_load(&r->progress);
        stalled = now == seen ? stalled + 1 : 0;
        seen = now;
        if (stalled == CHECKS) {
            trip(r);
            return 0;
        }
    }
    return 0;
}

bool watchdog_start(redirector *r)
{
    r->watchdog_end = CreateEventW(NULL, TRUE, FALSE, NULL);
    r->watchdog = r->watchdog_end ? CreateThread(NULL, 0, watchdog_thread, r, 0, NULL) : NULL;
    if (r->watchdog) {
        SetThreadPriority(r->watchdog, THREAD_PRIORITY_TIME_CRITICAL); /* above the one it watches */
    }
    return r->watchdog;
}

void watchdog_stop(redirector *r)
{
    if (r->watchdog) {
        SetEvent(r->watchdog_end);
        WaitForSingleObject(r->watchdog, INFINITE); /* bounded: it blocks in nothing else */
        CloseHandle(r->watchdog);
    }
    if (r->watchdog_end) {
        CloseHandle(r->watchdog_end);
    }
    r->watchdog = r->watchdog_end = NULL;
}
