/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "rewrite.h"

#include "checksum.h"

/* ~from + to, in words of 32 bits, of which it is a sum in one's complement, too. */
static uint64_t difference(uint64_t from, uint64_t to)
{
    from = ~from;
    return (from & 0xffffffff) + (from >> 32) + (to & 0xffffffff) + (to >> 32);
}

struct rewrite_delta rewrite_delta_between(const struct tuple *from, const struct tuple *to)
{
    /*
     * The constant prefix of a mapped IPv4 address adds ~x + x = 0xffff per word, which is zero in one's complement.
     */
    uint64_t addresses =
        difference(from->src.words[0], to->src.words[0]) + difference(from->src.words[1], to->src.words[1]) +
        difference(from->dst.words[0], to->dst.words[0]) + difference(from->dst.words[1], to->dst.words[1]);
    uint64_t ports =
        (uint64_t)~load_raw32((const uint8_t *)&from->src_port) + load_raw32((const uint8_t *)&to->src_port);
    return (struct rewrite_delta){checksum_fold(addresses), checksum_fold(addresses + ports)};
}

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
