/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: converts WinDivert's address structure to the engine's types and back, byte order included.
 *
 * Socket events carry addresses as one 128-bit number, least significant word first, ports in host order. An
 * unspecified IPv4 address comes as all zeros, not mapped, so the family is taken from the flag and never from the
 * shape of the address. Nothing here needs Windows.
 */
#include "windows/divert.h"

/* Values of divert_address.event on the SOCKET layer. */
enum { EVENT_BIND = 3, EVENT_CONNECT, EVENT_LISTEN, EVENT_ACCEPT, EVENT_CLOSE };

static void set_flag(uint8_t *flags, uint8_t flag, bool on)
{
    *flags = (uint8_t)(on ? *flags | flag : *flags & ~flag);
}

struct packet_meta divert_packet_meta(const struct divert_address *a, uint8_t transport)
{
    return (struct packet_meta){
        .timestamp = a->timestamp,
        .if_index = a->network.if_index,
        .sub_if_index = a->network.sub_if_index,
        .outbound = a->flags & DIVERT_OUTBOUND,
        .loopback = a->flags & DIVERT_LOOPBACK,
        .impostor = a->flags & DIVERT_IMPOSTOR,
        .ip_checksum_valid = a->flags & DIVERT_IP_CHECKSUM,
        .transport_checksum_valid = a->flags & transport,
    };
}

void divert_apply_meta(struct divert_address *a, const struct packet_meta *m, uint8_t transport)
{
    a->network.if_index = m->if_index;
    a->network.sub_if_index = m->sub_if_index;
    set_flag(&a->flags, DIVERT_OUTBOUND, m->outbound);
    set_flag(&a->flags, DIVERT_LOOPBACK, m->loopback);
    set_flag(&a->flags, DIVERT_IMPOSTOR, m->impostor);
    set_flag(&a->flags, DIVERT_IP_CHECKSUM, m->ip_checksum_valid);
    set_flag(&a->flags, transport, m->transport_checksum_valid);
}

static ip_addr address_from_words(const uint32_t words[4], uint32_t family)
{
    uint8_t bytes[16];
    for (int i = 0; i < 16; i++) {
        bytes[15 - i] = (uint8_t)(words[i / 4] >> 8 * (i % 4));
    }
    return family == FAMILY_IP4 ? ip_addr_from_ip4(bytes + 12) : ip_addr_from_ip6(bytes);
}

bool divert_socket_event(const struct divert_address *a, struct socket_event *out)
{
    static const enum socket_event_kind kinds[] = {SOCKET_BIND, SOCKET_CONNECT, SOCKET_LISTEN, SOCKET_ACCEPT,
                                                   SOCKET_CLOSE};
    if (a->layer != DIVERT_LAYER_SOCKET || a->event < EVENT_BIND || a->event > EVENT_CLOSE ||
        (a->socket.protocol != PROTOCOL_TCP && a->socket.protocol != PROTOCOL_UDP)) {
        return false;
    }
    uint32_t family = a->flags & DIVERT_IPV6 ? FAMILY_IP6 : FAMILY_IP4;
    *out = (struct socket_event){
        .kind = kinds[a->event - EVENT_BIND],
        .protocol = a->socket.protocol,
        .pid = a->socket.process_id,
        .timestamp = a->timestamp,
        .endpoint = a->socket.endpoint_id,
        .tuple = {.src = address_from_words(a->socket.local_addr, family),
                  .dst = address_from_words(a->socket.remote_addr, family),
                  .src_port = be16_from_host(a->socket.local_port),
                  .dst_port = be16_from_host(a->socket.remote_port),
                  .family = family},
    };
    return true;
}
