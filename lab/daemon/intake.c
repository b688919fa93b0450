/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a table says for each type of record how long its fixed part is and what it is
 * taken in by. The order of the records is that in which things were told. It is not always that in which
 * they happened: that a handle has taken a packet may be told after another thread has told that user
 * mode received it.
 */
#include "intake.h"

#include <stdio.h>
#include <string.h>

#include "ale.h"
#include "audit.h"
#include "capture.h"
#include "control.h"
#include "drvfault.h"
#include "handles.h"
#include "inject.h"
#include "obstacle.h"
#include "packet.h"
#include "records.h"

enum { LOG_MAX = 1000 };

typedef void record_fn(const void *record, const uint8_t *data, uint32_t length);

static void take_verdict(const void *record, const uint8_t *data, uint32_t length)
{
    const struct lab_verdict *verdict = record;

    (void)data;
    (void)length;
    capture_verdict(verdict->packet_id, verdict->pass != 0);
}

static enum counter counter_of(const struct lab_taken *taken)
{
    if (taken->how == LAB_BLOCKED) {
        return COUNT_blocked;
    }
    return taken->how == LAB_SNIFFED ? COUNT_sniffed : COUNT_diverted;
}

/* The order of a diverted packet waits for its reception, unless that has been told already. */
static void remember_taken(const struct handle *handle, const struct lab_taken *taken, const struct packet *packet)
{
    if (taken->how == LAB_DIVERTED && handle->account && !capture_was_joined(taken->packet_id)) {
        audit_taken(handle->account, audit_key(packet), taken->again ? AUDIT_AGAIN : taken->packet_id);
    }
}

static void take_taken(const void *record, const uint8_t *data, uint32_t length)
{
    const struct lab_taken *taken = record;
    struct handle *handle = handles_find(taken->handle);
    struct packet packet;
    bool known = taken->packet_id ? capture_packet(taken->packet_id, &packet) : packet_parse(&packet, data, length);

    if (!handle) {
        return;
    }
    if (taken->how != LAB_BLOCKED) {
        handle->taken++;
        handle->state_is_new = false;
    }
    if (taken->event) {
        counters_add(&handle->counters, COUNT_events, 1);
        return;
    }
    if (known) {
        counters_add_packet(&handle->counters, counter_of(taken), &packet);
    } else {
        counters_add(&handle->counters, counter_of(taken), 1);
    }
    if (known) {
        remember_taken(handle, taken, &packet);
    }
}

static void audit_one(const struct handle *handle, const struct lab_received *received, const struct packet *packet)
{
    uint64_t key = audit_key(packet), order;
    struct wd_address address;

    memcpy(&address, received->address, sizeof(address));
    if (!audit_find_taken(handle->account, key, &order)) {
        order = capture_join(key);
    }
    audit_received(handle->account, packet, &address, order);
}

static void take_received(const void *record, const uint8_t *data, uint32_t length)
{
    const struct lab_received *received = record;
    struct handle *handle = handles_find(received->handle);
    enum counter counter = received->whole ? COUNT_received : COUNT_truncated;
    struct packet packet;

    if (!handle) {
        return;
    }
    if (handle->layer == WD_REFLECT) { /* these events come from the driver itself */
        counters_add(&handle->counters, COUNT_events, 1);
        handle->taken++;
    }
    handle->gone++;
    handle->state_is_new = false;
    if (handle->layer != WD_NETWORK || !packet_parse(&packet, data, length)) {
        counters_add(&handle->counters, counter, 1);
        return;
    }
    counters_add_packet(&handle->counters, counter, &packet);
    if (received->whole && !(handle->flags & WD_SNIFF) && handle->account) {
        audit_one(handle, received, &packet);
    }
}

static void take_called(const void *record, const uint8_t *data, uint32_t length)
{
    const struct lab_called *called = record;
    struct handle *handle = handles_find(called->handle);

    (void)data;
    (void)length;
    if (handle) {
        counters_add(&handle->counters, called->send ? COUNT_send_calls : COUNT_receive_calls, 1);
    }
}

static enum counter counter_of_outcome(const struct lab_injected *injected, const struct packet *packet)
{
    switch (injected->outcome) {
    case LAB_SENT:
        return inject_send(packet, injected);
    case LAB_ABSORBED:
        return COUNTERS;
    case LAB_BAD_CHECKSUM:
        return COUNT_bad_checksum;
    case LAB_INBOUND_LOOPBACK:
        return COUNT_inbound_loopback;
    case LAB_INBOUND_NOT_LOCAL:
        return COUNT_inbound_not_local;
    case LAB_INBOUND_TOO_LARGE:
        return COUNT_inbound_too_large;
    case LAB_LOOPBACK_SOURCE:
        return COUNT_loopback_source;
    case LAB_OUTBOUND_LOOPBACK:
        return COUNT_outbound_loopback;
    case LAB_FIREWALL:
        return COUNT_firewall;
    default:
        return COUNT_refused;
    }
}

static struct wd_address address_of(const struct lab_injected *injected)
{
    return (struct wd_address){
        .outbound = injected->outbound != 0,
        .impostor = (injected->claimed & LAB_IMPOSTOR) != 0,
        .ip_checksum = (injected->claimed & LAB_IP_SUM_MISSING) != 0,
        .tcp_checksum = (injected->claimed & LAB_TCP_SUM_MISSING) != 0,
        .udp_checksum = (injected->claimed & LAB_UDP_SUM_MISSING) != 0,
    };
}

static void audit_injection(const struct handle *handle, const struct lab_injected *injected,
                            const struct packet *packet)
{
    struct wd_address address = address_of(injected);
    bool absorbed = injected->outcome == LAB_ABSORBED;
    struct audit_look look;

    if (injected->again && absorbed) {
        audit_given_back(handle->account, audit_key(packet));
    }
    if (injected->again || injected->outcome == LAB_REFUSED) {
        return;
    }
    look = audit_look(packet, &address);
    audit_injected(handle->account, &look, absorbed);
}

static void take_injected(const void *record, const uint8_t *data, uint32_t length)
{
    const struct lab_injected *injected = record;
    struct handle *handle = handles_find(injected->handle);
    struct counters *counters = handle ? &handle->counters : NULL;
    enum counter counter;
    struct packet packet;

    if (handle && injected->again) {
        handle->gone++;
        handle->state_is_new = false;
    }
    if (!packet_parse(&packet, data, length)) {
        counters_add(counters, COUNT_refused, 1);
        return;
    }
    counter = counter_of_outcome(injected, &packet); /* of the loss */
    if (counter == COUNTERS) {
        counter = injected->again ? COUNT_reinjected : COUNT_injected;
    }
    counters_add_packet(counters, counter, &packet);
    if (handle) {
        audit_injection(handle, injected, &packet);
    }
}

static void take_opened(const void *record, const uint8_t *data, uint32_t length)
{
    (void)data;
    (void)length;
    handles_opened(record);
    if (((const struct lab_opened *)record)->layer == WD_NETWORK) {
        obstacle_opened();
    }
    ale_handles_changed(((const struct lab_opened *)record)->layer == WD_SOCKET);
}

static void take_shut(const void *record, const uint8_t *data, uint32_t length)
{
    (void)data;
    (void)length;
    handles_shut(record);
    ale_handles_changed(false);
}

static void take_closed(const void *record, const uint8_t *data, uint32_t length)
{
    (void)data;
    (void)length;
    handles_closed(record);
    ale_handles_changed(false);
}

static void take_struck(const void *record, const uint8_t *data, uint32_t length)
{
    const struct lab_struck *struck = record;

    (void)data;
    (void)length;
    drvfault_struck(struck);
    if (struck->fault == DRVFAULT_UNLOAD) {
        handles_died();
        control_unloaded();
    }
}

static void take_state(const void *record, const uint8_t *data, uint32_t length)
{
    (void)data;
    (void)length;
    handles_state(record);
}

static void take_query(const void *record, const uint8_t *data, uint32_t length)
{
    (void)data;
    (void)length;
    control_told(((const struct lab_query *)record)->token);
}

static void take_veto(const void *record, const uint8_t *data, uint32_t length)
{
    const struct lab_veto *veto = record;

    (void)data;
    (void)length;
    ale_answered(veto->ask, veto->blocked != 0);
}

static void take_log(const void *record, const uint8_t *data, uint32_t length)
{
    char line[LOG_MAX + 1];
    uint32_t used = 0;

    (void)record;
    for (uint32_t i = 0; i < length && data[i] && used < LOG_MAX; i++) {
        line[used++] = (char)(data[i] >= ' ' && data[i] < 0x7f ? data[i] : data[i] == '\n' ? ' ' : '?');
    }
    line[used] = '\0';
    fprintf(stderr, "kernel: %s\n", line);
}

static const struct {
    uint32_t type;
    uint32_t fixed;
    record_fn *take;
} kinds[] = {
    {LAB_VERDICT, sizeof(struct lab_verdict), take_verdict},
    {LAB_TAKEN, sizeof(struct lab_taken), take_taken},
    {LAB_RECEIVED, sizeof(struct lab_received), take_received},
    {LAB_INJECTED, sizeof(struct lab_injected), take_injected},
    {LAB_OPENED, sizeof(struct lab_opened), take_opened},
    {LAB_SHUT, sizeof(struct lab_shut), take_shut},
    {LAB_CLOSED, sizeof(struct lab_closed), take_closed},
    {LAB_STRUCK, sizeof(struct lab_struck), take_struck},
    {LAB_STATE, sizeof(struct lab_state), take_state},
    {LAB_QUERY, sizeof(struct lab_query), take_query},
    {LAB_VETO, sizeof(struct lab_veto), take_veto},
    {LAB_LOG, sizeof(struct lab_head), take_log},
    {LAB_CALLED, sizeof(struct lab_called), take_called},
};

static void take(const struct lab_head *head)
{
    const uint8_t *data;
    uint32_t length;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].type == head->type && record_data(head, kinds[i].fixed, &data, &length)) {
            kinds[i].take(head, data, length);
            return;
        }
    }
    fprintf(stderr, "link: a record of type %u and %u bytes is not understood\n", head->type, head->size);
}

void intake_message(const void *message, size_t size)
{
    struct records records = records_of(message, size);
    const struct lab_head *head;

    while ((head = records_next(&records)) != NULL) {
        take(head);
    }
    if (records.broken) {
        fputs("link: the rest of a message is not understood\n", stderr);
    }
}
