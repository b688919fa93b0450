/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: Windows calls the handler on a thread of its own. For Ctrl-C it only wakes the main thread: the
 * started program shares the console and gets its own Ctrl-C from there. When the console closes, Windows ends the
 * process as soon as the handler returns, so there it waits until the main thread has cleaned up. The handler has no
 * context argument, hence the file-wide state.
 */
#include "console.h"

#include <limits.h>
#include <stdatomic.h>

enum { CLOSING_WAIT_MS = 4500 }; /* Windows gives 5 s */

static HANDLE pressed;
static HANDLE done;
static atomic_bool closing;

static BOOL WINAPI on_event(DWORD kind)
{
    if (kind == CTRL_C_EVENT || kind == CTRL_BREAK_EVENT) {
        ReleaseSemaphore(pressed, 1, NULL);
        return TRUE;
    }
    atomic_store(&closing, true);
    ReleaseSemaphore(pressed, 1, NULL);
    WaitForSingleObject(done, CLOSING_WAIT_MS);
    return TRUE;
}

bool console_watch(void)
{
    pressed = CreateSemaphoreW(NULL, 0, LONG_MAX, NULL); /* not an event: two presses at once are two */
    done = CreateEventW(NULL, TRUE, FALSE, NULL);
    return pressed && done && SetConsoleCtrlHandler(on_event, TRUE);
}

HANDLE console_presses(void)
{
    return pressed;
}

bool console_is_closing(void)
{
    return atomic_load(&closing);
}

void console_done(void)
{
    SetEvent(done);
}
