// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: fields are numbered in groups, one per header; value_fetch finds the group,
// whose function reads the header or says that the packet has none. Packet fields are asked for
// only at layers with packets: field_accepts has seen to it.
#include "value.h"

#include <string.h>

#include "field.h"

static bool has_packets(const struct wd_address *address)
{
    return address->layer == WD_NETWORK || address->layer == WD_NETWORK_FORWARD;
}

static void put64(struct value *value, uint64_t number)
{
    value->words[0] = (uint32_t)number;
    value->words[1] = (uint32_t)(number >> 32);
}

static bool put(struct value *value, uint32_t number)
{
    value->words[0] = number;
    return true;
}

static bool put_signed(struct value *value, int64_t number)
{
    value->negative = number < 0;
    put64(value, number < 0 ? -(uint64_t)number : (uint64_t)number);
    return true;
}

// The same within one evaluation, another one for each packet, whatever the packet.
static uint32_t random_number(const struct wd_address *address, const struct packet *packet)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)address->timestamp;
    uint32_t length = packet->length < 64 ? packet->length : 64;

    for (uint32_t i = 0; i < length; i++)
        hash = (hash ^ packet->data[i]) * 0x100000001b3u;
    return (uint32_t)(hash ^ hash >> 32);
}

// ip and ipv6 ask for a packet header: always false at layers without packets.
static bool protocol_bit(enum field field, const struct wd_address *address, const struct packet *packet,
                         struct value *value)
{
    uint8_t protocol = packet ? 0 : address->socket.protocol;

    switch (field) {
    case FIELD_IP:
        return put(value, packet && packet->ip);
    case FIELD_IPV6:
        return put(value, packet && packet->ipv6);
    case FIELD_ICMP:
        return put(value, packet ? packet->icmp != NULL : protocol == 1);
    case FIELD_TCP:
        return put(value, packet ? packet->tcp != NULL : protocol == 6);
    case FIELD_UDP:
        return put(value, packet ? packet->udp != NULL : protocol == 17);
    default:
        return put(value, packet ? packet->icmpv6 != NULL : protocol == 58);
    }
}

// Local and remote are source and destination of what leaves, the reverse of what arrives. An
// outbound ICMP message has its type as local port.
static bool packet_end(enum field field, const struct wd_address *address, const struct packet *packet,
                       struct value *value)
{
    bool outbound = address->outbound;

    switch (field) {
    case FIELD_LOCAL_ADDR:
        packet_address(packet, outbound, value->words);
        return true;
    case FIELD_REMOTE_ADDR:
        packet_address(packet, !outbound, value->words);
        return true;
    case FIELD_LOCAL_PORT:
        if (outbound && (packet->icmp || packet->icmpv6))
            return put(value, packet->transport[0]);
        return put(value, packet_port(packet, outbound));
    case FIELD_REMOTE_PORT:
        return put(value, packet_port(packet, !outbound));
    default:
        return put(value, packet->protocol);
    }
}

static bool socket_end(enum field field, const struct wd_address *address, struct value *value)
{
    switch (field) {
    case FIELD_LOCAL_ADDR:
        memcpy(value->words, address->socket.local_addr, sizeof(value->words));
        return true;
    case FIELD_REMOTE_ADDR:
        memcpy(value->words, address->socket.remote_addr, sizeof(value->words));
        return true;
    case FIELD_LOCAL_PORT:
        return put(value, address->socket.local_port);
    case FIELD_REMOTE_PORT:
        return put(value, address->socket.remote_port);
    default:
        return put(value, address->socket.protocol);
    }
}

static bool ipv4_value(enum field field, const struct packet *packet, struct value *value)
{
    const uint8_t *ip = packet->ip;

    if (!ip)
        return false;
    switch (field) {
    case FIELD_IP_HDR_LENGTH:
        return put(value, ip[0] & 15);
    case FIELD_IP_TOS:
        return put(value, ip[1]);
    case FIELD_IP_LENGTH:
        return put(value, read16(ip + 2));
    case FIELD_IP_ID:
        return put(value, read16(ip + 4));
    case FIELD_IP_DF:
        return put(value, ip[6] >> 6 & 1);
    case FIELD_IP_MF:
        return put(value, ip[6] >> 5 & 1);
    case FIELD_IP_FRAG_OFF:
        return put(value, read16(ip + 6) & 0x1fff);
    case FIELD_IP_TTL:
        return put(value, ip[8]);
    case FIELD_IP_PROTOCOL:
        return put(value, ip[9]);
    case FIELD_IP_CHECKSUM:
        return put(value, read16(ip + 10));
    default:
        packet_address(packet, field == FIELD_IP_SRC_ADDR, value->words);
        return true;
    }
}

static bool ipv6_value(enum field field, const struct packet *packet, struct value *value)
{
    const uint8_t *ipv6 = packet->ipv6;

    if (!ipv6)
        return false;
    switch (field) {
    case FIELD_IPV6_TRAFFIC_CLASS:
        return put(value, read16(ipv6) >> 4 & 0xff);
    case FIELD_IPV6_FLOW_LABEL:
        return put(value, read32(ipv6) & 0xfffff);
    case FIELD_IPV6_LENGTH:
        return put(value, read16(ipv6 + 4));
    case FIELD_IPV6_NEXT_HDR:
        return put(value, ipv6[6]);
    case FIELD_IPV6_HOP_LIMIT:
        return put(value, ipv6[7]);
    default:
        packet_address(packet, field == FIELD_IPV6_SRC_ADDR, value->words);
        return true;
    }
}

static bool icmp_value(unsigned member, const uint8_t *icmp, struct value *value)
{
    if (!icmp)
        return false;
    switch (member) {
    case 0:
        return put(value, icmp[0]);
    case 1:
        return put(value, icmp[1]);
    case 2:
        return put(value, read16(icmp + 2));
    default:
        return put(value, read32(icmp + 4));
    }
}

static bool tcp_value(enum field field, const struct packet *packet, struct value *value)
{
    const uint8_t *tcp = packet->tcp;

    if (!tcp)
        return false;
    switch (field) {
    case FIELD_TCP_SRC_PORT:
        return put(value, read16(tcp));
    case FIELD_TCP_DST_PORT:
        return put(value, read16(tcp + 2));
    case FIELD_TCP_SEQ_NUM:
        return put(value, read32(tcp + 4));
    case FIELD_TCP_ACK_NUM:
        return put(value, read32(tcp + 8));
    case FIELD_TCP_HDR_LENGTH:
        return put(value, tcp[12] >> 4);
    case FIELD_TCP_WINDOW:
        return put(value, read16(tcp + 14));
    case FIELD_TCP_CHECKSUM:
        return put(value, read16(tcp + 16));
    case FIELD_TCP_URG_PTR:
        return put(value, read16(tcp + 18));
    case FIELD_TCP_PAYLOAD_LENGTH:
        return put(value, packet->payload_length);
    default: // the flags, highest bit first
        return put(value, tcp[13] >> (FIELD_TCP_FIN - field) & 1);
    }
}

static bool udp_value(enum field field, const struct packet *packet, struct value *value)
{
    const uint8_t *udp = packet->udp;

    if (!udp)
        return false;
    if (field == FIELD_UDP_PAYLOAD_LENGTH)
        return put(value, packet->payload_length);
    return put(value, read16(udp + 2 * (field - FIELD_UDP_SRC_PORT)));
}

// packet[i], tcp.Payload16[-2] and the like: big-endian, a negative index counts from the end.
static bool indexed_value(const struct wd_filter_object *object, const struct packet *packet, struct value *value)
{
    unsigned kind = (object->field - FIELD_PACKET8) / 3;
    int64_t size = 1 << (object->field - FIELD_PACKET8) % 3;
    const uint8_t *base = kind == 0 ? packet->data : packet->payload;
    int64_t length = kind == 0 ? packet->length : packet->payload_length;
    int64_t at = (int32_t)object->arg[1];

    if ((kind == 1 && !packet->tcp) || (kind == 2 && !packet->udp))
        return false;
    if (at < 0)
        at += length;
    if (at < 0 || at + size > length)
        return false;
    for (int64_t i = 0; i < size; i++)
        value->words[0] = value->words[0] << 8 | base[at + i];
    return true;
}

static bool meta_value(enum field field, const struct wd_address *address, const struct packet *packet,
                       struct value *value)
{
    switch (field) {
    case FIELD_ZERO:
        return true;
    case FIELD_INBOUND:
        return put(value, !address->outbound);
    case FIELD_OUTBOUND:
        return put(value, address->outbound);
    case FIELD_IF_IDX:
        return put(value, address->network.if_idx);
    case FIELD_SUB_IF_IDX:
        return put(value, address->network.sub_if_idx);
    case FIELD_LOOPBACK:
        return put(value, address->loopback);
    case FIELD_IMPOSTOR:
        return put(value, address->impostor);
    case FIELD_PROCESS_ID:
        return put(value, address->layer == WD_REFLECT ? address->reflect.pid : address->socket.pid);
    case FIELD_ENDPOINT_ID:
        put64(value, address->socket.endpoint);
        return true;
    case FIELD_PARENT_ENDPOINT_ID:
        put64(value, address->socket.parent_endpoint);
        return true;
    case FIELD_LAYER:
        return put(value, address->reflect.layer);
    case FIELD_PRIORITY:
        return put_signed(value, address->reflect.priority);
    case FIELD_EVENT:
        return put(value, address->event);
    case FIELD_TIMESTAMP:
        return put_signed(value, address->timestamp);
    case FIELD_LENGTH:
        return put(value, packet->length);
    case FIELD_FRAGMENT:
        return put(value, packet->fragment);
    case FIELD_RANDOM8:
        return put(value, random_number(address, packet) & 0xff);
    case FIELD_RANDOM16:
        return put(value, random_number(address, packet) & 0xffff);
    case FIELD_RANDOM32:
        return put(value, random_number(address, packet));
    default:
        return false;
    }
}

bool value_fetch(struct value *value, const struct wd_filter_object *object, const struct wd_address *address,
                 const struct packet *packet)
{
    enum field field = object->field;

    if (field >= FIELD_IP && field <= FIELD_ICMPV6)
        return protocol_bit(field, address, packet, value);
    if (field >= FIELD_LOCAL_ADDR && field <= FIELD_PROTOCOL)
        return has_packets(address) ? packet_end(field, address, packet, value) : socket_end(field, address, value);
    if (field >= FIELD_IP_HDR_LENGTH && field <= FIELD_IP_DST_ADDR)
        return ipv4_value(field, packet, value);
    if (field >= FIELD_IPV6_TRAFFIC_CLASS && field <= FIELD_IPV6_DST_ADDR)
        return ipv6_value(field, packet, value);
    if (field >= FIELD_ICMP_TYPE && field <= FIELD_ICMP_BODY)
        return icmp_value(field - FIELD_ICMP_TYPE, packet->icmp, value);
    if (field >= FIELD_ICMPV6_TYPE && field <= FIELD_ICMPV6_BODY)
        return icmp_value(field - FIELD_ICMPV6_TYPE, packet->icmpv6, value);
    if (field >= FIELD_TCP_SRC_PORT && field <= FIELD_TCP_PAYLOAD_LENGTH)
        return tcp_value(field, packet, value);
    if (field >= FIELD_UDP_SRC_PORT && field <= FIELD_UDP_PAYLOAD_LENGTH)
        return udp_value(field, packet, value);
    if (field >= FIELD_PACKET8 && field <= FIELD_UDP_PAYLOAD32)
        return indexed_value(object, packet, value);
    return meta_value(field, address, packet, value);
}
