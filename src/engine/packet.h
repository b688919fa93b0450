/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file packet.h
 * Parsing: from hostile bytes to the few facts about a TCP segment that the rest of the engine needs.
 */
#ifndef ENGINE_PACKET_H
#define ENGINE_PACKET_H

#include "types.h"

enum tcp_flag { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_PSH = 0x08, TCP_ACK = 0x10 };

/** Bytes of the IP headers, without options and extension headers. */
enum { IP4_HEADER_MIN = 20, IP6_HEADER = 40 };

/** Longest packet there is: 40 bytes of IPv6 header and a 65535 byte payload. */
enum { PACKET_MAX = IP6_HEADER + 65535 };

/** A TCP segment. The pointers lead into the caller's bytes. */
struct packet {
    uint8_t *ip;
    union {
        uint8_t *tcp;
        uint8_t *udp; /* of a datagram (datagram.h) */
    };
    struct tuple tuple; /* see packet_read() */
    uint32_t length;    /* of the whole packet */
    uint32_t payload;   /* bytes of TCP payload */
    uint32_t seq, ack;
    uint8_t flags; /* enum tcp_flag */
};

enum packet_kind {
    PACKET_TCP,       /* *out is filled in */
    PACKET_OTHER,     /* well formed as far as looked at, but no whole TCP segment (other protocol, fragment) */
    PACKET_MALFORMED, /* lengths do not fit */
};

/** Bytes of a TCP header, as it states them. */
static inline uint32_t packet_tcp_header(const uint8_t *tcp)
{
    return (uint32_t)tcp[12] >> 2 & 0x3c; /* counted in words, in the upper half */
}

/** Where a segment's parts are: what can be known of it without a look at its addresses. */
struct packet_place {
    union {
        uint8_t *tcp;
        uint8_t *udp; /* of a datagram (datagram.h): its ports are where TCP's are */
    };
    const uint8_t *addresses; /* source, then destination, as the IP header has them */
    uint32_t family;
};

/**
 * packet_parse() in steps, because most packets need only the first, and most others but the first two. Meanwhile the
 * bytes must not change. packet_read() fills in all of *out but its tuple, of which it knows only the family.
 */
enum packet_kind packet_locate(uint8_t *data, uint32_t length, struct packet_place *out);
void packet_read(uint8_t *data, uint32_t length, const struct packet_place *at, struct packet *out);
void packet_read_tuple(const struct packet_place *at, uint32_t scope, struct packet *out);

/** What upper protocol numbers are never: a header is not all there. */
enum { PACKET_CUT_SHORT = 256 };

/**
 * Goes over the extension headers of an IPv6 packet of which `length` bytes are there, 40 at least: the protocol of the
 * first header that is none of hop-by-hop, routing and destination options, and its place; or PACKET_CUT_SHORT.
 */
uint32_t packet_walk_ip6(const uint8_t *data, uint32_t length, uint32_t *offset);

/** The scope of a segment's tuple, which is not in its bytes: the interface, if one of its addresses is link-local. */
static inline uint32_t packet_scope(const struct packet_place *at, const struct packet_meta *meta)
{
    if (at->family != FAMILY_IP6 || meta->loopback) {
        return 0;
    }
    ip_addr src = ip_addr_from_ip6(at->addresses), dst = ip_addr_from_ip6(at->addresses + 16);
    return ip_addr_is_link_local(&src) || ip_addr_is_link_local(&dst) ? meta->if_index : 0;
}

/**
 * Parses one IP packet; the tuple has no scope. Reads only data[0..length). *out is undefined unless PACKET_TCP is
 * returned.
 */
enum packet_kind packet_parse(uint8_t *data, uint32_t length, struct packet *out);

/**
 * Length of the packet that starts at `data`, by its own header; 0 if that is no IP header or it claims more than
 * `available`.
 */
uint32_t packet_length(const uint8_t *data, uint32_t available);

/* Compilers make one load of a memcpy, but not always of bytes that are put together. */
static inline uint16_t load_raw16(const uint8_t *p)
{
    uint16_t raw;
    memcpy(&raw, p, sizeof raw);
    return raw;
}

static inline uint16_t load_be16(const uint8_t *p)
{
    return __builtin_bswap16(load_raw16(p));
}

static inline uint32_t load_raw32(const uint8_t *p)
{
    uint32_t raw;
    memcpy(&raw, p, sizeof raw);
    return raw;
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return __builtin_bswap32(load_raw32(p));
}

static inline uint64_t load_be64(const uint8_t *p)
{
    uint64_t raw;
    memcpy(&raw, p, sizeof raw);
    return __builtin_bswap64(raw);
}

static inline void store_raw16(uint8_t *p, uint16_t raw)
{
    memcpy(p, &raw, sizeof raw);
}

static inline void store_raw32(uint8_t *p, uint32_t raw)
{
    memcpy(p, &raw, sizeof raw);
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
    store_raw16(p, __builtin_bswap16(v));
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
    store_raw32(p, __builtin_bswap32(v));
}

#endif
