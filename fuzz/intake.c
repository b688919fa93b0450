/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the driver hands over: address structures, and packets that stand back to back.
 *
 * Input: one divert_address, the bytes of a second one to change it to, and a batch. What must hold: what the engine is
 * told is what the structure says, by an independent reading; carrying a packet's facts over and back changes nothing,
 * and changing them changes nothing else; a batch is cut up without touching what is behind it.
 */
#include "fuzz.h"

#include "windows/divert.h"

enum { ADDRESS = sizeof(struct divert_address) };

/* Of the whole structure, unused bytes included: all of it goes back to the driver. */
static bool same_bytes(const void *a, const void *b)
{
    return !memcmp(a, b, ADDRESS);
}

static void check_meta(const struct divert_address *a, const struct divert_address *other)
{
    struct divert_address copy = *a;
    struct packet_meta meta = divert_packet_meta(a, DIVERT_TCP_CHECKSUM),
                       theirs = divert_packet_meta(other, DIVERT_TCP_CHECKSUM);
    MUST(meta.outbound == !!(a->flags & DIVERT_OUTBOUND) && meta.loopback == !!(a->flags & DIVERT_LOOPBACK));
    divert_apply_meta(&copy, &meta, DIVERT_TCP_CHECKSUM);
    MUST(same_bytes(&copy, a));

    divert_apply_meta(&copy, &theirs, DIVERT_TCP_CHECKSUM);
    struct packet_meta now = divert_packet_meta(&copy, DIVERT_TCP_CHECKSUM);
    MUST(meta_equal(&now, &theirs) && now.timestamp == a->timestamp);
    copy.network.if_index = a->network.if_index;
    copy.network.sub_if_index = a->network.sub_if_index;
    const uint8_t ours = DIVERT_OUTBOUND | DIVERT_LOOPBACK | DIVERT_IMPOSTOR | DIVERT_IP_CHECKSUM | DIVERT_TCP_CHECKSUM;
    MUST(!((copy.flags ^ a->flags) & (uint8_t)~ours));
    copy.flags = a->flags;
    MUST(same_bytes(&copy, a));
}

/* One byte of a 128-bit number whose least significant word comes first. `n` counts from the most significant byte. */
static uint8_t byte_of(const uint32_t words[4], int n)
{
    return (uint8_t)(words[3 - n / 4] >> (24 - 8 * (n % 4)));
}

static void check_address(const ip_addr *is, const uint32_t words[4], bool ip6)
{
    for (int i = 0; i < 16; i++) {
        uint8_t mapped = i < 10 ? 0 : 0xff;
        MUST(is->bytes[i] == (ip6 || i >= 12 ? byte_of(words, i) : mapped));
    }
}

static void check_event(const struct divert_address *a)
{
    static const enum socket_event_kind kinds[] = {SOCKET_BIND, SOCKET_CONNECT, SOCKET_LISTEN, SOCKET_ACCEPT,
                                                   SOCKET_CLOSE};
    struct socket_event event;
    bool known =
        a->layer == 3 && a->event >= 3 && a->event <= 7 && (a->socket.protocol == 6 || a->socket.protocol == 17);
    MUST(divert_socket_event(a, &event) == known);
    if (!known) {
        return;
    }
    bool ip6 = a->flags & DIVERT_IPV6;
    MUST(event.kind == kinds[a->event - 3] && event.pid == a->socket.process_id && event.timestamp == a->timestamp);
    MUST(event.protocol == a->socket.protocol);
    MUST(event.tuple.family == (ip6 ? FAMILY_IP6 : FAMILY_IP4));
    MUST(be16_to_host(event.tuple.src_port) == a->socket.local_port);
    MUST(be16_to_host(event.tuple.dst_port) == a->socket.remote_port);
    check_address(&event.tuple.src, a->socket.local_addr, ip6);
    check_address(&event.tuple.dst, a->socket.remote_addr, ip6);
}

static void check_batch(const uint8_t *batch, uint32_t size)
{
    uint32_t at = 0, length;
    while ((length = packet_length(batch + at, size - at)) != 0) {
        MUST(length >= 20 && length <= size - at);
        struct packet p;
        uint8_t *exact = exact_copy(batch + at, length);
        if (packet_parse(exact, length, &p) == PACKET_TCP) {
            MUST(p.length == length && p.tcp >= p.ip + 20 && p.tcp + 20 + p.payload <= p.ip + length);
        }
        free(exact);
        at += length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct divert_address both[2];
    if (size < sizeof both) {
        return -1;
    }
    memcpy(both, data, sizeof both);
    check_meta(&both[0], &both[1]);
    check_event(&both[0]);
    uint8_t *batch = exact_copy(data + sizeof both, size - sizeof both);
    check_batch(batch, (uint32_t)(size - sizeof both));
    free(batch);
    return 0;
}
