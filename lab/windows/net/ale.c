/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what a socket does is shown to the layer at which Windows asks or tells (application
 * layer enforcement). Binding, connecting, listening and accepting are asked for: a callout may block them.
 * Closing, and flows, are told. The end of a flow is no layer: callouts that keep a context are called.
 *
 * An event has the time at which it happened, also if it comes late. Where the daemon waits for the answer,
 * a program stands still in its call, and with it its wineserver: receives that complete meanwhile are
 * kept until the answer is on its way.
 */
#include "net.h"

#include <string.h>

/* Fields that all these layers have in common; flags and direction have a place of their own in each. */
enum {
    FIELD_LOCAL_ADDRESS = 2,
    FIELD_LOCAL_PORT = 4,
    FIELD_PROTOCOL = 5,
    FIELD_REMOTE_ADDRESS = 6,
    FIELD_REMOTE_PORT = 7,
    FIELD_FLOW_DIRECTION = 12,
};

static const struct ale_layer {
    enum layer layer;  /* for IPv4 */
    uint8_t flags;     /* field */
    bool has_protocol; /* else its place has another field */
    bool has_remote;
} layers[] = {
    [WD_SOCKET_BIND] = {LAYER_ALE_RESOURCE_ASSIGNMENT_V4, 8, true, false},
    [WD_SOCKET_CONNECT] = {LAYER_ALE_AUTH_CONNECT_V4, 12, true, true},
    [WD_SOCKET_LISTEN] = {LAYER_ALE_AUTH_LISTEN_V4, 6, false, false},
    [WD_SOCKET_ACCEPT] = {LAYER_ALE_AUTH_RECV_ACCEPT_V4, 11, true, true},
    [WD_SOCKET_CLOSE] = {LAYER_ALE_ENDPOINT_CLOSURE_V4, 9, true, true},
    [WD_FLOW_ESTABLISHED] = {LAYER_ALE_FLOW_ESTABLISHED_V4, 15, true, true},
};
static const struct ale_layer port_closed = {LAYER_ALE_RESOURCE_RELEASE_V4, 7, true, false};

static void tell_taken(const struct sink *sink, uint32_t handle, enum lab_how how, NET_BUFFER *buffer)
{
    struct lab_taken record = {
        .head = {LAB_TAKEN, sizeof(record)},
        .handle = handle,
        .how = how,
        .event = 1,
    };

    (void)sink;
    (void)buffer;
    wire_put(&record, NULL, 0);
}

static const struct sink event_sink = {tell_taken};

static void set_number(FWP_VALUE0 *value, uint32_t type, uint32_t number)
{
    value->type = type;
    if (type == FWP_UINT8) {
        value->uint8 = (uint8_t)number;
    } else if (type == FWP_UINT16) {
        value->uint16 = (uint16_t)number;
    } else {
        value->uint32 = number;
    }
}

/* Windows has IPv6 addresses in network order. */
static void set_address(FWP_VALUE0 *value, bool ipv6, const uint32_t words[4], uint8_t bytes[16])
{
    if (!ipv6) {
        set_number(value, FWP_UINT32, words[0]);
        return;
    }
    for (int i = 0; i < 16; i++) {
        bytes[i] = (uint8_t)(words[3 - i / 4] >> (24 - i % 4 * 8));
    }
    value->type = FWP_BYTE_ARRAY16_TYPE;
    value->byteArray16 = bytes;
}

static void fill_metadata(FWPS_INCOMING_METADATA_VALUES0 *metadata, const struct lab_ale *event)
{
    memset(metadata, 0, sizeof(*metadata));
    metadata->currentMetadataValues = FWPS_METADATA_FIELD_PROCESS_ID | FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE;
    metadata->processId = event->pid;
    metadata->transportEndpointHandle = event->endpoint;
    if (event->parent_endpoint) {
        metadata->currentMetadataValues |= FWPS_METADATA_FIELD_PARENT_ENDPOINT_HANDLE;
        metadata->parentEndpointHandle = event->parent_endpoint;
    }
    if (event->event == WD_FLOW_ESTABLISHED) {
        metadata->currentMetadataValues |= FWPS_METADATA_FIELD_FLOW_HANDLE;
        metadata->flowHandle = event->flow;
    }
}

static uint32_t show(const struct lab_ale *event, const struct ale_layer *at)
{
    enum layer layer = event->flags & LAB_IPV6 ? at->layer + 1 : at->layer;
    bool ipv6 = event->flags & LAB_IPV6;
    FWPS_INCOMING_METADATA_VALUES0 metadata;
    FWP_VALUE0 values[FIELDS_MAX];
    uint8_t local[16], remote[16];
    uint32_t flags = event->flags & LAB_LOOPBACK ? FWP_CONDITION_FLAG_IS_LOOPBACK : 0;

    if (!layer_is_watched(layer)) {
        return FWP_ACTION_CONTINUE;
    }
    memset(values, 0, sizeof(values));
    fill_metadata(&metadata, event);
    set_address(&values[FIELD_LOCAL_ADDRESS], ipv6, event->local_addr, local);
    set_number(&values[FIELD_LOCAL_PORT], FWP_UINT16, event->local_port);
    if (at->has_protocol) {
        set_number(&values[FIELD_PROTOCOL], FWP_UINT8, event->protocol);
    }
    if (at->has_remote) {
        set_address(&values[FIELD_REMOTE_ADDRESS], ipv6, event->remote_addr, remote);
        set_number(&values[FIELD_REMOTE_PORT], FWP_UINT16, event->remote_port);
    }
    if (event->event == WD_FLOW_ESTABLISHED) {
        set_number(&values[FIELD_FLOW_DIRECTION], FWP_UINT32,
                   event->flags & LAB_OUTBOUND ? FWP_DIRECTION_OUTBOUND : FWP_DIRECTION_INBOUND);
    }
    set_number(&values[at->flags], FWP_UINT32, flags);
    return classify(layer, values, &metadata, NULL, &event_sink);
}

static void answer(const struct lab_ale *event, uint32_t action)
{
    struct lab_veto veto = {
        .head = {LAB_VETO, sizeof(veto)},
        .ask = event->ask,
        .blocked = action == FWP_ACTION_BLOCK,
    };

    wire_put(&veto, NULL, 0);
    wire_flush();
}

void ale_take(const struct lab_ale *event)
{
    bool asked = event->flags & LAB_ASK;
    uint32_t action = FWP_ACTION_CONTINUE;

    if (asked) {
        completions_defer();
    }
    clock_set(event->ticks);
    if (event->event == WD_FLOW_DELETED) {
        flow_deleted(event->flow, &event_sink);
    } else if (event->event == WD_SOCKET_CLOSE && event->closes_port) {
        action = show(event, &port_closed);
    } else if (event->event >= WD_FLOW_ESTABLISHED && event->event <= WD_SOCKET_CLOSE) {
        action = show(event, &layers[event->event]);
    }
    clock_set(0);
    if (asked) {
        answer(event, action);
        completions_resume();
    }
}

void ale_end_all(void)
{
    flows_all_deleted(&event_sink);
}
