/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "icmp.h"

#include "checksum.h"
#include "rewrite.h"

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

uint32_t icmp_unreachable(const struct tuple *quoted, uint8_t out[ICMP_UNREACHABLE_MAX])
{
    bool ip4 = quoted->family == FAMILY_IP4;
    const struct tuple outer = tuple_reversed(quoted);
    uint32_t message = ICMP_HEADER + (ip4 ? IP4_HEADER_MIN : IP6_HEADER) + UDP_HEADER;
    memset(out, 0, ICMP_UNREACHABLE_MAX);
    uint8_t *icmp = out + rewrite_header(out, &outer, ip4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6, message);
    icmp[0] = ip4 ? 3 : 1; /* destination unreachable: */
    icmp[1] = ip4 ? 3 : 4; /* port */
    uint8_t *inner = icmp + ICMP_HEADER, *udp = inner + rewrite_header(inner, quoted, PROTOCOL_UDP, UDP_HEADER);
    memcpy(udp, &quoted->src_port, 2);
    memcpy(udp + 2, &quoted->dst_port, 2);
    store_be16(udp + 4, UDP_HEADER); /* its payload is not known any more */
    struct packet p = {.ip = inner, .tuple = *quoted};
    checksum_ip_header(&p);
    seal(out, icmp, (uint32_t)(icmp - out) + message, quoted->family);
    return (uint32_t)(icmp - out) + message;
}
