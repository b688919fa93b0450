/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file udptable.h
 * Who owns a UDP socket, by GetExtendedUdpTable (iphlpapi.dll, resolved at run time from the system folder).
 */
#ifndef WINDOWS_UDPTABLE_H
#define WINDOWS_UDPTABLE_H

#include "engine/types.h"

struct udptable; /* keeps the snapshot's memory between readings; for one thread at a time */

struct udptable *udptable_open(void); /* NULL: no memory, or no such function */
void udptable_close(struct udptable *t);

/** Takes a snapshot of both families. Milliseconds on a busy machine. false: that of a family could not be had. */
bool udptable_read(struct udptable *t);

/** The next socket of the snapshot (src: its local end; pid 0: Windows does not say); false: there is none. */
bool udptable_next(struct udptable *t, struct tuple *local, uint32_t *pid);

#endif
