/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file tcp_table.h
 * When the TCP table is read, and what a reading can answer.
 *
 * A reading takes milliseconds on a busy machine, so it is done beside the engine's thread; the engine never waits for
 * it, and what it finds is handed in in slices. One is under way at a time. A reading tells of what was there when it
 * began: so it answers only those who wanted one before that, and what events have told since then is newer.
 */
#ifndef ENGINE_TCP_TABLE_H
#define ENGINE_TCP_TABLE_H

#include "state.h"

/** Longer than that no SYN waits for an answer. */
enum { TCP_TABLE_PATIENCE_MS = 250 };

/** Whether there are listeners and sockets to be had; if not, the proxy is taken to listen. */
static inline bool tcp_table_lists(const struct engine *e)
{
    return e->host.read_table && !e->host.owners_only;
}

/** A reading that begins from now on is wanted: of the listeners, or of all sockets. */
void tcp_table_want(struct engine *e, bool sockets);

/** The number of the first reading that begins from now on. */
static inline uint32_t tcp_table_next(const struct engine *e)
{
    return e->readings.number + 1;
}

/** The one that is under way takes so long that there is no point in waiting for another. */
static inline bool tcp_table_hangs(const struct engine *e, uint64_t now_ms)
{
    return e->readings.under_way && now_ms - e->readings.begun_ms >= TCP_TABLE_PATIENCE_MS;
}

/** Begins the reading that is wanted, unless one is under way, with the questions of all SYNs that wait for it. */
void tcp_table_begin(struct engine *e, uint64_t now_ms);

/** The one that was under way has ended. */
void tcp_table_end(struct engine *e);

#endif
