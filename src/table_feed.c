/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: between two batches of packets, as many sockets of each table are handed in as fit into SLICE_US. A
 * row costs the engine a fraction of a microsecond, but a listener, or a UDP socket, may cost it questions about a
 * process; so the clock is looked at after each of those, and after some of the others.
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

void table_feed_begin(struct table_feed *feed, const struct table_wanted *wanted)
{
    feed->asked = true;
    table_reader_ask(feed->reader, wanted);
}

/* What could not be read. */
static void note_failure(redirector *r, struct table_feed *feed)
{
    uint64_t now_ms = host_now_ms();
    atomic_fetch_add_explicit(&r->table_failures, 1, memory_order_relaxed);
    if (!feed->warned_ms || now_ms - feed->warned_ms >= WARN_MS) {
        feed->warned_ms = now_ms;
        log_line(r->log, REDIRECTOR_LOG_WARN,
                 "Windows does not give the %s table: %s whose events are late pass directly",
                 feed == &r->udp_table ? "UDP" : "TCP", feed == &r->udp_table ? "datagrams" : "connections");
    }
}

static void end(redirector *r, struct table_feed *feed)
{
    bool whole = table_reader_is_whole(feed->reader);
    if (!whole) {
        note_failure(r, feed);
    }
    feed->asked = feed->under_way = false;
    host_take_process_events(r); /* whose connections they are, too */
    if (feed == &r->udp_table) {
        engine_udp_table_end(r->engine, whole, host_now_ms());
    } else {
        engine_table_end(r->engine, table_reader_owners(feed->reader), whole, host_now_ms());
    }
    table_reader_done(feed->reader);
}

/* true: there are more. */
static bool hand_in(redirector *r, struct table_feed *feed, int64_t until)
{
    struct tcptable_row row;
    bool udp = feed == &r->udp_table, sockets = table_reader_has_sockets(feed->reader);
    for (uint32_t rows = 1; table_reader_next(feed->reader, &row); rows++) {
        if (udp) {
            engine_udp_socket(r->engine, &row.tuple, row.pid);
        } else if (row.listens) {
            engine_listener(r->engine, &row.tuple, row.pid);
        } else if (sockets) {
            engine_socket(r->engine, &row.tuple);
        }
        if ((udp || row.listens || rows % ROWS_PER_LOOK == 0) && ticks() >= until) {
            return true;
        }
    }
    return false;
}

static bool slice_of(redirector *r, struct table_feed *feed)
{
    if (!feed->asked || (!feed->under_way && !table_reader_has_answer(feed->reader, 0))) {
        return false;
    }
    int64_t until = ticks() + ticks_of_slice();
    if (!feed->under_way) {
        feed->under_way = true;
        host_take_process_events(r); /* whose sockets they are is judged by them */
    }
    if (hand_in(r, feed, until)) {
        return true;
    }
    end(r, feed);
    return false;
}

bool table_feed_slice(redirector *r)
{
    bool more = slice_of(r, &r->tcp_table);
    return slice_of(r, &r->udp_table) || more;
}

void table_feed_at_start(redirector *r)
{
    struct table_feed *feeds[] = {&r->tcp_table, &r->udp_table};
    for (int i = 0; i < 2; i++) {
        if (feeds[i]->asked && table_reader_has_answer(feeds[i]->reader, START_WAIT_MS)) {
            while (slice_of(r, feeds[i])) {
            }
        }
    }
}
