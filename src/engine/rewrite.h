/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file rewrite.h
 * Giving a packet another 4-tuple. Nothing but addresses, ports and checksums changes (O6; segment_size.h
 * has the exception).
 */
#ifndef ENGINE_REWRITE_H
#define ENGINE_REWRITE_H

#include "packet.h"

/** What the change of a tuple does to the checksums. The reverse direction uses the complements. */
struct rewrite_delta {
    uint16_t ip;  /* IPv4 header: addresses */
    uint16_t tcp; /* TCP and UDP: addresses (pseudo-header) and ports */
};

struct rewrite_delta rewrite_delta_between(const struct tuple *from, const struct tuple *to);
struct rewrite_delta rewrite_delta_reversed(struct rewrite_delta d);

/**
 * Gives the packet the addresses and ports of which `answer` has the reverse; p->tuple stays as it was, and only its
 * family is looked at. Checksums whose flag says "valid" are adjusted by the difference, at a cost that does not depend
 * on the payload; an adjusted wrong sum stays wrong, so that damage is not hidden. The IPv4 header sum is
 * computed when its flag is unset, since its 20 bytes cost nothing and a driver was reported to lose a loopback
 * packet without it. A TCP sum whose flag is unset is left to the driver, which computes it on sending.
 */
void rewrite_apply(struct packet *p, struct packet_meta *meta, const struct tuple *answer, struct rewrite_delta delta);

/**
 * The same of a datagram. No sum (0, over IPv4) stays none, and a sum that becomes 0 is written as 0xffff (RFC 768). The
 * sum of a fragment is adjusted whatever its flag says, because no driver can compute it.
 */
void rewrite_datagram(struct packet *p, struct packet_meta *meta, const struct tuple *answer,
                      struct rewrite_delta delta, bool fragment);

/** Addresses alone: of a fragment that has no ports, or of a quoted header. */
void rewrite_addresses(uint8_t *ip, uint32_t family, const struct tuple *answer);

/** Gives a fragment, whose identification stands at `field`, another one: the lower 16 bits of it over IPv4. */
void rewrite_identification(uint8_t *ip, uint32_t family, uint8_t *field, uint32_t id);

/** Writes an IP header of t's addresses into bytes that are 0, the sum left out. Returns its length. */
uint32_t rewrite_header(uint8_t *out, const struct tuple *t, uint8_t protocol, uint32_t payload);

#endif
