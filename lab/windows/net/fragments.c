/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: Linux captures a datagram that is larger than the MTU whole, before it is cut or after
 * it has been put together. Windows shows its fragments, too:
 *
 *   in    each fragment as a packet, and again with the flag IS_FRAGMENT; then the datagram with the flag
 *         IS_REASSEMBLED
 *   out   each fragment as a packet; then all of them as a chain of lists, the fragment group
 *
 * So they are made here, shown one after the other, and thrown away: if none has been taken, the whole
 * datagram passes, which Linux cuts itself. If one has been, the datagram is dropped, and those that
 * nobody took are sent on by themselves.
 *
 * Each lies in memory in one piece, described by two MDLs, headers and data, which is how Windows' stack has them.
 */
#include "net.h"

#include <string.h>

enum {
    IPV6_HEADER = 40,
    FRAGMENT_HEADER = 8,
    PROTOCOL_FRAGMENT = 44,
    DONT_FRAGMENT = 0x4000,
    MORE_FRAGMENTS = 0x2000,
    FRAGMENTS_MAX = 256,
};

static uint8_t bytes[LAB_PACKET_BYTES_MAX];
static uint8_t taken[FRAGMENTS_MAX];
static uint32_t last_identification;

static struct {
    MDL headers, data;
    NET_BUFFER_LIST list;
} pieces[2];

static void store16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Bytes of the datagram that each fragment repeats. */
static uint32_t repeated(const struct packet *whole)
{
    return whole->ip ? (whole->ip[0] & 15u) * 4 : IPV6_HEADER;
}

static uint32_t per_fragment(const struct packet *whole, uint32_t mtu)
{
    uint32_t headers = repeated(whole) + (whole->ipv6 ? FRAGMENT_HEADER : 0);

    return mtu > headers ? (mtu - headers) & ~7u : 0;
}

static bool is_cut(const struct packet *whole, uint32_t mtu)
{
    uint32_t part;

    if (mtu == 0 || whole->length <= mtu || whole->fragment) {
        return false;
    }
    if (whole->ip && read16(whole->ip + 6) & DONT_FRAGMENT) {
        return false;
    }
    if (whole->ipv6 && whole->transport != whole->data + IPV6_HEADER) {
        return false; /* extension headers: which of them are repeated is not worked out here */
    }
    part = per_fragment(whole, mtu);
    return part > 0 && (whole->length - repeated(whole)) / part < FRAGMENTS_MAX;
}

/* Makes a fragment in `bytes`. Its length; 0: there is none of that number. */
static uint32_t make(const struct packet *whole, uint32_t mtu, uint32_t number)
{
    uint32_t headers = repeated(whole), part = per_fragment(whole, mtu);
    uint32_t offset = number * part, left = whole->length - headers;
    bool more;

    if (offset >= left) {
        return 0;
    }
    left -= offset;
    more = left > part;
    if (more) {
        left = part;
    }
    memcpy(bytes, whole->data, headers);
    if (whole->ip) {
        store16(bytes + 2, headers + left);
        store16(bytes + 6, offset / 8 | (more ? MORE_FRAGMENTS : 0));
    } else {
        store16(bytes + 4, FRAGMENT_HEADER + left);
        bytes[headers] = bytes[6];
        bytes[6] = PROTOCOL_FRAGMENT;
        bytes[headers + 1] = 0;
        store16(bytes + headers + 2, offset | (more ? 1 : 0));
        memcpy(bytes + headers + 4, &last_identification, sizeof(last_identification));
        headers += FRAGMENT_HEADER;
    }
    memcpy(bytes + headers, whole->data + repeated(whole) + offset, left);
    if (whole->ip) {
        packet_set_checksums(bytes, headers + left, SUM_IP);
    }
    return headers + left;
}

static void tell_taken(const struct sink *sink, uint32_t handle, enum lab_how how, NET_BUFFER *buffer)
{
    struct lab_taken record = {
        .head = {LAB_TAKEN, sizeof(record)},
        .handle = handle,
        .how = how,
    };

    (void)sink;
    wire_put(&record, buffer->packet, buffer->packet_length);
}

static const struct sink fragment_sink = {tell_taken};

static NET_BUFFER_LIST *describe(int piece, uint32_t headers, uint32_t length)
{
    NET_BUFFER_LIST *list = &pieces[piece].list;

    mdl_describe(&pieces[piece].headers, bytes, headers);
    mdl_describe(&pieces[piece].data, bytes + headers, length - headers);
    pieces[piece].headers.Next = &pieces[piece].data;
    net_buffer_list_init(list);
    net_buffer_init(&list->first, &pieces[piece].headers, 0, length);
    list->first.packet = bytes;
    list->first.packet_length = length;
    net_buffer_append(list, &list->first);
    return list;
}

/* True: it has been taken. */
static bool show(const struct lab_packet *record, NET_BUFFER_LIST *list, uint32_t flags)
{
    struct packet packet;
    struct showing showing = {
        .list = list,
        .packet = &packet,
        .way = record->flags & LAB_OUTBOUND ? WAY_OUT : WAY_IN,
        .if_idx = record->if_idx,
        .sub_if_idx = record->sub_if_idx,
        .flags = flags | (record->flags & LAB_LOOPBACK ? FWP_CONDITION_FLAG_IS_LOOPBACK : 0),
    };

    return packet_parse(&packet, bytes, list->first.packet_length) &&
           packets_show(&showing, &fragment_sink) == FWP_ACTION_BLOCK;
}

static bool show_one(const struct lab_packet *record, const struct packet *whole, uint32_t length)
{
    uint32_t headers = repeated(whole) + (whole->ipv6 ? FRAGMENT_HEADER : 0);
    NET_BUFFER_LIST *list = describe(0, headers, length);

    if (show(record, list, 0)) {
        return true;
    }
    return !(record->flags & LAB_OUTBOUND) && show(record, list, FWP_CONDITION_FLAG_IS_FRAGMENT);
}

/* The chain has two links, both the last fragment: callouts look at whether there is a next one, if at all. */
static void show_group(const struct lab_packet *record, const struct packet *whole, uint32_t length)
{
    uint32_t headers = repeated(whole) + (whole->ipv6 ? FRAGMENT_HEADER : 0);
    NET_BUFFER_LIST *list = describe(0, headers, length);

    list->Next = describe(1, headers, length);
    show(record, list, 0);
}

static void send_rest(const struct lab_packet *record, const struct packet *whole)
{
    struct lab_injected injected = {
        .head = {LAB_INJECTED, sizeof(injected)},
        .handle = LAB_HANDLES_MAX,
        .outcome = LAB_SENT,
        .outbound = record->flags & LAB_OUTBOUND ? 1 : 0,
        .if_idx = record->if_idx,
        .again = 1,
        .claimed = LAB_IP_SUM_MISSING | LAB_TCP_SUM_MISSING | LAB_UDP_SUM_MISSING,
    };
    uint32_t length;

    for (uint32_t i = 0; (length = make(whole, record->mtu, i)) > 0; i++) {
        if (!taken[i]) {
            wire_put(&injected, bytes, length);
        }
    }
}

bool fragments_show(const struct lab_packet *record, const struct packet *whole, enum fragments *result)
{
    uint32_t length, count = 0;
    bool any = false;

    if (!net_settings.fragments || !is_cut(whole, record->mtu)) {
        return false;
    }
    last_identification++;
    for (; (length = make(whole, record->mtu, count)) > 0; count++) {
        taken[count] = show_one(record, whole, length);
        any |= taken[count];
    }
    if (any) {
        send_rest(record, whole);
    } else if (record->flags & LAB_OUTBOUND) {
        show_group(record, whole, make(whole, record->mtu, count - 1));
    }
    *result = any ? FRAGMENTS_TAKEN : record->flags & LAB_OUTBOUND ? FRAGMENTS_PASS : FRAGMENTS_REASSEMBLED;
    return true;
}
