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
 * Owner of the connection whose local end is tuple->src and remote end tuple->dst; 0: unknown. Takes a snapshot of
 * the family (milliseconds on a busy machine).
 */
uint32_t tcptable_owner(struct tcptable *t, const struct tuple *tuple);

/**
 * Calls fn for every LISTEN socket of both families (tuple->src is the listening end; pid 0 where Windows does not
 * say).
 */
typedef void tcptable_listener_fn(void *context, const struct tuple *listener, uint32_t pid);
void tcptable_listeners(struct tcptable *t, tcptable_listener_fn *fn, void *context);

#endif
