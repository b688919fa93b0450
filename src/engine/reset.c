/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "reset.h"

#include "checksum.h"
#include "rewrite.h"

enum { TCP_HEADER = 20, DONT_FRAGMENT = 0x40 };

static uint32_t build(const struct tuple *to, uint8_t flags, uint32_t seq, uint32_t ack, uint8_t out[RESET_MAX])
{
    memset(out, 0, RESET_MAX);
    uint32_t offset = rewrite_header(out, to, PROTOCOL_TCP, TCP_HEADER);
    out[6] |= to->family == FAMILY_IP4 ? DONT_FRAGMENT : 0;
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
