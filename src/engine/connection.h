/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file connection.h  What becomes of a new connection: its first SYN is decided, at once or after a wait. */
#ifndef ENGINE_CONNECTION_H
#define ENGINE_CONNECTION_H

#include "state.h"

/** A first SYN of no flow. */
enum verdict connection_syn(struct engine *e, struct packet *p, struct packet_meta *meta, uint64_t now_ms);

/** The CLOSE event of a socket that does not listen: its program waits no longer. */
void connection_closed(struct engine *e, const struct socket_event *event, uint64_t now_ms);

/** A CONNECT event. */
void connection_event(struct engine *e, const struct socket_event *event, uint64_t now_ms);

/** Asks for owners, does what was decided, and ends what has waited too long. */
void connection_tick(struct engine *e, uint64_t now_ms);

/** A reading of the TCP table has ended: what has waited for it is decided. `owners`: see engine_table_end(). */
void connection_table_read(struct engine *e, const uint32_t *owners, uint64_t now_ms);

/** The filter was replaced, or could not be: what has waited for that leaves. */
void connection_filter_replaced(struct engine *e, bool ok, uint64_t now_ms);

#endif
