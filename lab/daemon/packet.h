/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * IP packets: where the headers are, and checksums. Pure functions on the caller's bytes.
 */
#ifndef LAB_PACKET_H
#define LAB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pointers are into the parsed bytes, or NULL where the packet has no such (complete) header. */
struct packet {
    const uint8_t *data;
    uint32_t length;
    const uint8_t *ip, *ipv6;
    const uint8_t *icmp, *icmpv6, *tcp, *udp;
    const uint8_t *transport; /* what follows the IP headers; NULL in a non-first fragment */
    uint32_t transport_length;
    const uint8_t *payload; /* of TCP or UDP */
    uint32_t payload_length;
    uint8_t protocol;
    bool fragment;
};

/* Which sums are meant. */
enum { SUM_IP = 1, SUM_TCP = 2, SUM_UDP = 4, SUM_ALL = 7 };

static inline uint16_t read16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t read32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* False: not exactly one well-formed IPv4 or IPv6 packet. Such packets match no filter. */
bool packet_parse(struct packet *packet, const void *data, size_t length);

/*
 * Length that the header claims: IPv4 total length, IPv6 payload length + 40; 0 if the version is
 * neither. At least 20 bytes must be there.
 */
uint32_t packet_claimed_length(const uint8_t *data);

/* Source or destination as WinDivert writes it: word 0 least significant, IPv4 mapped. */
void packet_address(const struct packet *packet, bool source, uint32_t address[4]);

/* 0 where there are no ports. */
uint16_t packet_port(const struct packet *packet, bool source);

/* Writes the sums named by the mask. Sums of headers that are not there are ignored. */
void packet_set_checksums(uint8_t *data, size_t length, unsigned sums);

/*
 * What a stack leaves to an offloading card: IPv4 header sum 0, TCP/UDP sum that of the
 * pseudo-header alone, not inverted. Of the given sums.
 */
void packet_set_partial_checksums(uint8_t *data, size_t length, unsigned sums);

bool packet_checksums_right(const struct packet *packet, unsigned sums);

#endif
