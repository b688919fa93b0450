/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file udp.h  A packet of UDP is decided, held, released (U1 to U4). */
#ifndef ENGINE_UDP_H
#define ENGINE_UDP_H

#include "udp_flows.h"

/** false: no memory. e->udp is then NULL, as it is without a udp_port. */
bool udp_open(struct engine *e);
void udp_close(struct engine *e);

/** One packet; `length` bytes. */
enum verdict udp_packet(struct engine *e, struct packet_meta *meta, uint8_t *data, uint32_t length, uint64_t now_ms);

/** What was held leaves, if its owner is known by now; at its deadline (or with `all`) in any case. */
void udp_release(struct engine *e, bool all, uint64_t now_ms);

/** Wants the UDP table for those that have waited for half of their time. */
void udp_ask(struct engine *e, uint64_t now_ms);

/** When the next held datagram has to be looked at; UINT64_MAX: none is held. */
uint64_t udp_next_due_ms(const struct engine *e);

#endif
