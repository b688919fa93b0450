/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file packet.h
 * Parsing: from hostile bytes to the few facts about a TCP segment that the rest of the engine needs.
 */
#ifndef ENGINE_PACKET_H
#define ENGINE_PACKET_H

#include "types.h"

enum tcp_flag { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_PSH = 0x08, TCP_ACK = 0x10 };

/** Longest packet there is: 40 bytes of IPv6 header and a 65535 byte payload. */
enum { PACKET_MAX = 40 + 65535 };

/** A TCP segment. The pointers lead into the caller's bytes. */
struct packet {
    uint8_t *ip;
    uint8_t *tcp;
    struct tuple tuple; /* its scope: packet_set_scope() */
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

/**
 * packet_parse() in two steps, because most packets need only the first: tuple, tcp and flags; then the rest.
 */
enum packet_kind packet_locate(uint8_t *data, uint32_t length, struct packet *out);
void packet_read(uint8_t *data, uint32_t length, struct packet *p);

/** The scope of its tuple, which is not in its bytes. To be called after packet_locate() or packet_parse(). */
static inline void packet_set_scope(struct packet *p, const struct packet_meta *meta)
{
    if (!meta->loopback && tuple_is_scoped(&p->tuple)) {
        p->tuple.scope = meta->if_index;
    }
}

/** Parses one IP packet. Reads only data[0..length). *out is undefined unless PACKET_TCP is returned. */
enum packet_kind packet_parse(uint8_t *data, uint32_t length, struct packet *out);

/**
 * Length of the packet that starts at `data`, by its own header; 0 if that is no IP header or it claims more than
 * `available`.
 */
uint32_t packet_length(const uint8_t *data, uint32_t available);

static inline uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
    store_be16(p, (uint16_t)(v >> 16));
    store_be16(p + 2, (uint16_t)v);
}

#endif
