/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file log.h
 * The log: lines are put into a bounded ring and written by a separate thread, so that logging never blocks the packet
 * path (S5). When the ring is full, lines are dropped and counted; the count is logged when there is room again.
 *
 * File: opened for append, shared (several redirectors may write to one file); never through a link (a reparse point,
 * or a file with more than one name, is refused, S7); rotated to "<path>.1" at LOG_FILE_MAX. Level off: no file. A log
 * that can no longer be written (disk full) affects nothing else.
 */
#ifndef LOG_H
#define LOG_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

enum { LOG_FILE_MAX = 4 * 1024 * 1024, LOG_LINE_MAX = 320, LOG_RING_LINES = 1024 };

struct log;

/**
 * Path, level and callback as in redirector_config (the environment is read here). NULL on failure with *error
 * (LOG_FAILED, INVALID_ARGUMENT, NO_MEMORY); else its code is OK. Then os_error is 0, or says why a log for which no
 * path was given is not in the current folder, and the text where it is.
 */
struct log *log_open(const char *path, uint32_t level, redirector_log_fn *fn, void *context, redirector_error *error);

/**
 * Writes what is in the ring, ends the thread, closes the file. NULL is fine. Takes at most 200 ms: a file that hangs
 * is left to the thread.
 */
void log_close(struct log *log);

/** Whether a line of this level would be written; checked before costly formatting. */
bool log_wants(const struct log *log, uint32_t level);

/**
 * Queues one line; time and level are added when it is written. Control characters are replaced. Any thread; never
 * blocks.
 */
void log_line(struct log *log, uint32_t level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Lines that were dropped or could not be written. Any thread; 0 for NULL. */
uint64_t log_lines_dropped(const struct log *log);

#endif
