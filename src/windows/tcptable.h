/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file tcptable.h
 * Who owns a TCP socket, by GetExtendedTcpTable (iphlpapi.dll, resolved at run time from the system folder).
 */
#ifndef WINDOWS_TCPTABLE_H
#define WINDOWS_TCPTABLE_H

#include "engine/types.h"

#include <stdbool.h>
#include <stdint.h>

struct tcptable; /* keeps the snapshot's memory between calls */

struct tcptable *tcptable_open(void); /* NULL: no memory, or no such function */
void tcptable_close(struct tcptable *t);

/**
 * Owners of the connections whose local ends are tuples[].src and remote ends tuples[].dst; a tuple without scope fits
 * any. Sets the pid of each that is known, and leaves the others. Takes one snapshot of each family that is asked for
 * (milliseconds on a busy machine), however many they are.
 */
void tcptable_owners(struct tcptable *t, const struct tuple *tuples, uint32_t count, uint32_t *pids);

/**
 * One socket, with the scope of its link-local addresses: row->src is its local end, row->dst the remote one (zero for a listener); pid 0 where Windows does not
 * say.
 */
typedef void tcptable_row_fn(void *context, const struct tuple *row, uint32_t pid);

/** Calls fn for every listening socket of both families; false: the table of a family could not be read. */
bool tcptable_listeners(struct tcptable *t, tcptable_row_fn *fn, void *context);

/** Likewise for every socket that is not listening. */
bool tcptable_sockets(struct tcptable *t, tcptable_row_fn *fn, void *context);

#endif
