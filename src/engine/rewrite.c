/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "rewrite.h"

#include "checksum.h"

#include <stddef.h>

struct rewrite_delta rewrite_delta_between(const struct tuple *from, const struct tuple *to)
{
    /*
     * The constant prefix of a mapped IPv4 address adds ~x + x = 0xffff per word, which is zero in one's complement.
     * Source and destination stand side by side.
     */
    uint16_t addresses = checksum_difference(&from->src, &to->src, 2 * sizeof from->src);
    uint16_t ports = checksum_difference(&from->src_port, &to->src_port, 2 * sizeof from->src_port);
    return (struct rewrite_delta){addresses, checksum_add(addresses, ports)};
}
static_assert(offsetof(struct tuple, dst) == sizeof(ip_addr), "addresses stand side by side");
static_assert(offsetof(struct tuple, dst_port) == offsetof(struct tuple, src_port) + 2, "ports, too");

struct rewrite_delta rewrite_delta_reversed(struct rewrite_delta d)
{
    return (struct rewrite_delta){(uint16_t)~d.ip, (uint16_t)~d.tcp};
}

void rewrite_apply(struct packet *p, struct packet_meta *meta, const struct tuple *answer, struct rewrite_delta delta)
{
    bool ip4 = p->tuple.family == FAMILY_IP4;
    if (ip4) {
        memcpy(p->ip + 12, answer->dst.bytes + 12, 4);
        memcpy(p->ip + 16, answer->src.bytes + 12, 4);
    } else {
        memcpy(p->ip + 8, answer->dst.bytes, 16);
        memcpy(p->ip + 24, answer->src.bytes, 16);
    }
    uint32_t ports = load_raw32((const uint8_t *)&answer->src_port);
    store_raw32(p->tcp, ports >> 16 | ports << 16); /* the other way round */

    if (!meta->ip_checksum_valid) {
        checksum_ip_header(p);
        meta->ip_checksum_valid = true;
    } else if (ip4) {
        checksum_adjust(p->ip + 10, delta.ip);
    }
    if (meta->tcp_checksum_valid) {
        checksum_adjust(p->tcp + 16, delta.tcp);
    }
}
