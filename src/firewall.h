/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file firewall.h
 * A redirector and the firewall: the permit for what it sends on, and what the log says of both.
 */
#ifndef FIREWALL_H
#define FIREWALL_H

#include <stdbool.h>

struct redirector;

/** Asks for the permit, unless REDIRECTOR_NO_FIREWALL_PERMIT; takes no time. The driver's DLL must be loaded. */
void firewall_begin(struct redirector *r);

/**
 * Waits until the permit is in force, at most a second, and logs a warning if it is not, or if a profile of the firewall
 * blocks outbound connections. To be called before packets are captured.
 */
void firewall_ready(struct redirector *r);

/** Whether the permit is in force now. */
bool firewall_permit_holds(const struct redirector *r);

/** Takes the permit back. To be called when the packet handles are closed; blocks for 200 ms at most. */
void firewall_end(struct redirector *r);

/** The same, where nobody may wait: the platform is told by a thread of its own. */
void firewall_leave(struct redirector *r);

#endif
