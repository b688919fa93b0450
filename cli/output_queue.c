/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: while it is open, lines to standard error are only appended to a queue, and one thread writes
 * them. The queue is bounded: what does not fit is lost, and counted. At the end the reader has a limited time to take
 * what is left. A thread that still waits for the reader then is left alone; the end of the process ends it. Nothing is
 * written any more, because that would wait behind it.
 */
#include "output.h"

#include <process.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum {
    QUEUE_MAX = 16384,
    DRAIN_MS = 3000, /* for the lines */
    CLOSE_MS = 1000, /* for the summary behind them */
};

struct line {
    struct line *next;
    char text[];
};

static SRWLOCK lock = SRWLOCK_INIT; /* guards what follows */
static CONDITION_VARIABLE added = CONDITION_VARIABLE_INIT, written = CONDITION_VARIABLE_INIT;
static enum { CLOSED, OPEN, ENDING, GIVEN_UP } state;
static struct line *first, **last = &first;
static size_t queued; /* with the one that is being written */
static uint64_t lost;

/* only of the threads that open and close */
static HANDLE writer;

/* Under the lock. The oldest line; NULL: none. */
static struct line *take(void)
{
    struct line *l = first;
    if (l) {
        first = l->next;
        last = first ? last : &first;
    }
    return l;
}

static unsigned __stdcall write_lines(void *unused)
{
    (void)unused;
    AcquireSRWLockExclusive(&lock);
    for (;;) {
        struct line *l = take();
        if (!l && state != OPEN) {
            break;
        }
        if (!l) {
            SleepConditionVariableSRW(&added, &lock, INFINITE, 0);
            continue;
        }
        ReleaseSRWLockExclusive(&lock);
        bool good = output_write(l->text);
        free(l);
        AcquireSRWLockExclusive(&lock);
        lost += !good;
        queued--;
        WakeAllConditionVariable(&written);
    }
    ReleaseSRWLockExclusive(&lock);
    return 0;
}

bool output_open(void)
{
    state = OPEN;
    writer = (HANDLE)_beginthreadex(NULL, 0, write_lines, NULL, 0, NULL);
    if (!writer) {
        state = CLOSED;
    }
    return writer != NULL;
}

bool output_enqueue(const char *utf8)
{
    size_t size = strlen(utf8) + 1;
    AcquireSRWLockExclusive(&lock);
    bool taken = state != CLOSED;
    struct line *l = state == OPEN && queued < QUEUE_MAX ? malloc(sizeof *l + size) : NULL;
    if (l) {
        l->next = NULL;
        memcpy(l->text, utf8, size);
        *last = l;
        last = &l->next;
        queued++;
        WakeConditionVariable(&added);
    } else if (taken) {
        lost++;
    }
    ReleaseSRWLockExclusive(&lock);
    return taken;
}

void output_drain(void)
{
    ULONGLONG until = GetTickCount64() + DRAIN_MS;
    AcquireSRWLockExclusive(&lock);
    while (queued && GetTickCount64() < until) {
        SleepConditionVariableSRW(&written, &lock, (DWORD)(until - GetTickCount64()), 0);
    }
    for (struct line *l; (l = take()) != NULL; queued--, lost++) {
        free(l);
    }
    ReleaseSRWLockExclusive(&lock);
}

uint64_t output_lost(void)
{
    AcquireSRWLockShared(&lock);
    uint64_t count = lost;
    ReleaseSRWLockShared(&lock);
    return count;
}

void output_close(void)
{
    if (!writer) {
        return;
    }
    AcquireSRWLockExclusive(&lock);
    state = ENDING;
    ReleaseSRWLockExclusive(&lock);
    WakeConditionVariable(&added);
    bool over = WaitForSingleObject(writer, CLOSE_MS) == WAIT_OBJECT_0;
    AcquireSRWLockExclusive(&lock);
    state = over ? CLOSED : GIVEN_UP;
    ReleaseSRWLockExclusive(&lock);
    CloseHandle(writer);
    writer = NULL;
}
