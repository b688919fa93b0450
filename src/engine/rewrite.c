/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "rewrite.h"

#include "checksum.h"

#include <stddef.h>

enum { HOP_LIMIT = 64 };

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

static inline void set_addresses(uint8_t *ip, bool ip4, const struct tuple *answer)
{
    if (ip4) {
        memcpy(ip + 12, answer->dst.bytes + 12, 4);
        memcpy(ip + 16, answer->src.bytes + 12, 4);
    } else {
        memcpy(ip + 8, answer->dst.bytes, 16);
        memcpy(ip + 24, answer->src.bytes, 16);
    }
}

static inline void set_tuple(struct packet *p, struct packet_meta *meta, const struct tuple *answer,
                             struct rewrite_delta delta)
{
    bool ip4 = p->tuple.family == FAMILY_IP4;
    set_addresses(p->ip, ip4, answer);
    uint32_t ports = load_raw32((const uint8_t *)&answer->src_port);
    store_raw32(p->tcp, ports >> 16 | ports << 16); /* the other way round */

    if (!meta->ip_checksum_valid) {
        checksum_ip_header(p);
        meta->ip_checksum_valid = true;
    } else if (ip4) {
        checksum_adjust(p->ip + 10, delta.ip);
    }
}

void rewrite_apply(struct packet *p, struct packet_meta *meta, const struct tuple *answer, struct rewrite_delta delta)
{
    set_tuple(p, meta, answer, delta);
    if (meta->transport_checksum_valid) {
        checksum_adjust(p->tcp + 16, delta.tcp);
    }
}

void rewrite_datagram(struct packet *p, struct packet_meta *meta, const struct tuple *answer,
                      struct rewrite_delta delta, bool fragment)
{
    uint8_t *sum = p->udp + 6;
    set_tuple(p, meta, answer, delta);
    if ((meta->transport_checksum_valid || fragment) && load_raw16(sum)) {
        checksum_adjust(sum, delta.tcp);
        if (!load_raw16(sum)) {
            store_raw16(sum, 0xffff);
        }
    }
}

void rewrite_addresses(uint8_t *ip, uint32_t family, const struct tuple *answer)
{
    set_addresses(ip, family == FAMILY_IP4, answer);
}

void rewrite_identification(uint8_t *ip, uint32_t family, uint8_t *field, uint32_t id)
{
    if (family == FAMILY_IP6) {
        store_be32(field, id);
        return;
    }
    uint8_t fresh[2];
    store_be16(fresh, (uint16_t)id);
    checksum_adjust(ip + 10, checksum_difference(field, fresh, sizeof fresh));
    memcpy(field, fresh, sizeof fresh);
}

uint32_t rewrite_header(uint8_t *out, const struct tuple *t, uint8_t protocol, uint32_t payload)
{
    const struct tuple answer = tuple_reversed(t);
    bool ip4 = t->family == FAMILY_IP4;
    set_addresses(out, ip4, &answer);
    if (ip4) {
        out[0] = 0x45;
        store_be16(out + 2, (uint16_t)(IP4_HEADER_MIN + payload));
        out[8] = HOP_LIMIT;
        out[9] = protocol;
        return IP4_HEADER_MIN;
    }
    out[0] = 0x60;
    store_be16(out + 4, (uint16_t)payload);
    out[6] = protocol;
    out[7] = HOP_LIMIT;
    return IP6_HEADER;
}
