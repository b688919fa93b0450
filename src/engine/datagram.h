/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file datagram.h
 * Parsing: from hostile bytes to what the engine needs of a UDP datagram, of a fragment of one, and of an ICMP error
 * that quotes one (U4).
 */
#ifndef ENGINE_DATAGRAM_H
#define ENGINE_DATAGRAM_H

#include "packet.h"

/** Bytes of headers, and numbers of protocols. */
enum { UDP_HEADER = 8, ICMP_HEADER = 8, PROTOCOL_ICMP = 1, PROTOCOL_ICMP6 = 58 };

enum datagram_kind {
    DATAGRAM_WHOLE,
    DATAGRAM_FIRST,     /* the first fragment: it has the UDP header */
    DATAGRAM_LATER,     /* another fragment: `at` has addresses, but no header */
    DATAGRAM_ERROR,     /* ICMP or ICMPv6 destination unreachable: `at` is about the datagram that it quotes */
    DATAGRAM_OTHER,     /* well formed as far as looked at, but none of these */
    DATAGRAM_MALFORMED, /* lengths do not fit */
};

/** Nothing is known where a kind does not have it. The pointers lead into the caller's bytes. */
struct datagram {
    struct packet_place at;
    uint8_t *ip;       /* of the packet itself */
    uint32_t length;   /* of the whole packet */
    uint32_t payload;  /* bytes of UDP payload in this packet */
    uint8_t *fragment; /* of a fragment: where its identification is. NULL: it is none */
    uint32_t id;       /* that, as a number */
    bool last;         /* no fragment has to follow */
    uint8_t *icmp;     /* of an error: its header */
    uint8_t *quoted;   /* of an error: the IP header that it quotes */
};

/** Parses one IP packet. Reads only data[0..length). *out is undefined for DATAGRAM_OTHER and DATAGRAM_MALFORMED. */
enum datagram_kind datagram_read(uint8_t *data, uint32_t length, struct datagram *out);

/** The tuple of it, or of the datagram that it quotes; not of a later fragment, which has no ports. */
struct tuple datagram_tuple(const struct datagram *d, uint32_t scope);

/** What tells the fragments of one datagram from all others: its identification stands in place of the ports. */
struct tuple datagram_fragment_key(const struct datagram *d, uint32_t scope);

#endif
