/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file checksum.h
 * Internet checksums (RFC 1071), in full and by difference (RFC 1624).
 *
 * A difference is the one's complement sum of (~old + new) over the 16-bit words that change. Applying the complement
 * of a difference undoes it, so that one value serves both directions of a flow.
 */
#ifndef ENGINE_CHECKSUM_H
#define ENGINE_CHECKSUM_H

#include "packet.h"

/** Folds a sum of 16-bit words to 16 bits. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/** Difference between two addresses or other even-sized fields of `size` bytes. */
uint16_t checksum_difference(const void *old_bytes, const void *new_bytes, uint32_t size);

/** Sum of two differences. */
static inline uint16_t checksum_add(uint16_t a, uint16_t b)
{
    return checksum_fold((uint64_t)a + b);
}

/** Applies a difference to a checksum field. */
static inline void checksum_adjust(uint8_t *field, uint16_t difference)
{
    uint32_t sum = 0xffffu - load_raw16(field) + difference;
    sum += sum >> 16; /* two words: one carry at most, and it does not carry again */
    store_raw16(field, (uint16_t)~sum);
}

/** Writes the IPv4 header checksum (nothing to do for IPv6). */
void checksum_ip_header(struct packet *p);

/**
 * Writes the checksum of a message to `field` within it: with the pseudo-header of this protocol, or (0) without one.
 */
void checksum_message(const uint8_t *ip, uint8_t *message, uint32_t length, uint32_t protocol, uint8_t *field);

/** Writes the TCP checksum, pseudo-header and payload included. */
void checksum_tcp(struct packet *p);

#endif
