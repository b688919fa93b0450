/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: every length that a header states is checked against the bytes that are there before anything
 * behind it is read. A fragment never counts as TCP: a later fragment has no ports, and rewriting the first one alone
 * would tear the packet apart; Windows' TCP does not fragment.
 */
#include "packet.h"

#include <stddef.h>

enum {
    TCP_HEADER_MIN = 20,
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_DESTINATION = 60,
    FRAGMENT_RAW = 0xff3f, /* "more fragments", or an offset: the bytes 0x3f, 0xff as they lie in memory */
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

/* Whether a header of this length, and at least so many bytes, is not all there: one comparison. */
static inline bool is_cut_short(uint32_t header, uint32_t least, uint32_t available)
{
    return header - least > available - least; /* available is not less than `least`; a header that is wraps */
}

static inline uint32_t walk(const uint8_t *data, uint32_t length, uint32_t *offset)
{
    uint8_t next = data[6];
    uint32_t at = IP6_HEADER;
    while (next == PROTOCOL_HOP_BY_HOP || next == PROTOCOL_ROUTING || next == PROTOCOL_DESTINATION) {
        if (length - at < 8) {
            return PACKET_CUT_SHORT;
        }
        uint32_t size = ((uint32_t)data[at + 1] + 1) * 8;
        if (length - at < size) {
            return PACKET_CUT_SHORT;
        }
        next = data[at];
        at += size;
    }
    *offset = at;
    return next;
}

uint32_t packet_walk_ip6(const uint8_t *data, uint32_t length, uint32_t *offset)
{
    return walk(data, length, offset);
}

/* Finds the TCP header behind an IPv6 header. PACKET_TCP: *offset is its place. */
static enum packet_kind locate_ip6(const uint8_t *data, uint32_t length, uint32_t *offset)
{
    uint32_t next = walk(data, length, offset);
    return next == PROTOCOL_TCP ? PACKET_TCP : next == PACKET_CUT_SHORT ? PACKET_MALFORMED : PACKET_OTHER;
}

static enum packet_kind locate_ip4(const uint8_t *data, uint32_t length, uint32_t *offset)
{
    uint32_t header = (uint32_t)(data[0] & 15) * 4;
    if (is_cut_short(header, IP4_HEADER_MIN, length)) {
        return PACKET_MALFORMED;
    }
    *offset = header;
    return data[9] != PROTOCOL_TCP || load_raw16(data + 6) & FRAGMENT_RAW ? PACKET_OTHER : PACKET_TCP;
}

enum packet_kind packet_locate(uint8_t *data, uint32_t length, struct packet_place *out)
{
    uint32_t offset = 0;
    enum packet_kind kind = PACKET_MALFORMED;
    if (length < IP4_HEADER_MIN) {
        return PACKET_MALFORMED;
    }
    if (data[0] >> 4 == 4 && load_be16(data + 2) == length) {
        kind = locate_ip4(data, length, &offset);
        out->family = FAMILY_IP4;
        out->addresses = data + 12;
    } else if (length >= IP6_HEADER && data[0] >> 4 == 6 && load_be16(data + 4) == length - IP6_HEADER) {
        kind = locate_ip6(data, length, &offset);
        out->family = FAMILY_IP6;
        out->addresses = data + 8;
    }
    if (kind != PACKET_TCP) {
        return kind;
    }
    uint32_t segment = length - offset;
    out->tcp = data + offset;
    if (segment < TCP_HEADER_MIN || is_cut_short(packet_tcp_header(out->tcp), TCP_HEADER_MIN, segment)) {
        return PACKET_MALFORMED;
    }
    return PACKET_TCP;
}

void packet_read(uint8_t *data, uint32_t length, const struct packet_place *at, struct packet *out)
{
    uint8_t *tcp = at->tcp;
    out->ip = data;
    out->tcp = tcp;
    out->tuple.family = at->family;
    out->length = length;
    out->payload = length - (uint32_t)(tcp - data) - packet_tcp_header(tcp);
    out->seq = load_be32(tcp + 4);
    out->ack = load_be32(tcp + 8);
    out->flags = tcp[13];
}

void packet_read_tuple(const struct packet_place *at, uint32_t scope, struct packet *out)
{
    bool ip4 = at->family == FAMILY_IP4;
    out->tuple.src = ip4 ? ip_addr_from_ip4(at->addresses) : ip_addr_from_ip6(at->addresses);
    out->tuple.dst = ip4 ? ip_addr_from_ip4(at->addresses + 4) : ip_addr_from_ip6(at->addresses + 16);
    memcpy(&out->tuple.src_port, at->tcp, 4); /* and dst_port */
    out->tuple.scope = scope;
}
static_assert(offsetof(struct tuple, dst_port) == offsetof(struct tuple, src_port) + 2, "copied as one");

enum packet_kind packet_parse(uint8_t *data, uint32_t length, struct packet *out)
{
    struct packet_place at;
    enum packet_kind kind = packet_locate(data, length, &at);
    if (kind == PACKET_TCP) {
        packet_read(data, length, &at, out);
        packet_read_tuple(&at, 0, out);
    }
    return kind;
}
