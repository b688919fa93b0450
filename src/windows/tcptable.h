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

struct tcptable; /* keeps the snapshot's memory between readings; for one thread at a time */

struct tcptable *tcptable_open(void); /* NULL: no memory, or no such function */
void tcptable_close(struct tcptable *t);

/**
 * Takes a snapshot of both families: of the listeners, or of all sockets. Milliseconds on a busy machine. false: that of
 * a family could not be had, and is empty.
 */
bool tcptable_read(struct tcptable *t, bool all);

/**
 * In the snapshot of all: owners of the connections whose local ends are tuples[].src and remote ends tuples[].dst; a
 * tuple without scope fits any. Sets the pid of each that is known, and leaves the others.
 */
void tcptable_owners(struct tcptable *t, const struct tuple *tuples, uint32_t count, uint32_t *pids);

/** One socket. */
struct tcptable_row {
    struct tuple tuple; /* src: its local end; dst: the remote one, zero for a listener; the scope if link-local */
    uint32_t pid;       /* 0: Windows does not say */
    bool listens;
};

/** The next row of the snapshot; false: there is none. */
bool tcptable_next(struct tcptable *t, struct tcptable_row *row);

#endif
