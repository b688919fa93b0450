/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file types.h
 * The vocabulary of the engine: addresses, ports, 4-tuples, packets' metadata, socket events, process facts.
 *
 * Byte order lives in types. An address is 16 bytes in network order; a port on the wire is a `be16` and cannot be
 * mixed up with a host-order uint16_t, because it does not compile. IPv4 and IPv6 share one address type: an IPv4
 * address is kept IPv4-mapped (::ffff:a.b.c.d), and the family stands beside it in the tuple, so that a hostile IPv6
 * packet with mapped addresses is never taken for an IPv4 one.
 */
#ifndef ENGINE_TYPES_H
#define ENGINE_TYPES_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/** A port as it stands in a packet. */
typedef struct be16 {
    uint16_t wire;
} be16;

enum { PORT_MAX = 65535, PORT_COUNT = PORT_MAX + 1 };

static inline be16 be16_from_host(uint16_t host)
{
    return (be16){(uint16_t)(host >> 8 | host << 8)};
}

static inline uint16_t be16_to_host(be16 port)
{
    return (uint16_t)(port.wire >> 8 | port.wire << 8);
}

/** An IP address of either family, network order; IPv4 is kept mapped. */
typedef union ip_addr {
    uint8_t bytes[16];
    uint64_t words[2]; /* for comparison and hashing only */
} ip_addr;

enum { FAMILY_NONE = 0, FAMILY_IP4 = 4, FAMILY_IP6 = 6 };

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are made of bytes below");

static inline ip_addr ip_addr_from_ip4(const uint8_t bytes[4])
{
    uint32_t raw;
    memcpy(&raw, bytes, sizeof raw);
    return (ip_addr){.words = {0, (uint64_t)raw << 32 | 0xffff0000}}; /* bytes 10 and 11 are 0xff */
}

static inline ip_addr ip_addr_from_ip6(const uint8_t bytes[16])
{
    ip_addr a;
    memcpy(a.bytes, bytes, 16);
    return a;
}

static inline bool ip_addr_equal(const ip_addr *a, const ip_addr *b)
{
    return a->words[0] == b->words[0] && a->words[1] == b->words[1];
}

/** 127.0.0.1 or ::1. */
static inline ip_addr ip_addr_loopback(uint32_t family)
{
    static const uint8_t ip4[4] = {127, 0, 0, 1};
    ip_addr one = {.bytes = {[15] = 1}};
    return family == FAMILY_IP4 ? ip_addr_from_ip4(ip4) : one;
}

/** 0.0.0.0 or ::. */
static inline ip_addr ip_addr_any(uint32_t family)
{
    static const uint8_t zero[16];
    return family == FAMILY_IP4 ? ip_addr_from_ip4(zero) : ip_addr_from_ip6(zero);
}

static inline bool ip_addr_is_any(const ip_addr *a, uint32_t family)
{
    return a->words[0] == 0 && (family == FAMILY_IP4 ? !memcmp(a->bytes + 12, "\0\0\0\0", 4) : a->words[1] == 0);
}

/** fe80::/10: means a host only together with the interface behind which it is. */
static inline bool ip_addr_is_link_local(const ip_addr *a)
{
    return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/**
 * Identifies one direction of a TCP connection, exactly as a packet's header states it, and beside it the scope (RFC
 * 4007) where an address of it is link-local: the index of the interface that the packet leaves or comes by. Both
 * addresses have the same. The scope is 0 where there is none, where it is not known (a socket event does not tell it),
 * and for loopback packets, whose interface is not their addresses'.
 */
struct tuple {
    ip_addr src, dst;
    be16 src_port, dst_port;
    uint32_t family; /* FAMILY_IP4 or FAMILY_IP6 */
    uint32_t scope;
};

/* Ports and family as one word, for comparison and hashing. */
static inline uint64_t tuple_ends(const struct tuple *t)
{
    uint64_t word;
    memcpy(&word, &t->src_port, sizeof word);
    return word;
}

static inline bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
    return tuple_ends(a) == tuple_ends(b) && a->scope == b->scope && ip_addr_equal(&a->src, &b->src) &&
           ip_addr_equal(&a->dst, &b->dst);
}

/** Whether an address of it means a host only together with a scope. */
static inline bool tuple_is_scoped(const struct tuple *t)
{
    return ip_addr_is_link_local(&t->dst) || ip_addr_is_link_local(&t->src);
}

/** The same connection seen from the other end. */
static inline struct tuple tuple_reversed(const struct tuple *t)
{
    return (struct tuple){t->dst, t->src, t->dst_port, t->src_port, t->family, t->scope};
}

/** Whether `seen` has the addresses that redirection gives the packets of `original`: both loopback, or swapped. */
static inline bool tuple_is_steered(const struct tuple *seen, const struct tuple *original)
{
    ip_addr loopback = ip_addr_loopback(seen->family);
    return (ip_addr_equal(&seen->src, &loopback) && ip_addr_equal(&seen->dst, &loopback)) ||
           (ip_addr_equal(&seen->src, &original->dst) && ip_addr_equal(&seen->dst, &original->src));
}

/**
 * What the driver says of a packet beside its bytes, as far as the engine reads or changes it. Fields that the engine
 * does not know stay in the driver's own address structure and travel with the packet.
 */
struct packet_meta {
    int64_t timestamp; /* when the driver saw it, in its own units */
    uint32_t if_index, sub_if_index;
    bool outbound;
    bool loopback;
    bool impostor;          /* injected by another driver; kept, so that its TTL guard against loops works */
    bool ip_checksum_valid; /* false: the bytes mean nothing, the driver computes the sum when the packet is sent */
    bool transport_checksum_valid; /* likewise, of the segment or datagram in it */
};

enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

/** A process is its pid and its creation time (I2). Creation time in 100 ns units since 1601, as Windows has it. */
struct process_id {
    uint32_t pid;
    uint64_t created;
};

/** What the host can find out about a process that is alive. */
struct process_facts {
    struct process_id self;
    struct process_id parent; /* created is 0 when the parent is not alive any more */
    bool in_tree;             /* the kernel's own word: the process is in our job */
};

enum socket_event_kind {
    SOCKET_BIND,
    SOCKET_CONNECT,
    SOCKET_LISTEN,
    SOCKET_ACCEPT,
    SOCKET_CLOSE,
};

/** A socket event of the driver, of a TCP or a UDP socket. Of UDP, CONNECT tells of the first datagram to an address, and
 * ACCEPT of the first from one. */
struct socket_event {
    enum socket_event_kind kind;
    uint8_t protocol; /* PROTOCOL_TCP or PROTOCOL_UDP */
    uint32_t pid;
    int64_t timestamp;  /* when the driver saw it, on the same clock as packets; 0: unknown */
    uint64_t endpoint;  /* which socket it is, whatever its address; 0: unknown */
    struct tuple tuple; /* src is the local end, dst the remote end (zero for BIND and LISTEN) */
};

#endif
