// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: handles are walked in order of priority. Before the filter come the filter
// flags, by which the driver chooses where it hooks in at all. A sniffing handle gets a copy and
// the walk goes on; a diverting, dropping or preventing one ends it.
#include "classify.h"

#include <string.h>

#include "audit.h"
#include "drvfault.h"
#include "handle.h"
#include "loop.h"
#include "netif.h"
#include "recv.h"

// A scripted limit of the queue is smaller than any that a program can set.
static void make_room(struct handle *handle)
{
    uint32_t limit;
    unsigned lost;

    if (!drvfault_is_set(DRVFAULT_QUEUE, handle->layer, &limit))
        return;
    lost = queue_trim(&handle->queue, limit - 1);
    drvfault_count(DRVFAULT_QUEUE, lost);
    counters_add(&handle->counters, COUNT_overflow, lost);
}

void classify_enqueue(struct handle *handle, const struct queue_item *item)
{
    int64_t now = loop_now_ms();

    make_room(handle);
    counters_add(&handle->counters, COUNT_timeout, queue_expire(&handle->queue, now));
    counters_add(&handle->counters, COUNT_overflow, queue_put(&handle->queue, item, now));
    recv_service(handle);
}

static bool packet_matches(const struct handle *handle, const struct wd_address *address, const struct packet *packet)
{
    uint64_t needed =
        (address->outbound ? WD_MATCH_OUTBOUND : WD_MATCH_INBOUND) | (address->ipv6 ? WD_MATCH_IPV6 : WD_MATCH_IP);

    return handle_watches(handle, WD_NETWORK) && (handle->matches & needed) == needed &&
           filter_match(&handle->filter, address, packet);
}

bool classify_packet(const struct wd_address *captured, const struct packet *packet, uint64_t below)
{
    struct wd_address address = *captured;
    uint64_t order = 0;
    bool disguise;

    address.impostor = disguise = below == CLASSIFY_ALL && drvfault_is_set(DRVFAULT_IMPOSTOR, WD_NETWORK, NULL);
    for (struct handle *handle = handle_first(); handle; handle = handle->next) {
        struct wd_address given = address;

        if (handle->priority >= below || !packet_matches(handle, &address, packet))
            continue;
        if (disguise)
            drvfault_strikes(DRVFAULT_IMPOSTOR, WD_NETWORK, NULL);
        disguise = false; // one packet, however many handles see it
        if (handle->flags & WD_DROP) {
            counters_add_packet(&handle->counters, COUNT_blocked, packet);
            return false;
        }
        given.sniffed = (handle->flags & WD_SNIFF) != 0;
        counters_add_packet(&handle->counters, given.sniffed ? COUNT_sniffed : COUNT_diverted, packet);
        if (!given.sniffed)
            order = below == CLASSIFY_ALL ? audit_order_new() : audit_order_again(packet);
        classify_enqueue(handle, &(struct queue_item){&given, packet->data, packet->length, order});
        if (!given.sniffed)
            return false;
    }
    counters_add_packet(NULL, COUNT_passed, packet);
    return true;
}

// Loopback is every connection between two addresses of this host.
static bool event_is_loopback(const struct sock_event *event)
{
    static const uint32_t unspecified[4];

    return netif_is_loopback(event->local_addr) ||
           (memcmp(event->remote_addr, unspecified, sizeof(unspecified)) != 0 && netif_is_local(event->remote_addr));
}

// Direction plays no part at these layers: the DLL never sets those flags.
static uint64_t event_needs(const struct sock_event *event)
{
    uint64_t family = event->ipv6 ? WD_MATCH_IPV6 : WD_MATCH_IP;

    if (event->event == WD_FLOW_ESTABLISHED)
        return family;
    if (event->event == WD_FLOW_DELETED)
        return family | WD_MATCH_FLOW_DELETED;
    return (uint64_t)WD_MATCH_BIND << (event->event - WD_SOCKET_BIND) | family;
}

// Flows that were there before the handle have no end for it either.
static bool event_is_known(const struct handle *handle, const struct sock_event *event)
{
    return event->event != WD_FLOW_DELETED || event->established >= handle->opened_ticks;
}

void classify_event(void *context, const struct sock_event *event)
{
    struct wd_address address = {
        .timestamp = event->ticks,
        .layer = event->event < WD_SOCKET_BIND ? WD_FLOW : WD_SOCKET,
        .event = event->event,
        .outbound = event->outbound,
        .ipv6 = event->ipv6,
        .loopback = event_is_loopback(event),
        .socket =
            {
                .endpoint = event->endpoint,
                .parent_endpoint = event->parent_endpoint,
                .pid = event->pid,
                .local_port = event->local_port,
                .remote_port = event->remote_port,
                .protocol = event->protocol,
            },
    };
    uint64_t needs = event_needs(event);

    (void)context;
    memcpy(address.socket.local_addr, event->local_addr, sizeof(address.socket.local_addr));
    memcpy(address.socket.remote_addr, event->remote_addr, sizeof(address.socket.remote_addr));
    for (struct handle *handle = handle_first(); handle; handle = handle->next) {
        struct wd_address given = address;

        if (!handle_watches(handle, address.layer) || (handle->matches & needs) != needs ||
            !event_is_known(handle, event) || !filter_match(&handle->filter, &address, NULL))
            continue;
        given.sniffed = (handle->flags & WD_SNIFF) || event->event == WD_SOCKET_CLOSE;
        if (!(handle->flags & WD_DROP)) {
            counters_add(&handle->counters, COUNT_events, 1);
            classify_enqueue(handle, &(struct queue_item){.address = &given});
        }
        if (!given.sniffed)
            return; // prevented, so there is nothing for handles below
    }
}
