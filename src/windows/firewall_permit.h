/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file firewall_permit.h
 * A permit in the Windows filtering platform for the packets that the driver sends on.
 *
 * Windows judges an outbound packet that a driver has injected as a connection of its own, made by "System" with
 * protocol 255 (reserved), or perhaps TCP by a raw endpoint. Where outbound connections are blocked unless a program is
 * allowed, such a packet is blocked, although its program was allowed before its SYN existed. The permit is for these
 * packets alone.
 *
 * All calls into Windows are made on a thread of the permit's own, because they wait for a service (BFE) that may be
 * busy: nobody waits longer than he says.
 */
#ifndef WINDOWS_FIREWALL_PERMIT_H
#define WINDOWS_FIREWALL_PERMIT_H

#include <stdbool.h>
#include <stdint.h>

struct firewall_permit;

enum firewall_permit_state {
    FIREWALL_PERMIT_WAITS,  /* the filtering engine has not answered yet */
    FIREWALL_PERMIT_HOLDS,  /* in force */
    FIREWALL_PERMIT_FAILED, /* could not be had */
};

/** Begins to ask for a permit. NULL: no memory. The library must stay loaded until the process ends. */
struct firewall_permit *firewall_permit_begin(void);

/** Waits until it is in force or has failed, for wait_ms at most. Any thread. */
enum firewall_permit_state firewall_permit_wait(const struct firewall_permit *p, uint32_t wait_ms);

/** Of a permit that has failed: the name of the function that failed, and what it returned (a Windows error). */
const char *firewall_permit_failure(const struct firewall_permit *p, uint32_t *os_error);

/**
 * Ends the permit and frees it; NULL is fine. Waits for wait_ms at most; a filtering engine that takes longer is left to
 * the permit's thread, which takes the permit back when it can. Windows does so when the process ends.
 */
void firewall_permit_end(struct firewall_permit *p, uint32_t wait_ms);

#endif
