/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "reset.h"

#include "checksum.h"

enum { TCP_HEADER = 20, HOP_LIMIT = 64 };

static uint32_t build_ip_header(const struct tuple *t, uint8_t *out)
{
    if (t->family == FAMILY_IP4) {
        out[0] = 0x45;
        store_be16(out + 2, 20 + TCP_HEADER);
        out[6] = 0x40; /* don't fragment */
        out[8] = HOP_LIMIT;
        out[9] = PROTOCOL_TCP;
        memcpy(out + 12, t->src.bytes + 12, 4);
        memcpy(out + 16, t->dst.bytes + 12, 4);
        return 20;
    }
    out[0] = 0x60;
    store_be16(out + 4, TCP_HEADER);
    out[6] = PROTOCOL_TCP;
    out[7] = HOP_LIMIT;
    memcpy(out + 8, t->src.bytes, 16);
    memcpy(out + 24, t->dst.bytes, 16);
    return 40;
}

static uint32_t build(const struct tuple *to, uint8_t flags, uint32_t seq, uint32_t ack, uint8_t out[RESET_MAX])
{
    memset(out, 0, RESET_MAX);
    uint32_t offset = build_ip_header(to, out);
    uint8_t *tcp = out + offset;
    memcpy(tcp, &to->src_port, 2);
    memcpy(tcp + 2, &to->dst_port, 2);
    store_be32(tcp + 4, seq);
    store_be32(tcp + 8, ack);
    tcp[12] = TCP_HEADER / 4 << 4;
    tcp[13] = flags;
    struct packet p = {.ip = out, .tcp = tcp, .tuple = *to, .length = offset + TCP_HEADER};
    checksum_ip_header(&p);
    checksum_tcp(&p);
    return p.length;
}

uint32_t reset_build(const struct flow_table *t, uint32_t id, enum leg leg, uint32_t seq, uint8_t out[RESET_MAX])
{
    struct tuple to = flow_target(t, id, leg);
    return build(&to, TCP_RST, seq, 0, out);
}

uint32_t reset_refuse_flow(const struct flow_table *t, uint32_t id, uint8_t out[RESET_MAX])
{
    struct tuple to = flow_target(t, id, LEG_REPLY);
    return build(&to, TCP_RST | TCP_ACK, 0, flow_at(t, id)->isn + 1, out);
}

uint32_t reset_refuse(const struct packet *syn, uint8_t out[RESET_MAX])
{
    struct tuple to = tuple_reversed(&syn->tuple);
    return build(&to, TCP_RST | TCP_ACK, 0, syn->seq + 1, out);
}
