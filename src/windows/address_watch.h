/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file address_watch.h
 * The addresses of this machine, read again whenever they have changed, on a thread of its own (iphlpapi.dll, resolved
 * at run time from the system folder).
 */
#ifndef WINDOWS_ADDRESS_WATCH_H
#define WINDOWS_ADDRESS_WATCH_H

#include "engine/own_addresses.h"

struct address_watch;

/**
 * Begins to read the addresses, and watches them. `wake` (HANDLE of an event) is set when there are others; it is
 * duplicated. NULL: no memory.
 */
struct address_watch *address_watch_start(void *wake);

/** Waits for the first reading, at most so long, before anything is taken. false: Windows does not tell, so far. */
bool address_watch_await(struct address_watch *w, uint32_t wait_ms);

/** The newest addresses, which are the caller's from now on; NULL: they are those that were taken last. Any thread. */
struct own_addresses *address_watch_take(struct address_watch *w);

/** Ends it, within a tenth of a second: a thread that hangs in Windows is left to itself. NULL is fine. */
void address_watch_stop(struct address_watch *w);

#endif
