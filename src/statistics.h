/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file statistics.h  What redirector_get_stats() tells: the counters of engine, driver, lookups and log (S6). */
#ifndef STATISTICS_H
#define STATISTICS_H

#include "service.h"

/** Any thread. */
void statistics_read(redirector *r, redirector_stats *out);

/** All but log_lines_dropped, which takes the stop lock. */
void statistics_counters(redirector *r, redirector_stats *out);

#endif
