/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: as in packet.c, every length that a header states is checked against the bytes that are there
 * before anything behind it is read. A datagram fills its packet: a UDP length that says otherwise is a lie or damage,
 * and the packet is left as it is. Of a first fragment it may say more than is there, but not less. What an error quotes
 * is cut short in most cases, so that only the beginning of its headers has to be there.
 */
#include "datagram.h"

enum {
    FRAGMENT_HEADER = 8,
    PROTOCOL_FRAGMENT = 44,
    ICMP_UNREACHABLE = 3,
    ICMP6_UNREACHABLE = 1,
    MORE_FRAGMENTS_IP4 = 0x2000,
    OFFSET_IP4 = 0x1fff,
    MORE_FRAGMENTS_IP6 = 1,
    OFFSET_IP6 = 0xfff8,
};

/* What stands behind the IP header. */
struct inside {
    uint32_t protocol, offset;
    bool first, last;
};

/* false: lengths do not fit. */
static bool open_ip4(uint8_t *data, uint32_t length, struct datagram *out, struct inside *in)
{
    uint32_t header = (uint32_t)(data[0] & 15) * 4, flags = load_be16(data + 6);
    in->protocol = data[9];
    in->offset = header;
    in->first = !(flags & OFFSET_IP4);
    in->last = !(flags & MORE_FRAGMENTS_IP4);
    out->at.family = FAMILY_IP4;
    out->at.addresses = data + 12;
    if (!in->first || !in->last) {
        out->fragment = data + 4;
        out->id = load_be16(data + 4);
    }
    return header >= IP4_HEADER_MIN && header <= length;
}

__attribute__((noinline)) static bool open_ip6(uint8_t *data, uint32_t length, struct datagram *out, struct inside *in)
{
    in->first = in->last = true;
    in->protocol = packet_walk_ip6(data, length, &in->offset);
    out->at.family = FAMILY_IP6;
    out->at.addresses = data + 8;
    if (in->protocol != PROTOCOL_FRAGMENT) {
        return in->protocol != PACKET_CUT_SHORT;
    }
    if (length - in->offset < FRAGMENT_HEADER) {
        return false;
    }
    uint8_t *header = data + in->offset;
    uint32_t flags = load_be16(header + 2);
    in->protocol = header[0];
    in->offset += FRAGMENT_HEADER;
    in->first = !(flags & OFFSET_IP6);
    in->last = !(flags & MORE_FRAGMENTS_IP6);
    out->fragment = header + 4;
    out->id = load_be32(header + 4);
    return true;
}

/* Of the datagram that an error quotes: whether enough of it is there. */
static bool read_quoted(uint8_t *data, uint32_t length, struct datagram *out)
{
    struct inside in = {.offset = 0};
    struct datagram quoted = {.length = 0};
    bool ip4 = length >= IP4_HEADER_MIN && data[0] >> 4 == 4, ip6 = length >= IP6_HEADER && data[0] >> 4 == 6;
    if (!(ip4 && out->at.family == FAMILY_IP4) && !(ip6 && out->at.family == FAMILY_IP6)) {
        return false;
    }
    if (!(ip4 ? open_ip4 : open_ip6)(data, length, &quoted, &in) || in.protocol != PROTOCOL_UDP || !in.first ||
        length - in.offset < UDP_HEADER) {
        return false;
    }
    out->at = quoted.at;
    out->at.udp = data + in.offset;
    out->quoted = data;
    return true;
}

__attribute__((noinline)) static enum datagram_kind read_error(uint8_t *data, uint32_t length, uint8_t type,
                                                               uint32_t offset, struct datagram *out)
{
    if (length - offset < ICMP_HEADER) {
        return DATAGRAM_MALFORMED;
    }
    out->icmp = data + offset;
    bool error = out->icmp[0] == type && read_quoted(out->icmp + ICMP_HEADER, length - offset - ICMP_HEADER, out);
    return error ? DATAGRAM_ERROR : DATAGRAM_OTHER;
}

static inline enum datagram_kind read_udp(uint8_t *data, uint32_t length, const struct inside *in, struct datagram *out)
{
    uint32_t there = length - in->offset;
    out->at.udp = data + in->offset;
    if (!in->first) {
        out->payload = there;
        return DATAGRAM_LATER;
    }
    if (there < UDP_HEADER) {
        return DATAGRAM_MALFORMED;
    }
    uint32_t stated = load_be16(out->at.udp + 4);
    out->payload = there - UDP_HEADER;
    if (!in->last) {
        return stated > there ? DATAGRAM_FIRST : DATAGRAM_MALFORMED;
    }
    return stated != there ? DATAGRAM_MALFORMED : out->fragment ? DATAGRAM_FIRST : DATAGRAM_WHOLE;
}

enum datagram_kind datagram_read(uint8_t *data, uint32_t length, struct datagram *out)
{
    struct inside in = {.protocol = 0};
    bool ip4 = length >= IP4_HEADER_MIN && data[0] >> 4 == 4 && load_be16(data + 2) == length;
    bool ip6 = length >= IP6_HEADER && data[0] >> 4 == 6 && load_be16(data + 4) == length - IP6_HEADER;
    *out = (struct datagram){.ip = data, .length = length};
    if (!ip4 && !ip6) {
        return DATAGRAM_MALFORMED;
    }
    if (!(ip4 ? open_ip4(data, length, out, &in) : open_ip6(data, length, out, &in))) {
        return DATAGRAM_MALFORMED;
    }
    out->last = in.last;
    if (in.protocol == PROTOCOL_UDP) {
        return read_udp(data, length, &in, out);
    }
    if (in.protocol == (ip4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6) && !out->fragment) {
        return read_error(data, length, ip4 ? ICMP_UNREACHABLE : ICMP6_UNREACHABLE, in.offset, out);
    }
    return DATAGRAM_OTHER;
}

static struct tuple addresses_of(const struct datagram *d, uint32_t scope)
{
    bool ip4 = d->at.family == FAMILY_IP4;
    struct tuple t = {.family = d->at.family, .scope = scope};
    t.src = ip4 ? ip_addr_from_ip4(d->at.addresses) : ip_addr_from_ip6(d->at.addresses);
    t.dst = ip4 ? ip_addr_from_ip4(d->at.addresses + 4) : ip_addr_from_ip6(d->at.addresses + 16);
    return t;
}

struct tuple datagram_tuple(const struct datagram *d, uint32_t scope)
{
    struct tuple t = addresses_of(d, scope);
    memcpy(&t.src_port, d->at.udp, sizeof t.src_port);
    memcpy(&t.dst_port, d->at.udp + 2, sizeof t.dst_port);
    return t;
}

struct tuple datagram_fragment_key(const struct datagram *d, uint32_t scope)
{
    struct tuple t = addresses_of(d, scope);
    t.src_port = be16_from_host((uint16_t)(d->id >> 16));
    t.dst_port = be16_from_host((uint16_t)d->id);
    return t;
}
