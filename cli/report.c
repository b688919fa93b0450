/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The report. Standard error may stand still for long: a console does while its user marks text, a pipe does while its
 * reader is busy. Connections must not stand still with it, so lines are written by a thread of their own, from a queue
 * that report_add() only appends to. The queue is bounded; beyond it lines are lost, counted, and the summary says so.
 */
#include "report.h"

#include "output.h"

#include <process.h>
#include <stdlib.h>
#include <windows.h>

enum { QUEUE_MAX = 16384 };

typedef struct entry {
    struct entry *next;
    report_connection connection;
} entry;

struct report {
    bool json;
    HANDLE thread;
    SRWLOCK lock; /* guards what follows */
    CONDITION_VARIABLE changed;
    entry *first;
    entry **last;
    size_t queued;
    bool closing;
    report_totals totals;
};

static bool outcome_is_failure(report_outcome outcome)
{
    static const bool failures[] = {
#define REPORT_OUTCOME_FAILED(name, text, failed) [REPORT_##name] = (failed),
        REPORT_OUTCOME_LIST(REPORT_OUTCOME_FAILED)
#undef REPORT_OUTCOME_FAILED
    };
    return failures[outcome];
}

/* The oldest entry; NULL when the report closes and all are written. */
static entry *take(report *r)
{
    AcquireSRWLockExclusive(&r->lock);
    while (!r->first && !r->closing)
        SleepConditionVariableSRW(&r->changed, &r->lock, INFINITE, 0);
    entry *e = r->first;
    if (e) {
        r->first = e->next;
        if (!r->first)
            r->last = &r->first;
        r->queued--;
    }
    ReleaseSRWLockExclusive(&r->lock);
    return e;
}

static unsigned __stdcall write_lines(void *context)
{
    report *r = context;
    char line[OUTPUT_LINE_MAX];
    for (entry *e = take(r); e; e = take(r)) {
        report_format_connection(line, sizeof line, &e->connection, r->json);
        output_line(line);
        free(e);
    }
    return 0;
}

report *report_open(bool json)
{
    report *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->json = json;
    r->last = &r->first;
    InitializeSRWLock(&r->lock);
    InitializeConditionVariable(&r->changed);
    r->thread = (HANDLE)_beginthreadex(NULL, 0, write_lines, r, 0, NULL);
    if (!r->thread) {
        free(r);
        return NULL;
    }
    return r;
}

void report_add(report *r, const report_connection *connection)
{
    entry *e = malloc(sizeof *e);
    if (e)
        *e = (entry){.connection = *connection};
    AcquireSRWLockExclusive(&r->lock);
    r->totals.connections++;
    r->totals.bytes_up += connection->bytes_up;
    r->totals.bytes_down += connection->bytes_down;
    r->totals.failed += outcome_is_failure(connection->outcome);
    if (e && r->queued < QUEUE_MAX) {
        *r->last = e;
        r->last = &e->next;
        r->queued++;
        e = NULL;
    } else {
        r->totals.lines_lost++;
    }
    ReleaseSRWLockExclusive(&r->lock);
    WakeConditionVariable(&r->changed);
    free(e);
}

void report_stranger(report *r)
{
    AcquireSRWLockExclusive(&r->lock);
    r->totals.strangers++;
    ReleaseSRWLockExclusive(&r->lock);
}

void report_close(report *r, bool summary)
{
    AcquireSRWLockExclusive(&r->lock);
    r->closing = true;
    ReleaseSRWLockExclusive(&r->lock);
    WakeConditionVariable(&r->changed);
    WaitForSingleObject(r->thread, INFINITE);
    CloseHandle(r->thread);

    if (summary) {
        char line[OUTPUT_LINE_MAX];
        report_format_summary(line, sizeof line, &r->totals, r->json);
        output_line(line);
    }
    free(r);
}
