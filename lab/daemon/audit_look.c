/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: hashes of 64 bits, by words. The driver computes sums that the flags leave open in its
 * own copy, and takes a hop of an impostor's packet; so these are left out where the flags say so.
 */
#include "audit_look.h"

#include <string.h>

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static uint64_t mix_bytes(uint64_t hash, const uint8_t *at, size_t length)
{
    uint64_t word;

    for (; length >= sizeof(word); at += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = mix(hash, word);
    }
    word = length;
    memcpy((uint8_t *)&word + 1, at, length);
    return mix(hash, word);
}

/* Everything behind the IP header but ports and the sum. */
uint64_t audit_key(const struct packet *packet)
{
    uint64_t hash = mix(packet->protocol, packet->ipv6 != NULL);
    const uint8_t *at = packet->transport;
    uint32_t length = packet->transport_length;
    uint32_t skip = packet->tcp || packet->udp ? 4 : 0;
    uint32_t sum = packet->tcp ? 16 : packet->udp ? 6 : packet->icmp || packet->icmpv6 ? 2 : length;

    if (!at) { /* a fragment without header */
        at = packet->data + (packet->ip ? (packet->ip[0] & 15) * 4 : 40);
        sum = length = (uint32_t)(packet->data + packet->length - at);
    }
    hash = mix_bytes(hash, at + skip, sum - skip);
    return sum + 2 <= length ? mix_bytes(hash, at + sum + 2, length - sum - 2) : hash;
}

uint64_t audit_flow(const struct packet *packet)
{
    uint32_t addresses[8];
    uint64_t hash = mix(packet->protocol, (uint64_t)packet_port(packet, true) << 16 | packet_port(packet, false));

    packet_address(packet, true, addresses);
    packet_address(packet, false, addresses + 4);
    return mix_bytes(hash, (const uint8_t *)addresses, sizeof(addresses)) | 1; /* never 0 */
}

/* The bytes but for `size` of them at `skip`, which is behind `from`; returns where to go on. */
static uint32_t mix_around(uint64_t *hash, const uint8_t *data, uint32_t from, uint32_t skip, uint32_t size)
{
    *hash = mix_bytes(*hash, data + from, skip - from);
    return skip + size;
}

struct audit_look audit_look(const struct packet *packet, const struct wd_address *address)
{
    uint64_t hash = address->outbound | address->impostor << 1 | address->ip_checksum << 2 |
                    address->tcp_checksum << 3 | address->udp_checksum << 4;
    const uint8_t *data = packet->data;
    uint32_t at = 0;

    if (address->impostor) {
        at = mix_around(&hash, data, at, packet->ip ? 8 : 7, 1);
    }
    if (packet->ip && (address->impostor || !address->ip_checksum)) {
        at = mix_around(&hash, data, at, 10, 2);
    }
    if (packet->tcp && !address->tcp_checksum) {
        at = mix_around(&hash, data, at, (uint32_t)(packet->tcp - data) + 16, 2);
    }
    if (packet->udp && !address->udp_checksum) {
        at = mix_around(&hash, data, at, (uint32_t)(packet->udp - data) + 6, 2);
    }
    return (struct audit_look){audit_key(packet), mix_bytes(hash, data + at, packet->length - at)};
}
