/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file segment_size.h
 * Larger segments on the way from the proxy to the program (O6).
 *
 * That way never leaves the machine, yet what the proxy sends is cut to what the program's network card could carry,
 * because the program's SYN says so in its MSS option (RFC 9293, 3.7.1). So the SYN that the proxy sees says what
 * loopback carries, and its answers cross the driver in few packets, which the program receives as it receives those
 * that its card has coalesced.
 */
#ifndef ENGINE_SEGMENT_SIZE_H
#define ENGINE_SEGMENT_SIZE_H

#include "state.h"

/** The largest segments of loopback: IPv4 states a packet's length in 16 bits, IPv6 that of what follows its header. */
enum { SEGMENT_SIZE_MAX_IP4 = 65535 - 40, SEGMENT_SIZE_MAX_IP6 = 65535 - 20 - 40 };

/** When the engine is opened. */
void segment_size_init(struct engine *e);

/** What a proof has seen of them in this family. */
void segment_size_proven(struct engine *e, uint32_t family, bool arrive);

/**
 * A flow's SYN or SYN-ACK, with its new addresses already: has its MSS option, if it has one, say how large segments
 * may be between program and proxy.
 */
void segment_size_offer(struct engine *e, uint32_t id, enum leg leg, struct packet *p, const struct packet_meta *meta);

/**
 * A reply that is larger than the program said, with its new addresses already. true: such packets do not reach it, so
 * this one was sent in pieces that do, and must not be sent.
 */
bool segment_size_cut(struct engine *e, uint32_t id, struct packet *p, const struct packet_meta *meta);

#endif
