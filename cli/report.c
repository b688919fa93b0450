/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The report. Its lines go to the queue of output.h, so no connection waits for whoever reads them; lines that were
 * lost are counted, and the summary says so.
 *
 * A live connection is an entry in a list; its owner adds to the entry's counters without a lock, and everybody else
 * reads under the lock. A few that have ended are remembered for those who look at the whole.
 */
#include "report.h"

#include "output.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum { REMEMBERED = 64 };

struct report_entry {
    struct report_entry *next, *previous; /* while it lives */
    LARGE_INTEGER started;
    atomic_ullong bytes_up, bytes_down;
    struct report_connection connection; /* all but the bytes */
};

struct report {
    enum report_view view;
    atomic_ullong datagrams[REPORT_DATAGRAMS_KINDS];
    SRWLOCK lock; /* guards what follows */
    struct report_entry *live;
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

const char *report_datagrams_name(enum report_datagrams what)
{
    static const char *const names[] = {
#define REPORT_DATAGRAMS_ROW(name, counter) [REPORT_##name] = #counter,
        REPORT_DATAGRAMS_LIST(REPORT_DATAGRAMS_ROW)
#undef REPORT_DATAGRAMS_ROW
    };
    return names[what];
}

/* Under the lock, so that the lines come in the order of the connections. */
static void show(const struct report *r, const struct report_connection *connection)
{
    char text[OUTPUT_LINE_MAX];
    if (r->view == REPORT_QUIET) {
        return;
    }
    if (r->view == REPORT_JSON) {
        report_json_connection(text, sizeof text, connection);
    } else {
        report_text_connection(text, sizeof text, connection);
    }
    output_line(text);
}

struct report *report_open(enum report_view view)
{
    struct report *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->view = view;
    InitializeSRWLock(&r->lock);
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
        show(r, &c);
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

void report_upstream(struct report *r, struct report_entry *entry, const char *upstream)
{
    AcquireSRWLockExclusive(&r->lock);
    snprintf(entry->connection.upstream, sizeof entry->connection.upstream, "%s", upstream);
    ReleaseSRWLockExclusive(&r->lock);
}

void report_dns(struct report *r, struct report_entry *entry, const char *text,
                void (*add)(char all[REPORT_DNS_MAX], const char *text))
{
    AcquireSRWLockExclusive(&r->lock);
    add(entry->connection.dns, text);
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
    show(r, &c);
    ReleaseSRWLockExclusive(&r->lock);
    free(entry);
}

void report_stranger(struct report *r)
{
    AcquireSRWLockExclusive(&r->lock);
    r->totals.unknown_peers++;
    ReleaseSRWLockExclusive(&r->lock);
}

void report_datagram(struct report *r, enum report_datagrams what)
{
    atomic_fetch_add(&r->datagrams[what], 1);
}

static void copy_datagrams(struct report *r, struct report_totals *totals)
{
    for (int i = 0; i < REPORT_DATAGRAMS_KINDS; i++) {
        totals->datagrams[i] = atomic_load(&r->datagrams[i]);
    }
}

size_t report_snapshot(struct report *r, struct report_connection *rows, size_t max, struct report_totals *totals)
{
    size_t count = 0;
    AcquireSRWLockShared(&r->lock);
    *totals = r->totals;
    totals->lines_dropped = output_lost();
    copy_datagrams(r, totals);
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
    if (summary) {
        char text[OUTPUT_LINE_MAX];
        output_drain();
        r->totals.lines_dropped = output_lost();
        copy_datagrams(r, &r->totals);
        if (r->view == REPORT_JSON) {
            report_json_summary(text, sizeof text, &r->totals);
        } else {
            report_text_summary(text, sizeof text, &r->totals);
        }
        output_line(text);
    }
    free(r);
}
