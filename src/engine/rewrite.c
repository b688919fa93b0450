/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "rewrite.h"

#include "checksum.h"

struct rewrite_delta rewrite_delta_between(const struct tuple *from, const struct tuple *to)
{
    /*
     * The constant prefix of a mapped IPv4 address adds ~x + x = 0xffff per word, which is zero in one's complement.
     */
    uint16_t addresses = checksum_add(checksum_difference(&from->src, &to->src, sizeof from->src),
                                      checksum_difference(&from->dst, &to->dst, sizeof from->dst));
    uint16_t ports = checksum_add(checksum_difference(&from->src_port, &to->src_port, sizeof from->src_port),
                                  checksum_difference(&from->dst_port, &to->dst_port, sizeof from->dst_port));
    return (struct rewrite_delta){addresses, checksum_add(addresses, ports)};
}

struct rewrite_delta rewrite_delta_reversed(struct rewrite_delta d)
{
    return (struct rewrite_delta){(uint16_t)~d.ip, (uint16_t)~d.tcp};
}

void rewrite_apply(struct packet *p, struct packet_meta *meta, const struct tuple *to, struct rewrite_delta delta)
{
    if (to->family == FAMILY_IP4) {
        memcpy(p->ip + 12, to->src.bytes + 12, 4);
        memcpy(p->ip + 16, to->dst.bytes + 12, 4);
    } else {
        memcpy(p->ip + 8, to->src.bytes, 16);
        memcpy(p->ip + 24, to->dst.bytes, 16);
    }
    memcpy(p->tcp, &to->src_port, 2);
    memcpy(p->tcp + 2, &to->dst_port, 2);
    p->tuple = *to;

    if (!meta->ip_checksum_valid) {
        checksum_ip_header(p);
        meta->ip_checksum_valid = true;
    } else if (to->family == FAMILY_IP4) {
        checksum_adjust(p->ip + 10, delta.ip);
    }
    if (meta->tcp_checksum_valid) {
        checksum_adjust(p->tcp + 16, delta.tcp);
    }
}
