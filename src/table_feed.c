/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: between two batches of packets, as many sockets are handed in as fit into SLICE_US. A row costs
 * the engine a fraction of a microsecond, but a listener may cost it questions about a process; so the clock is looked
 * at after each of those, and after some of the others.
 */
#include "table_feed.h"

#include "host.h"

enum { SLICE_US = 300, ROWS_PER_LOOK = 32, START_WAIT_MS = 1000, WARN_MS = 60000 };

static int64_t ticks(void)
{
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    return now.QuadPart;
}

static int64_t ticks_of_slice(void)
{
    LARGE_INTEGER frequency;
    QueryPerformanceFrequency(&frequency);
    return frequency.QuadPart * SLICE_US / 1000000;
}

void table_feed_begin(redirector *r, const struct table_wanted *wanted)
{
    table_reader_ask(r->table_reader, wanted);
}

/* What could not be read. */
static void note_failure(redirector *r)
{
    uint64_t now_ms = host_now_ms();
    atomic_fetch_add_explicit(&r->table_failures, 1, memory_order_relaxed);
    if (!r->table_warned_ms || now_ms - r->table_warned_ms >= WARN_MS) {
        r->table_warned_ms = now_ms;
        log_line(r->log, REDIRECTOR_LOG_WARN,
                 "Windows does not give the TCP table: connections whose events are late pass directly");
    }
}

static void end(redirector *r)
{
    bool whole = table_reader_is_whole(r->table_reader);
    if (!whole) {
        note_failure(r);
    }
    r->table_feeding = false;
    host_take_process_events(r); /* whose connections they are, too */
    engine_table_end(r->engine, table_reader_owners(r->table_reader), whole, host_now_ms());
    table_reader_done(r->table_reader);
}

/* true: there are more. */
static bool hand_in(redirector *r, int64_t until)
{
    struct tcptable_row row;
    bool sockets = table_reader_has_sockets(r->table_reader);
    for (uint32_t rows = 1; table_reader_next(r->table_reader, &row); rows++) {
        if (row.listens) {
            engine_listener(r->engine, &row.tuple, row.pid);
        } else if (sockets) {
            engine_socket(r->engine, &row.tuple);
        }
        if ((row.listens || rows % ROWS_PER_LOOK == 0) && ticks() >= until) {
            return true;
        }
    }
    return false;
}

bool table_feed_slice(redirector *r)
{
    if (!r->table_feeding && !table_reader_has_answer(r->table_reader, 0)) {
        return false;
    }
    int64_t until = ticks() + ticks_of_slice();
    if (!r->table_feeding) {
        r->table_feeding = true;
        host_take_process_events(r); /* whose listeners they are is judged by them */
    }
    if (hand_in(r, until)) {
        return true;
    }
    end(r);
    return false;
}

void table_feed_at_start(redirector *r)
{
    if (table_reader_has_answer(r->table_reader, START_WAIT_MS)) {
        while (table_feed_slice(r)) {
        }
    }
}
