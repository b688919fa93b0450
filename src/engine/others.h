/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file others.h
 * Connections that another redirector leads (O7).
 *
 * Theory of operation: of two redirectors the one whose handles have the higher priority sees a SYN first. What it
 * passes comes to the lower one like any packet. What it redirects comes with other addresses or another port, and no
 * CONNECT event has ever told of that tuple. But the event of the program's own connection has come, and its SYN has
 * not; source port and family are the same, and so is the rest, as a redirector changes it:
 *
 *   over loopback     both addresses have become loopback
 *   by reflection     the two addresses are swapped
 *   incoming          only the destination port is another
 *
 * Such a SYN passes at once. That it is led by another is noted with the event, so that it counts once.
 *
 * If it was on its way to a listener of this tree, too, the other one's agent is about to connect to that listener, and
 * this connection has to reach it: were it redirected, the next agent's would be the other's again, without end. So the
 * process that listens where the SYN goes is remembered.
 */
#ifndef ENGINE_OTHERS_H
#define ENGINE_OTHERS_H

#include "held.h"

/** Whether this SYN, of whose tuple nothing is known, is a connection's that another redirector leads. */
bool others_lead(struct engine *e, const struct attempt *a);

/** Whether the process is an agent that has led a connection to a listener of this tree. */
bool others_agent(const struct engine *e, uint32_t pid);

/**
 * A CONNECT event whose SYN has not come under its tuple (the event's, with its scope): a SYN that is held may be it, as
 * another has changed it. What is pending for it from now on; PENDING_NONE: there is no room.
 */
uint32_t others_event(struct engine *e, const struct socket_event *event, const struct tuple *tuple, bool redirected,
                      uint64_t now_ms);

#endif
