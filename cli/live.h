/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file live.h
 * A list of the connections on the terminal that keeps itself up to date.
 */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include "report.h"

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

struct live;

/** Whether standard error is a terminal. */
bool live_possible(void);

/** Takes over the terminal. NULL: it is not possible, and nothing has changed. */
struct live *live_start(struct report *report);

/** Restores the terminal. NULL is fine. */
void live_stop(struct live *l);

/* live_format.c: the lines, exactly `width` characters and a NUL; each character takes one place. */
void live_format_totals(wchar_t *out, size_t width, const struct report_totals *totals);
void live_format_heading(wchar_t *out, size_t width);
void live_format_row(wchar_t *out, size_t width, const struct report_connection *c);
void live_format_foot(wchar_t *out, size_t width, size_t hidden);

#endif
