/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file output.h
 * All output of the program: whole lines to standard error, help and version to standard output.
 *
 * Whoever reads standard error may stand still: a console does while its user marks text, a pipe does while its reader
 * is busy or hangs. Between output_open() and output_close() nobody waits for that reader.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

enum { OUTPUT_LINE_MAX = 8192 }; /**< longest line in bytes; longer ones are cut */

/* output_queue.c */

/** From now on lines to standard error go by a queue, which a thread of its own writes. False: no thread. */
bool output_open(void);

/** Waits until all lines are written, for a limited time; those that are not written then are lost. */
void output_drain(void);

/** Lines that were lost so far, because the reader did not keep up, or is gone. Any thread. */
uint64_t output_lost(void);

/** Writes the last lines, for a limited time; if the reader stands still, there is no output any more. Fine without
 * output_open(). */
void output_close(void);

/** For output.c: takes a line over. False: there is no queue, so it is to be written at once. */
bool output_enqueue(const char *utf8);

/* output.c */

/** For output_queue.c: writes a line to standard error, and may wait for its reader. False: it was not written. */
bool output_write(const char *utf8);

/** One line to standard error (the line end is added). Control characters are replaced. Any thread. */
void output_line(const char *utf8);

/** As output_line(), formatted, with "redirector: " before it. */
void output_message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** From now on messages are JSON objects, so that every line on standard error is one. */
void output_messages_as_json(void);

/** As output_line(), to standard output: what a command was asked for. */
void output_result(const char *utf8);

/** Text to standard output, as it is: only for constant texts. */
void output_text(const char *utf8);

#endif
