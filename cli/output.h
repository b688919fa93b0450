/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file output.h
 * All output of the program: whole lines to standard error, help and version to standard output.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

enum { OUTPUT_LINE_MAX = 4096 }; /**< longest line in bytes; longer ones are cut */

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
