/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The engine's thread, stopped wherever it is: as by a debugger, or by a driver that does not answer.
 *
 *   freeze [all=1]         suspends it; `frozen` says how many threads that was. With the watchdog: the machine sleeps
 *   thaw                   lets it go on
 *
 * It is known by its priority, which is the highest there is below time-critical.
 */
#include "proxy.h"

#include <tlhelp32.h>

enum { FROZEN_MAX = 8 };

static HANDLE frozen[FROZEN_MAX];
static int frozen_count;

void command_freeze(const struct command *c, struct json *answer)
{
    int highest = command_number(c, "all", 0) ? THREAD_PRIORITY_TIME_CRITICAL : THREAD_PRIORITY_HIGHEST;
    THREADENTRY32 entry = {.dwSize = sizeof entry};
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    int before = frozen_count;
    for (BOOL more = Thread32First(snapshot, &entry); more; more = Thread32Next(snapshot, &entry)) {
        HANDLE thread = NULL;
        if (entry.th32OwnerProcessID == GetCurrentProcessId() && frozen_count < FROZEN_MAX) {
            thread = OpenThread(THREAD_SUSPEND_RESUME | THREAD_QUERY_INFORMATION, FALSE, entry.th32ThreadID);
        }
        int priority = thread ? GetThreadPriority(thread) : THREAD_PRIORITY_IDLE;
        if (priority >= THREAD_PRIORITY_HIGHEST && priority <= highest && SuspendThread(thread) != (DWORD)-1) {
            frozen[frozen_count++] = thread;
        } else if (thread) {
            CloseHandle(thread);
        }
    }
    CloseHandle(snapshot);
    json_number(answer, "frozen", frozen_count - before);
}

void command_thaw(const struct command *c, struct json *answer)
{
    (void)c;
    (void)answer;
    while (frozen_count) {
        HANDLE thread = frozen[--frozen_count];
        ResumeThread(thread);
        CloseHandle(thread);
    }
}
