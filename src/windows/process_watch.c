/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a snapshot costs a millisecond or more, so the engine's thread takes none. This thread takes
 * them as often as may be: it rests COST_SHARE times as long as the last one took, PAUSE_MS at least; so it needs a
 * twentieth of a processor, and sees each process that lives for longer than a pause. What lived for a shorter time, and
 * left children behind, it misses. PAUSE_MAX_MS at most: on a machine that is overloaded a look takes long because it
 * has to wait, and says nothing of its cost.
 *
 * Events of Windows' kernel (ETW) would tell of each, but not in time: they come in buffers, up to a second later, when
 * the connection has long passed; and a session that nobody ended, because its program was killed, stays.
 */
#include "windows/process_watch.h"
#include "windows/shared_thread.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <windows.h>

enum { PAUSE_MS = 20, PAUSE_MAX_MS = 200, COST_SHARE = 20, STOP_WAIT_MS = 100 };

struct process_watch {
    struct shared_thread thread;
    HANDLE wake, end, changed; /* changed: `running` has */
    atomic_bool running;
    atomic_bool anew; /* all processes are to be told of, not only those that have come */
    SRWLOCK lock;
    struct process_table fresh;  /* under the lock: not taken yet */
    struct process_table before; /* the thread's */
};

static void watch_free(void *watch)
{
    struct process_watch *w = watch;
    process_table_free(&w->fresh);
    process_table_free(&w->before);
    shared_thread_close_event(w->wake);
    shared_thread_close_event(w->end);
    shared_thread_close_event(w->changed);
    free(w);
}

/* Takes a snapshot, and notes what has come. If it fails, the next one tells of both times. */
static void look(struct process_watch *w)
{
    struct process_table now = {0}, all = {0};
    if (!process_table_read(&now) || !process_table_copy(&now, &all)) {
        process_table_free(&now);
        return;
    }
    process_table_subtract(&now, &w->before);
    process_table_free(&w->before);
    w->before = all;
    bool some = now.count != 0;
    AcquireSRWLockExclusive(&w->lock);
    if (!process_table_append(&w->fresh, &now)) {
        atomic_store(&w->anew, true); /* what is lost is told of next time */
    }
    ReleaseSRWLockExclusive(&w->lock);
    if (some) {
        SetEvent(w->wake);
    }
}

static void watch_run(void *watch)
{
    struct process_watch *w = watch;
    HANDLE handles[] = {w->end, w->changed};
    DWORD pause = INFINITE;
    while (WaitForMultipleObjects(2, handles, FALSE, pause) != WAIT_OBJECT_0) {
        LARGE_INTEGER frequency, from, to;
        if (!atomic_load(&w->running)) {
            pause = INFINITE;
            continue;
        }
        if (atomic_exchange(&w->anew, false)) {
            process_table_free(&w->before);
        }
        QueryPerformanceFrequency(&frequency);
        QueryPerformanceCounter(&from);
        look(w);
        QueryPerformanceCounter(&to);
        LONGLONG cost_ms = (to.QuadPart - from.QuadPart) * 1000 / frequency.QuadPart;
        pause = cost_ms > PAUSE_MAX_MS / COST_SHARE ? PAUSE_MAX_MS : max(PAUSE_MS, (DWORD)cost_ms * COST_SHARE);
    }
}

struct process_watch *process_watch_start(void *wake)
{
    struct process_watch *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    InitializeSRWLock(&w->lock);
    w->changed = CreateEventW(NULL, FALSE, FALSE, NULL);
    w->end = CreateEventW(NULL, TRUE, FALSE, NULL);
    bool ready = w->changed && w->end && shared_thread_keep_event(wake, &w->wake);
    return shared_thread_start(&w->thread, ready, THREAD_PRIORITY_NORMAL, w, watch_run, watch_free) ? w : NULL;
}

void process_watch_run(struct process_watch *w, bool run)
{
    if (atomic_exchange(&w->running, run) != run) {
        if (run) {
            atomic_store(&w->anew, true);
        }
        SetEvent(w->changed);
    }
}

bool process_watch_take(struct process_watch *w, struct process_table *out)
{
    AcquireSRWLockExclusive(&w->lock);
    *out = w->fresh;
    w->fresh = (struct process_table){0};
    ReleaseSRWLockExclusive(&w->lock);
    if (!out->count) {
        process_table_free(out);
    }
    return out->count != 0;
}

void process_watch_stop(struct process_watch *w)
{
    if (w) {
        SetEvent(w->end);
        shared_thread_leave(&w->thread, STOP_WAIT_MS);
    }
}
