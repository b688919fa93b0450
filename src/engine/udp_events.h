/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file udp_events.h  What concerns UDP besides packets: events, the table, time. Nothing is done without a udp_port. */
#ifndef ENGINE_UDP_EVENTS_H
#define ENGINE_UDP_EVENTS_H

#include "state.h"

void udp_events_take(struct engine *e, const struct socket_event *event, uint64_t now_ms);

/** The policy may say something else of this process, or of any (pid 0). */
void udp_events_judge(struct engine *e, uint32_t pid);

/** Begins the reading of the UDP table that is wanted. */
void udp_events_read_table(struct engine *e, uint64_t now_ms);
void udp_events_tick(struct engine *e, uint64_t now_ms);
void udp_events_stop(struct engine *e, uint64_t now_ms);
void udp_events_renew_filter(struct engine *e);

#endif
