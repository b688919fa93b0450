/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file report.h
 * What the user sees of the connections: a line for each one at its end, and a summary.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "windows_redirector.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

/** How a connection ended: name, what the user reads, and whether the summary counts it as failed. */
#define REPORT_OUTCOME_LIST(X)                                                                                         \
    X(CLOSED, "closed", false)                                                                                         \
    X(CLIENT_RESET, "reset by program", false)                                                                         \
    X(SERVER_RESET, "reset by destination", false)                                                                     \
    X(STOPPED, "stopped", false)                                                                                       \
    X(REFUSED, "refused", true)                                                                                        \
    X(TIMED_OUT, "timed out", true)                                                                                    \
    X(UNREACHABLE, "unreachable", true)                                                                                \
    X(FAILED, "failed", true)

typedef enum report_outcome {
#define REPORT_OUTCOME_ENUM(name, text, failed) REPORT_##name,
    REPORT_OUTCOME_LIST(REPORT_OUTCOME_ENUM)
#undef REPORT_OUTCOME_ENUM
} report_outcome;

/** A connection that is over. */
typedef struct report_connection {
    uint64_t end_time; /**< UTC, as FILETIME */
    uint64_t duration_us;
    uint32_t pid;
    wchar_t process[260];           /**< file name of the process; empty: not known */
    redirector_address destination; /**< where it was going */
    uint64_t bytes_up;              /**< passed on from the program to the destination */
    uint64_t bytes_down;            /**< passed on from the destination to the program */
    report_outcome outcome;
    uint32_t os_error; /**< Winsock error behind the outcome, 0: none */
} report_connection;

typedef struct report_totals {
    uint64_t connections;
    uint64_t bytes_up;
    uint64_t bytes_down;
    uint64_t failed;
    uint64_t strangers;  /**< connections to the relay that are nobody's */
    uint64_t lines_lost; /**< connections without a line, because standard error could not keep up */
} report_totals;

typedef struct report report;

/** NULL: no memory or no thread. */
report *report_open(bool json);

/** Shows a connection. Never waits for the output. Any thread. */
void report_add(report *r, const report_connection *connection);

/** Counts a stranger. Any thread. */
void report_stranger(report *r);

/** Shows what is left and, if wanted, the summary; then frees. */
void report_close(report *r, bool summary);

/* report_format.c: the lines themselves, without line end, never longer than OUTPUT_LINE_MAX */
void report_format_connection(char *out, size_t size, const report_connection *connection, bool json);
void report_format_summary(char *out, size_t size, const report_totals *totals, bool json);

#endif
