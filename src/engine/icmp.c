/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "icmp.h"

#include "checksum.h"
#include "rewrite.h"

enum {
    HOP_LIMIT = 64,
    IP4_HEADER = 20,
    UDP_HEADER = 8,
    ICMP_HEADER = 8,
    PROTOCOL_ICMP = 1,
    PROTOCOL_ICMP6 = 58,
};

/* ICMPv4's is over the message alone. */
static void seal(uint8_t *ip, uint8_t *icmp, uint32_t length, uint32_t family)
{
    struct packet p = {.ip = ip, .tuple = {.family = family}};
    checksum_ip_header(&p);
    checksum_message(ip, icmp, length - (uint32_t)(icmp - ip), family == FAMILY_IP6 ? PROTOCOL_ICMP6 : 0, icmp + 2);
}

void icmp_retell(struct datagram *d, const struct tuple *quoted, uint16_t quoted_delta)
{
    uint32_t family = d->at.family;
    const struct tuple answer = tuple_reversed(quoted);
    uint8_t *sum = d->at.udp + 6;
    rewrite_addresses(d->ip, family, quoted); /* the reverse of it: from there, to its sender */
    rewrite_addresses(d->quoted, family, &answer);
    memcpy(d->at.udp, &quoted->src_port, 2);
    memcpy(d->at.udp + 2, &quoted->dst_port, 2);
    if (load_raw16(sum)) {
        checksum_adjust(sum, quoted_delta);
    }
    struct packet inner = {.ip = d->quoted, .tuple = {.family = family}};
    checksum_ip_header(&inner);
    seal(d->ip, d->icmp, d->length, family);
}

/* Returns the length of the header. */
static uint32_t write_ip(uint8_t *out, const struct tuple *t, uint8_t protocol, uint32_t payload)
{
    if (t->family == FAMILY_IP4) {
        out[0] = 0x45;
        store_be16(out + 2, (uint16_t)(IP4_HEADER + payload));
        out[8] = HOP_LIMIT;
        out[9] = protocol;
        memcpy(out + 12, t->src.bytes + 12, 4);
        memcpy(out + 16, t->dst.bytes + 12, 4);
        return IP4_HEADER;
    }
    out[0] = 0x60;
    store_be16(out + 4, (uint16_t)payload);
    out[6] = protocol;
    out[7] = HOP_LIMIT;
    memcpy(out + 8, t->src.bytes, 16);
    memcpy(out + 24, t->dst.bytes, 16);
    return IP6_HEADER;
}

uint32_t icmp_unreachable(const struct tuple *quoted, uint8_t out[ICMP_UNREACHABLE_MAX])
{
    bool ip4 = quoted->family == FAMILY_IP4;
    const struct tuple outer = tuple_reversed(quoted);
    uint32_t message = ICMP_HEADER + (ip4 ? IP4_HEADER : IP6_HEADER) + UDP_HEADER;
    memset(out, 0, ICMP_UNREACHABLE_MAX);
    uint8_t *icmp = out + write_ip(out, &outer, ip4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6, message);
    icmp[0] = ip4 ? 3 : 1; /* destination unreachable: */
    icmp[1] = ip4 ? 3 : 4; /* port */
    uint8_t *inner = icmp + ICMP_HEADER, *udp = inner + write_ip(inner, quoted, PROTOCOL_UDP, UDP_HEADER);
    memcpy(udp, &quoted->src_port, 2);
    memcpy(udp + 2, &quoted->dst_port, 2);
    store_be16(udp + 4, UDP_HEADER); /* its payload is not known any more */
    struct packet p = {.ip = inner, .tuple = *quoted};
    checksum_ip_header(&p);
    seal(out, icmp, (uint32_t)(icmp - out) + message, quoted->family);
    return (uint32_t)(icmp - out) + message;
}
