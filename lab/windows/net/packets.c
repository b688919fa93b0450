/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a captured packet stays where it was read; an MDL, a buffer and a list are put
 * around it for as long as the callouts look at it, and its verdict goes back to the daemon. By the
 * settings, packets that leave in a row make one list with several buffers, as Windows' own do; what
 * becomes of the list becomes of each of them. Lists on the way in always have one buffer.
 *
 * The checksum fields of the list say for a packet that leaves which sums the card shall still compute, and
 * for one that comes in which the card has found right. The driver reports a sum as valid where the bit is not
 * set, in both cases.
 */
#include "net.h"

#include <string.h>

enum {
    BUFFERS_MAX = 64,
    /* Fields of the layers. */
    FIELD_ADDRESS_1 = 0, /* IPPACKET: local; IPFORWARD: source */
    FIELD_ADDRESS_2 = 1, /* IPPACKET: remote; IPFORWARD: destination */
    FIELD_IPPACKET_INTERFACE_INDEX = 4,
    FIELD_IPPACKET_SUB_INTERFACE_INDEX = 5,
    FIELD_IPPACKET_FLAGS = 6,
    FIELD_IPFORWARD_DESTINATION_INTERFACE_INDEX = 7,
    FIELD_IPFORWARD_FLAGS = 9,
};

/* Of the thread that reads the wire. */
static struct {
    MDL mdl;
    NET_BUFFER buffer;
} slots[BUFFERS_MAX];
static NET_BUFFER_LIST list;
static struct lab_packet like; /* the first record */
static uint32_t count;

static void tell_taken(const struct sink *sink, uint32_t handle, enum lab_how how, NET_BUFFER *buffer)
{
    struct lab_taken record = {
        .head = {LAB_TAKEN, sizeof(record)},
        .handle = handle,
        .how = how,
        .packet_id = buffer->packet_id,
    };

    (void)sink;
    wire_put(&record, NULL, 0);
}

static const struct sink captured_sink = {tell_taken};

static void set_number(FWP_VALUE0 *value, uint32_t number)
{
    value->type = FWP_UINT32;
    value->uint32 = number;
}

static void set_address(FWP_VALUE0 *value, const struct packet *packet, bool source)
{
    if (packet->ip) {
        set_number(value, read32(packet->ip + (source ? 12 : 16)));
    } else {
        value->type = FWP_BYTE_ARRAY16_TYPE;
        value->byteArray16 = (uint8_t *)packet->ipv6 + (source ? 8 : 24);
    }
}

static enum layer layer_of(const struct showing *showing)
{
    enum layer layer = showing->way == WAY_IN    ? LAYER_INBOUND_IPPACKET_V4
                       : showing->way == WAY_OUT ? LAYER_OUTBOUND_IPPACKET_V4
                                                 : LAYER_IPFORWARD_V4;

    return showing->packet->ipv6 ? layer + 1 : layer;
}

/* With IPv6, extension headers count; a fragment that has no transport header begins with its IP headers. */
static uint32_t header_size(const struct packet *packet)
{
    if (packet->transport) {
        return (uint32_t)(packet->transport - packet->data);
    }
    return packet->ip ? (packet->ip[0] & 15u) * 4 : 40;
}

uint32_t packets_show(const struct showing *showing, const struct sink *sink)
{
    const struct packet *packet = showing->packet;
    FWPS_INCOMING_METADATA_VALUES0 metadata;
    enum layer layer = layer_of(showing);
    FWP_VALUE0 values[FIELDS_MAX];
    uint32_t skipped, action;

    if (!layer_is_watched(layer)) {
        return FWP_ACTION_CONTINUE;
    }
    memset(values, 0, sizeof(values));
    memset(&metadata, 0, sizeof(metadata));
    set_address(&values[FIELD_ADDRESS_1], packet, showing->way != WAY_IN);
    set_address(&values[FIELD_ADDRESS_2], packet, showing->way == WAY_IN);
    if (showing->way == WAY_FORWARD) {
        set_number(&values[FIELD_IPFORWARD_DESTINATION_INTERFACE_INDEX], showing->if_idx);
        set_number(&values[FIELD_IPFORWARD_FLAGS], showing->flags);
    } else {
        set_number(&values[FIELD_IPPACKET_INTERFACE_INDEX], showing->if_idx);
        set_number(&values[FIELD_IPPACKET_SUB_INTERFACE_INDEX], showing->sub_if_idx);
        set_number(&values[FIELD_IPPACKET_FLAGS], showing->flags);
    }
    if (showing->way != WAY_IN) {
        return classify(layer, values, &metadata, showing->list, sink);
    }
    skipped = header_size(packet);
    metadata.currentMetadataValues = FWPS_METADATA_FIELD_IP_HEADER_SIZE;
    metadata.ipHeaderSize = skipped;
    NdisAdvanceNetBufferDataStart(showing->list->FirstNetBuffer, skipped, FALSE, NULL);
    action = classify(layer, values, &metadata, showing->list, sink);
    NdisRetreatNetBufferDataStart(showing->list->FirstNetBuffer, skipped, 0, NULL);
    return action;
}

static uintptr_t checksum_info(uint32_t flags)
{
    uintptr_t info;

    if (!(flags & LAB_OUTBOUND)) {
        return (flags & LAB_IP_SUM_MISSING ? RECEIVE_IP_SUCCEEDED : 0) |
               (flags & LAB_TCP_SUM_MISSING ? RECEIVE_TCP_SUCCEEDED : 0) |
               (flags & LAB_UDP_SUM_MISSING ? RECEIVE_UDP_SUCCEEDED : 0);
    }
    info = (flags & LAB_IP_SUM_MISSING ? TRANSMIT_IP_SUM : 0) | (flags & LAB_TCP_SUM_MISSING ? TRANSMIT_TCP_SUM : 0) |
           (flags & LAB_UDP_SUM_MISSING ? TRANSMIT_UDP_SUM : 0);
    if (info) {
        info |= flags & LAB_IPV6 ? TRANSMIT_IS_IPV6 : TRANSMIT_IS_IPV4;
    }
    return info;
}

static bool any_taken(void)
{
    for (const NET_BUFFER *buffer = list.FirstNetBuffer; buffer; buffer = buffer->Next) {
        if (buffer->taker) {
            return true;
        }
    }
    return false;
}

static uint32_t show_list(const struct packet *packet, uint32_t flags)
{
    struct showing showing = {
        .list = &list,
        .packet = packet,
        .way = like.flags & LAB_OUTBOUND ? WAY_OUT : WAY_IN,
        .if_idx = like.if_idx,
        .sub_if_idx = like.sub_if_idx,
        .flags = flags | (like.flags & LAB_LOOPBACK ? FWP_CONDITION_FLAG_IS_LOOPBACK : 0),
    };
    uint32_t action;

    if (like.flags & LAB_OUTBOUND && !(like.flags & LAB_LOOPBACK)) {
        interface_note(like.if_idx);
    }
    list.NetBufferListInfo[NBL_CHECKSUM_INFO] = (void *)checksum_info(like.flags);
    list.impostor = fault_is_set(DRVFAULT_IMPOSTOR, WD_NETWORK, NULL);
    action = packets_show(&showing, &captured_sink);
    if (list.impostor && any_taken()) {
        fault_strikes(DRVFAULT_IMPOSTOR, WD_NETWORK, NULL);
    }
    return action;
}

static uint32_t show_all(const struct packet *packet)
{
    enum fragments fragments;

    if (list.FirstNetBuffer->Next || !fragments_show(&like, packet, &fragments)) {
        return show_list(packet, 0);
    }
    if (fragments == FRAGMENTS_REASSEMBLED) {
        return show_list(packet, FWP_CONDITION_FLAG_IS_REASSEMBLED);
    }
    return fragments == FRAGMENTS_TAKEN ? FWP_ACTION_BLOCK : FWP_ACTION_CONTINUE;
}

void packets_end(void)
{
    const NET_BUFFER *first = list.FirstNetBuffer;
    uint32_t action = FWP_ACTION_CONTINUE;
    struct packet packet;

    if (count == 0) {
        return;
    }
    if (packet_parse(&packet, first->packet, first->packet_length)) {
        action = show_all(&packet);
    }
    for (const NET_BUFFER *buffer = first; buffer; buffer = buffer->Next) {
        struct lab_verdict verdict = {
            .head = {LAB_VERDICT, sizeof(verdict)},
            .packet_id = buffer->packet_id,
            .pass = action != FWP_ACTION_BLOCK,
        };

        wire_put(&verdict, NULL, 0);
    }
    count = 0;
}

static uint32_t list_limit(void)
{
    uint32_t lists = net_settings.lists;

    return !(like.flags & LAB_OUTBOUND) || net_settings.fragments || lists == 0 ? 1
           : lists > BUFFERS_MAX                                                ? BUFFERS_MAX
                                                                                : lists;
}

void packets_take(const struct lab_packet *record)
{
    uint8_t *data = (uint8_t *)(record + 1);
    uint32_t length = record->head.size - (uint32_t)sizeof(*record);
    NET_BUFFER *buffer;

    if (count > 0 &&
        (record->flags != like.flags || record->if_idx != like.if_idx || record->sub_if_idx != like.sub_if_idx)) {
        packets_end();
    }
    if (count == 0) {
        net_buffer_list_init(&list);
        like = *record;
    }
    buffer = &slots[count].buffer;
    mdl_describe(&slots[count].mdl, data, length);
    net_buffer_init(buffer, &slots[count].mdl, 0, length);
    buffer->packet = data;
    buffer->packet_length = length;
    buffer->packet_id = record->id;
    net_buffer_append(&list, buffer);
    if (++count >= list_limit()) {
        packets_end();
    }
}
