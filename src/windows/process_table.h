/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file process_table.h
 * All processes at one moment, and what has come since the moment before: for trees of which the kernel keeps no job.
 */
#ifndef WINDOWS_PROCESS_TABLE_H
#define WINDOWS_PROCESS_TABLE_H

#include "engine/types.h"

struct process_table {
    struct process_facts *all; /* the oldest first; parent.created is 0 if the parent is not among them, or younger */
    uint32_t count;
    bool unborn; /* others are about to begin, and have no time of creation yet */
};

/** Reads them. false: no memory, or Windows does not tell; *t is as it was. */
bool process_table_read(struct process_table *t);
void process_table_free(struct process_table *t);

/** Leaves of `now` those that are not in `before`. */
void process_table_subtract(struct process_table *now, const struct process_table *before);

/** A copy; false: no memory. */
bool process_table_copy(const struct process_table *from, struct process_table *to);

/** Puts `later` behind `t`, and frees it; false: no memory, and it is lost. */
bool process_table_append(struct process_table *t, struct process_table *later);

#endif
