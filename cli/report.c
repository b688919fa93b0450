/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The report. Standard error may stand still for long: a console does while its user marks text, a pipe does while its
 * reader is busy. Connections must not stand still with it, so lines are written by a thread of their own, from a queue
 * that the others only append to. The queue is bounded; beyond it lines are lost, counted, and the summary says so.
 *
 * A live connection is an entry in a list; its owner adds to the entry's counters without a lock, and everybody else
 * reads under the lock. A few that have ended are remembered for those who look at the whole.
 */
#include "report.h"

#include "output.h"
#include "worker.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum { QUEUE_MAX = 16384, REMEMBERED = 64 };

struct report_entry {
    struct report_entry *next, *previous; /* while it lives */
    LARGE_INTEGER started;
    atomic_ullong bytes_up, bytes_down;
    struct report_connection connection; /* all but the bytes */
};

struct line {
    struct line *next;
    struct report_connection connection;
};

struct report {
    enum report_view view;
    struct worker worker;
    SRWLOCK lock; /* guards what follows */
    CONDITION_VARIABLE changed;
    struct report_entry *live;
    struct line *first;
    struct line **last;
    size_t queued;
    bool closing;
    uint64_t begun;
    struct report_totals totals;
    struct report_connection ended[REMEMBERED]; /* a ring: the one that ended as number n is at n modulo its size */
};

static const struct {
    const char *text;
    bool failed;
} outcomes[] = {
#define REPORT_OUTCOME_ROW(name, text, failed) [REPORT_##name] = {text, failed},
    REPORT_OUTCOME_LIST(REPORT_OUTCOME_ROW)
#undef REPORT_OUTCOME_ROW
};

const char *report_outcome_text(enum report_outcome outcome)
{
    return outcomes[outcome].text;
}

/* ---- lines */

/* The oldest line; NULL when the report closes and all are written. */
static struct line *take(struct report *r)
{
    AcquireSRWLockExclusive(&r->lock);
    while (!r->first && !r->closing) {
        SleepConditionVariableSRW(&r->changed, &r->lock, INFINITE, 0);
    }
    struct line *l = r->first;
    if (l) {
        r->first = l->next;
        if (!r->first) {
            r->last = &r->first;
        }
        r->queued--;
    }
    ReleaseSRWLockExclusive(&r->lock);
    return l;
}

static void write_lines(void *context)
{
    struct report *r = context;
    char text[OUTPUT_LINE_MAX];
    for (struct line *l = take(r); l; l = take(r)) {
        if (r->view == REPORT_JSON) {
            report_json_connection(text, sizeof text, &l->connection);
        } else {
            report_text_connection(text, sizeof text, &l->connection);
        }
        output_line(text);
        free(l);
    }
}

/* Under the lock. */
static void queue_line(struct report *r, const struct report_connection *connection)
{
    if (r->view == REPORT_QUIET) {
        return;
    }
    struct line *l = r->queued < QUEUE_MAX ? malloc(sizeof *l) : NULL;
    if (!l) {
        r->totals.lines_dropped++;
        return;
    }
    *l = (struct line){.connection = *connection};
    *r->last = l;
    r->last = &l->next;
    r->queued++;
    WakeConditionVariable(&r->changed);
}

struct report *report_open(enum report_view view)
{
    struct report *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->view = view;
    r->last = &r->first;
    InitializeSRWLock(&r->lock);
    InitializeConditionVariable(&r->changed);
    if (!worker_start(&r->worker, write_lines, r)) {
        free(r);
        return NULL;
    }
    return r;
}

/* ---- connections */

static struct report_connection look_at(struct report_entry *entry)
{
    struct report_connection c = entry->connection;
    LARGE_INTEGER now, frequency;
    FILETIME time;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    GetSystemTimePreciseAsFileTime(&time);
    c.duration_us = (uint64_t)((double)(now.QuadPart - entry->started.QuadPart) / (double)frequency.QuadPart * 1e6);
    c.end_time = (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
    c.bytes_up = atomic_load(&entry->bytes_up);
    c.bytes_down = atomic_load(&entry->bytes_down);
    return c;
}

struct report_entry *report_begin(struct report *r, const struct report_connection *about)
{
    struct report_entry *entry = calloc(1, sizeof *entry);
    if (!entry) {
        return NULL;
    }
    entry->connection = *about;
    entry->connection.outcome = REPORT_OPEN;
    QueryPerformanceCounter(&entry->started);
    AcquireSRWLockExclusive(&r->lock);
    entry->connection.number = ++r->begun;
    entry->next = r->live;
    if (entry->next) {
        entry->next->previous = entry;
    }
    r->live = entry;
    r->totals.live++;
    if (r->view == REPORT_JSON) {
        struct report_connection c = look_at(entry);
        queue_line(r, &c);
    }
    ReleaseSRWLockExclusive(&r->lock);
    return entry;
}

void report_bytes(struct report_entry *entry, uint64_t up, uint64_t down)
{
    atomic_fetch_add(&entry->bytes_up, up);
    atomic_fetch_add(&entry->bytes_down, down);
}

void report_host(struct report *r, struct report_entry *entry, const char *host)
{
    AcquireSRWLockExclusive(&r->lock);
    strncpy(entry->connection.host, host, sizeof entry->connection.host - 1);
    ReleaseSRWLockExclusive(&r->lock);
}

void report_end(struct report *r, struct report_entry *entry, enum report_outcome outcome, uint32_t os_error)
{
    AcquireSRWLockExclusive(&r->lock);
    if (entry->next) {
        entry->next->previous = entry->previous;
    }
    if (entry->previous) {
        entry->previous->next = entry->next;
    } else {
        r->live = entry->next;
    }
    struct report_connection c = look_at(entry);
    c.outcome = outcome;
    c.os_error = os_error;
    r->ended[r->totals.connections % REMEMBERED] = c;
    r->totals.live--;
    r->totals.connections++;
    r->totals.bytes_up += c.bytes_up;
    r->totals.bytes_down += c.bytes_down;
    r->totals.failed += outcomes[outcome].failed;
    queue_line(r, &c);
    ReleaseSRWLockExclusive(&r->lock);
    free(entry);
}

void report_stranger(struct report *r)
{
    AcquireSRWLockExclusive(&r->lock);
    r->totals.unknown_peers++;
    ReleaseSRWLockExclusive(&r->lock);
}

size_t report_snapshot(struct report *r, struct report_connection *rows, size_t max, struct report_totals *totals)
{
    size_t count = 0;
    AcquireSRWLockShared(&r->lock);
    *totals = r->totals;
    for (struct report_entry *entry = r->live; entry; entry = entry->next) {
        totals->bytes_up += atomic_load(&entry->bytes_up);
        totals->bytes_down += atomic_load(&entry->bytes_down);
        if (count < max) {
            rows[count++] = look_at(entry);
        }
    }
    uint64_t ended = r->totals.connections;
    for (uint64_t i = 0; i < ended && i < REMEMBERED && count < max; i++) {
        rows[count++] = r->ended[(ended - 1 - i) % REMEMBERED];
    }
    ReleaseSRWLockShared(&r->lock);
    return count;
}

void report_close(struct report *r, bool summary)
{
    AcquireSRWLockExclusive(&r->lock);
    r->closing = true;
    ReleaseSRWLockExclusive(&r->lock);
    WakeConditionVariable(&r->changed);
    worker_end(&r->worker);

    if (summary) {
        char text[OUTPUT_LINE_MAX];
        if (r->view == REPORT_JSON) {
            report_json_summary(text, sizeof text, &r->totals);
        } else {
            report_text_summary(text, sizeof text, &r->totals);
        }
        output_line(text);
    }
    free(r);
}
