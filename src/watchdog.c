/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A driver handle that nobody reads holds back the traffic of the whole machine for as long as it is open. So somebody has
 * to close it when the engine's thread hangs: in the driver, in a system call, or because a debugger or a bug has stopped
 * it. Only a thread that still runs can do that; where the whole process is suspended, nothing of it can.
 */
#include "service_internal.h"

enum { LOOK_MS = 400, LOOKS = 5 }; /* two seconds, by looks: a machine that slept has not looked */

static void trip(redirector *r)
{
    atomic_fetch_add(&r->watchdog_trips, 1);
    diversion_abandon(&r->diversion);
    divert_abandon(r->events);
    service_fail(r, REDIRECTOR_ENGINE_STALLED, 0, NULL);
}

static DWORD WINAPI watchdog_thread(void *redirector_pointer)
{
    redirector *r = redirector_pointer;
    HANDLE ends[] = {r->watchdog_end, r->thread};
    uint32_t seen = atomic_load(&r->progress);
    int looks = 0;
    while (WaitForMultipleObjects(2, ends, FALSE, LOOK_MS) == WAIT_TIMEOUT) {
        uint32_t now = atomic_load(&r->progress);
        looks = now == seen ? looks + 1 : 0;
        seen = now;
        if (looks == LOOKS) {
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
        WaitForSingleObject(r->watchdog, INFINITE); /* it never waits for long */
        CloseHandle(r->watchdog);
    }
    if (r->watchdog_end) {
        CloseHandle(r->watchdog_end);
    }
    r->watchdog = r->watchdog_end = NULL;
}
