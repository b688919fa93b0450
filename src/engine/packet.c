/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: every length that a header states is checked against the bytes that are there before anything
 * behind it is read. A fragment never counts as TCP: a later fragment has no ports, and rewriting the first one alone
 * would tear the packet apart; Windows' TCP does not fragment.
 */
#include "packet.h"

#include <stddef.h>

enum {
    IP4_HEADER_MIN = 20,
    IP6_HEADER = 40,
    TCP_HEADER_MIN = 20,
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_TCP = 6,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_DESTINATION = 60,
};

uint32_t packet_length(const uint8_t *data, uint32_t available)
{
    uint32_t length = 0;
    if (available >= IP4_HEADER_MIN && data[0] >> 4 == 4) {
        length = load_be16(data + 2);
        if (length < IP4_HEADER_MIN) {
            length = 0;
        }
    } else if (available >= IP6_HEADER && data[0] >> 4 == 6) {
        length = IP6_HEADER + (uint32_t)load_be16(data + 4);
    }
    return length <= available ? length : 0;
}

/* Finds the TCP header behind an IPv6 header. PACKET_TCP: *offset is its place. */
static enum packet_kind skip_extensions(const uint8_t *data, uint32_t length, uint32_t *offset)
{
    uint8_t next = data[6];
    uint32_t at = IP6_HEADER;
    while (next == PROTOCOL_HOP_BY_HOP || next == PROTOCOL_ROUTING || next == PROTOCOL_DESTINATION) {
        if (length - at < 8) {
            return PACKET_MALFORMED;
        }
        uint32_t size = ((uint32_t)data[at + 1] + 1) * 8;
        if (length - at < size) {
            return PACKET_MALFORMED;
        }
        next = data[at];
        at += size;
    }
    *offset = at;
    return next == PROTOCOL_TCP ? PACKET_TCP : PACKET_OTHER;
}

static enum packet_kind parse_ip4(const uint8_t *data, uint32_t length, struct tuple *tuple, uint32_t *offset)
{
    uint32_t header = (uint32_t)(data[0] & 15) * 4;
    if (header < IP4_HEADER_MIN || header > length) {
        return PACKET_MALFORMED;
    }
    bool fragment = (load_be16(data + 6) & 0x3fff) != 0; /* "more fragments", or an offset */
    if (data[9] != PROTOCOL_TCP || fragment) {
        return PACKET_OTHER;
    }
    tuple->src = ip_addr_from_ip4(data + 12);
    tuple->dst = ip_addr_from_ip4(data + 16);
    tuple->family = FAMILY_IP4;
    *offset = header;
    return PACKET_TCP;
}

static enum packet_kind parse_ip6(const uint8_t *data, uint32_t length, struct tuple *tuple, uint32_t *offset)
{
    tuple->src = ip_addr_from_ip6(data + 8);
    tuple->dst = ip_addr_from_ip6(data + 24);
    tuple->family = FAMILY_IP6;
    return skip_extensions(data, length, offset);
}

static uint32_t header_length(const uint8_t *tcp)
{
    return (uint32_t)tcp[12] >> 2 & 0x3c; /* counted in words, in the upper half */
}

enum packet_kind packet_locate(uint8_t *data, uint32_t length, struct packet *out)
{
    uint32_t offset = 0;
    enum packet_kind kind = PACKET_MALFORMED;
    if (length >= IP4_HEADER_MIN && data[0] >> 4 == 4 && load_be16(data + 2) == length) {
        kind = parse_ip4(data, length, &out->tuple, &offset);
    } else if (length >= IP6_HEADER && data[0] >> 4 == 6 && load_be16(data + 4) == length - IP6_HEADER) {
        kind = parse_ip6(data, length, &out->tuple, &offset);
    }
    if (kind != PACKET_TCP) {
        return kind;
    }
    uint32_t segment = length - offset;
    uint8_t *tcp = data + offset;
    if (segment < TCP_HEADER_MIN) {
        return PACKET_MALFORMED;
    }
    uint32_t header = header_length(tcp);
    if (header < TCP_HEADER_MIN || header > segment) {
        return PACKET_MALFORMED;
    }
    memcpy(&out->tuple.src_port, tcp, 4); /* and dst_port */
    out->tuple.scope = 0;
    out->tcp = tcp;
    out->flags = tcp[13];
    return PACKET_TCP;
}
static_assert(offsetof(struct tuple, dst_port) == offsetof(struct tuple, src_port) + 2, "copied as one");

void packet_read(uint8_t *data, uint32_t length, struct packet *p)
{
    p->ip = data;
    p->length = length;
    p->payload = length - (uint32_t)(p->tcp - data) - header_length(p->tcp);
    p->seq = load_be32(p->tcp + 4);
    p->ack = load_be32(p->tcp + 8);
}

enum packet_kind packet_parse(uint8_t *data, uint32_t length, struct packet *out)
{
    enum packet_kind kind = packet_locate(data, length, out);
    if (kind == PACKET_TCP) {
        packet_read(data, length, out);
    }
    return kind;
}
