/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: an injected packet is first judged by Windows' rules (strict.c), then shown to its
 * layer again, where the handles of lower priority see it, and, if none of them takes it, given to the
 * daemon to be sent. The daemon is told of each injection, whatever became of it.
 *
 * If a handle takes the packet away, its program may have received it, and sent it on, before the callout
 * has returned. So the injection is told when the taking begins, just before that is told itself.
 */
#include "net.h"

/* An injection that is being made. */
struct making {
    struct sink sink;
    struct lab_injected record; /* lacks its outcome */
    bool told;
};

static void tell(struct making *making, enum lab_outcome outcome, const NET_BUFFER *buffer)
{
    if (making->told) {
        return;
    }
    making->told = true;
    making->record.outcome = outcome;
    wire_put(&making->record, buffer->packet, buffer->packet_length);
}

static void tell_taken(const struct sink *sink, uint32_t handle, enum lab_how how, NET_BUFFER *buffer)
{
    struct lab_taken record = {
        .head = {LAB_TAKEN, sizeof(record)},
        .handle = handle,
        .how = how,
        .again = 1,
    };

    if (how != LAB_SNIFFED) {
        tell(CONTAINING_RECORD(sink, struct making, sink), LAB_ABSORBED, buffer);
    }
    wire_put(&record, buffer->packet, buffer->packet_length);
}

static enum lab_outcome show(struct making *making, const struct injection *injection, const struct packet *packet,
                             bool loopback)
{
    struct showing showing = {
        .list = injection->list,
        .packet = packet,
        .way = injection->way,
        .if_idx = making->record.if_idx,
        .sub_if_idx = injection->sub_if_idx,
        .flags = loopback ? FWP_CONDITION_FLAG_IS_LOOPBACK : 0,
    };

    return packets_show(&showing, &making->sink) == FWP_ACTION_BLOCK ? LAB_ABSORBED : LAB_SENT;
}

/*
 * Windows judges the packet as a connection of System with protocol 255, before it comes to its layer again. The
 * driver is not told: injection has succeeded by then.
 */
static bool firewall_blocks(const struct injection *injection, const uint32_t destination[4])
{
    uint32_t family = injection->ipv6 ? 2 : 1;

    return injection->way == WAY_OUT && net_settings.firewall & family && !address_is_local(destination);
}

static NTSTATUS judge_and_show(struct making *making, const struct injection *injection, const NET_BUFFER *buffer,
                               enum lab_outcome *outcome)
{
    uint32_t source[4], destination[4];
    struct packet packet;
    NTSTATUS status;

    if (!packet_parse(&packet, buffer->packet, buffer->packet_length) || (packet.ipv6 != NULL) != injection->ipv6) {
        return (NTSTATUS)ST_DATA_NOT_ACCEPTED;
    }
    packet_address(&packet, true, source);
    packet_address(&packet, false, destination);
    if (injection->way == WAY_OUT) {
        making->record.if_idx = interface_towards(source, destination);
    }
    status = strict_check(&packet, injection->way, making->record.if_idx, outcome);
    if (NT_SUCCESS(status) && *outcome == LAB_SENT && firewall_blocks(injection, destination)) {
        *outcome = LAB_FIREWALL;
    }
    if (NT_SUCCESS(status) && (*outcome == LAB_SENT || *outcome == LAB_OUTBOUND_LOOPBACK)) {
        if (show(making, injection, &packet, injection->way == WAY_OUT && address_is_local(destination)) ==
            LAB_ABSORBED) {
            *outcome = LAB_ABSORBED;
        }
    }
    return status;
}

static NTSTATUS inject(const struct injection *injection, NET_BUFFER *buffer)
{
    const struct handle *handle = handle_of_weight(injection->weight);
    enum lab_outcome outcome = LAB_REFUSED;
    struct making making = {.sink = {tell_taken}};
    NTSTATUS status;
    bool fails = requests_injection_fails(&status);

    making.record = (struct lab_injected){
        .head = {LAB_INJECTED, sizeof(making.record)},
        .handle = handle ? handle->number : LAB_HANDLES_MAX,
        .outbound = injection->way != WAY_IN,
        .if_idx = injection->if_idx,
        .again = !requests_sending(),
        .claimed = requests_claimed(),
    };
    if (!fails) {
        status = judge_and_show(&making, injection, buffer, &outcome);
    }
    tell(&making, NT_SUCCESS(status) ? outcome : LAB_REFUSED, buffer);
    if (making.record.again) {
        wire_flush(); /* no request will complete that could do it */
    }
    return status;
}

NTSTATUS net_inject(const struct injection *injection)
{
    NET_BUFFER *buffer = injection->list->FirstNetBuffer;
    uint32_t length = (uint32_t)buffer->DataLength;
    void *copy = NULL;
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;

    buffer->packet_length = length;
    buffer->packet = NdisGetDataBuffer(buffer, length, NULL, 1, 0);
    if (!buffer->packet) {
        copy = lab_allocate(length);
        buffer->packet = copy ? NdisGetDataBuffer(buffer, length, copy, 1, 0) : NULL;
    }
    if (buffer->packet) {
        status = inject(injection, buffer);
    }
    if (copy) {
        lab_free(copy);
    }
    return status;
}
