/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: packet_parse walks from the IP header over IPv6 extension headers to the
 * transport header and notes each header that is there completely. Everything else works on that
 * picture. Sums are added up as 16-bit big-endian words in 64 bits and folded once.
 */
#include "packet.h"

#include <string.h>

enum {
    PROTO_HOPOPTS = 0,
    PROTO_ICMP = 1,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_AH = 51,
    PROTO_ICMPV6 = 58,
    PROTO_DSTOPTS = 60,
    PROTO_MOBILITY = 135,
};

uint32_t packet_claimed_length(const uint8_t *data)
{
    switch (data[0] >> 4) {
    case 4:
        return read16(data + 2);
    case 6:
        return 40u + read16(data + 4);
    default:
        return 0;
    }
}

/* Offset of the transport header, or 0 if the header is malformed. */
static uint32_t skip_ipv4(struct packet *packet, bool *first)
{
    uint32_t header = (packet->data[0] & 15u) * 4;
    uint16_t fragment = read16(packet->data + 6);

    if (header < 20 || header > packet->length) {
        return 0;
    }
    packet->ip = packet->data;
    packet->protocol = packet->data[9];
    packet->fragment = (fragment & 0x3fff) != 0;
    *first = (fragment & 0x1fff) == 0;
    return header;
}

static uint32_t skip_ipv6(struct packet *packet, bool *first)
{
    const uint8_t *data = packet->data;
    uint32_t at = 40;
    uint8_t next = data[6];

    packet->ipv6 = data;
    *first = true;
    for (;;) {
        uint32_t size;

        if (at + 8 > packet->length) {
            break;
        }
        if (next == PROTO_HOPOPTS || next == PROTO_ROUTING || next == PROTO_DSTOPTS || next == PROTO_MOBILITY) {
            size = (data[at + 1] + 1u) * 8;
        } else if (next == PROTO_AH) {
            size = (data[at + 1] + 2u) * 4;
        } else if (next == PROTO_FRAGMENT) {
            size = 8;
        } else {
            break;
        }
        if (at + size > packet->length) {
            break;
        }
        if (next == PROTO_FRAGMENT) {
            packet->fragment = true;
            *first = (read16(data + at + 2) & 0xfff8) == 0;
        }
        next = data[at];
        at += size;
        if (!*first) {
            break;
        }
    }
    packet->protocol = next;
    return at;
}

static void note_payload(struct packet *packet, uint32_t header)
{
    if (header > packet->transport_length) {
        header = packet->transport_length;
    }
    packet->payload = packet->transport + header;
    packet->payload_length = packet->transport_length - header;
}

static void note_transport(struct packet *packet)
{
    const uint8_t *at = packet->transport;
    uint32_t left = packet->transport_length;

    if (packet->protocol == PROTO_TCP && left >= 20 && (at[12] >> 4) >= 5) {
        packet->tcp = at;
        note_payload(packet, (at[12] >> 4) * 4u);
    } else if (packet->protocol == PROTO_UDP && left >= 8) {
        packet->udp = at;
        note_payload(packet, 8);
    } else if (packet->protocol == PROTO_ICMP && packet->ip && left >= 8) {
        packet->icmp = at;
        note_payload(packet, 8);
    } else if (packet->protocol == PROTO_ICMPV6 && packet->ipv6 && left >= 8) {
        packet->icmpv6 = at;
        note_payload(packet, 8);
    }
}

bool packet_parse(struct packet *packet, const void *data, size_t length)
{
    uint32_t at;
    bool first;

    memset(packet, 0, sizeof(*packet));
    packet->data = data;
    packet->length = (uint32_t)length;
    if (length < 20 || length > 65575 || packet_claimed_length(data) != length) {
        return false;
    }
    if (packet->data[0] >> 4 == 4) {
        at = skip_ipv4(packet, &first);
    } else if (length >= 40) {
        at = skip_ipv6(packet, &first);
    } else {
        return false;
    }
    if (at == 0) {
        return false;
    }
    if (first) {
        packet->transport = packet->data + at;
        packet->transport_length = packet->length - at;
        note_transport(packet);
    }
    return true;
}

void packet_address(const struct packet *packet, bool source, uint32_t address[4])
{
    if (packet->ip) {
        address[0] = read32(packet->ip + (source ? 12 : 16));
        address[1] = 0xffff;
        address[2] = address[3] = 0;
    } else {
        const uint8_t *at = packet->ipv6 + (source ? 8 : 24);

        for (int word = 0; word < 4; word++) {
            address[word] = read32(at + 12 - 4 * word);
        }
    }
}

uint16_t packet_port(const struct packet *packet, bool source)
{
    const uint8_t *header = packet->tcp ? packet->tcp : packet->udp;

    return header ? read16(header + (source ? 0 : 2)) : 0;
}

static uint64_t add_words(uint64_t sum, const uint8_t *at, size_t length)
{
    for (; length > 1; at += 2, length -= 2) {
        sum += read16(at);
    }
    if (length) {
        sum += (uint64_t)at[0] << 8;
    }
    return sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static uint64_t pseudo_header(const struct packet *packet)
{
    uint64_t sum = (uint64_t)packet->protocol + packet->transport_length;

    if (packet->ip) {
        return add_words(sum, packet->ip + 12, 8);
    }
    return add_words(sum, packet->ipv6 + 8, 32);
}

/* The sum over everything, checksum field included: 0xffff if that is right. */
static uint16_t whole_sum(const struct packet *packet)
{
    return fold(add_words(pseudo_header(packet), packet->transport, packet->transport_length));
}

static void store16(const uint8_t *at, uint16_t value)
{
    uint8_t *to = (uint8_t *)at; /* the public functions that come here were given writable bytes */

    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

void packet_set_checksums(uint8_t *data, size_t length, unsigned sums)
{
    struct packet packet;

    if (!packet_parse(&packet, data, length)) {
        return;
    }
    if (packet.ip && sums & SUM_IP) {
        store16(packet.ip + 10, 0);
        store16(packet.ip + 10, (uint16_t)~fold(add_words(0, packet.ip, (packet.ip[0] & 15u) * 4)));
    }
    if (packet.fragment) {
        return; /* the sum covers the whole datagram, of which this is a part */
    }
    if (packet.tcp && sums & SUM_TCP) {
        store16(packet.tcp + 16, 0);
        store16(packet.tcp + 16, (uint16_t)~whole_sum(&packet));
    }
    if (packet.udp && sums & SUM_UDP) {
        uint16_t sum;

        store16(packet.udp + 6, 0);
        sum = (uint16_t)~whole_sum(&packet);
        store16(packet.udp + 6, sum ? sum : 0xffff); /* 0 would mean "no sum" */
    }
}

void packet_set_partial_checksums(uint8_t *data, size_t length, unsigned sums)
{
    struct packet packet;

    if (!packet_parse(&packet, data, length)) {
        return;
    }
    if (packet.ip && sums & SUM_IP) {
        store16(packet.ip + 10, 0);
    }
    if (packet.fragment) {
        return;
    }
    if (packet.tcp && sums & SUM_TCP) {
        store16(packet.tcp + 16, fold(pseudo_header(&packet)));
    }
    if (packet.udp && sums & SUM_UDP) {
        store16(packet.udp + 6, fold(pseudo_header(&packet)));
    }
}

bool packet_checksums_right(const struct packet *packet, unsigned sums)
{
    if (packet->ip && sums & SUM_IP && fold(add_words(0, packet->ip, (packet->ip[0] & 15u) * 4)) != 0xffff) {
        return false;
    }
    if (packet->fragment) {
        return true;
    }
    if (packet->tcp && sums & SUM_TCP && whole_sum(packet) != 0xffff) {
        return false;
    }
    if (packet->udp && sums & SUM_UDP && (read16(packet->udp + 6) != 0 || packet->ipv6) &&
        whole_sum(packet) != 0xffff) {
        return false;
    }
    return true;
}
