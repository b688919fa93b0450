/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file table_reader.h
 * Reads the TCP table, or that of UDP, on a thread of its own, because that takes milliseconds on a machine with many
 * sockets. One reading at a time; what it has found is walked over by the engine's thread, in portions.
 */
#ifndef WINDOWS_TABLE_READER_H
#define WINDOWS_TABLE_READER_H

#include "engine/engine.h"
#include "windows/tcptable.h"

struct table_reader;

/**
 * For the table of PROTOCOL_TCP or PROTOCOL_UDP. `wake` (HANDLE of an event) is set when a reading has ended; it is
 * duplicated. NULL: no memory.
 */
struct table_reader *table_reader_start(void *wake, uint8_t protocol);

/** Begins a reading. Not before the last one is done with. Of UDP it tells of all sockets, and no owners. */
void table_reader_ask(struct table_reader *r, const struct table_wanted *wanted);

/** Whether it has ended, and was not done with yet. Waits for that at most so long. */
bool table_reader_has_answer(struct table_reader *r, uint32_t wait_ms);

/**
 * What a reading that has ended has found: its sockets, one by one (false: there are no more); the owners that were
 * asked for (0: unknown); whether it is whole.
 */
bool table_reader_next(struct table_reader *r, struct tcptable_row *row);
const uint32_t *table_reader_owners(const struct table_reader *r);
bool table_reader_is_whole(const struct table_reader *r);
bool table_reader_has_sockets(const struct table_reader *r); /* all were asked for, not just the listeners */

/** Done with it: the next one may begin. */
void table_reader_done(struct table_reader *r);

/** Ends it, within a tenth of a second: a thread that hangs in Windows is left to itself. NULL is fine. */
void table_reader_stop(struct table_reader *r);

#endif
