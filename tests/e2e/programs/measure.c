/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What an agent can tell about the library from outside.
 *
 *   memory                 what is allocated on the heaps: the process's private bytes as Windows counts them are 0 under Wine
 *   stats [instance]       the library's counters
 *   mappings               peers, of all ports and both families, for which a lookup finds something
 */
#include "proxy.h"

#include <string.h>

enum { PORTS = 65536, PEERS_SHOWN = 20, HEAPS = 64 };

void command_memory(const struct command *c, struct json *answer)
{
    HANDLE heaps[HEAPS];
    DWORD count = GetProcessHeaps(HEAPS, heaps);
    long long bytes = 0, blocks = 0;
    (void)c;
    for (DWORD i = 0; i < count && i < HEAPS; i++) {
        PROCESS_HEAP_ENTRY entry = {0};
        HeapLock(heaps[i]);
        while (HeapWalk(heaps[i], &entry)) {
            if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) {
                bytes += entry.cbData;
                blocks++;
            }
        }
        HeapUnlock(heaps[i]);
    }
    json_number(answer, "bytes", bytes);
    json_number(answer, "blocks", blocks);
}

/* The unspecified address: found by family and port alone. */
static struct sockaddr_storage any_peer(int family, unsigned port)
{
    struct sockaddr_storage peer = {.ss_family = (u_short)family};
    ((struct sockaddr_in *)&peer)->sin_port = htons((u_short)port); /* the same place in both families */
    return peer;
}

void command_mappings(const struct command *c, struct json *answer)
{
    static const int families[2] = {AF_INET, AF_INET6};
    char text[ADDRESS_TEXT_MAX];
    long count = 0;
    (void)c;
    json_open(answer, "peers", '[');
    for (int i = 0; i < 2; i++) {
        for (unsigned port = 1; port < PORTS; port++) {
            struct sockaddr_storage peer = any_peer(families[i], port);
            if (redirect_lookup(&peer, 0, REDIRECTOR_TCP).status == 0 && ++count <= PEERS_SHOWN) {
                json_string(answer, NULL, address_text(&peer, text));
            }
        }
    }
    json_close(answer, ']');
    json_number(answer, "count", count);
}

void command_stats(const struct command *c, struct json *answer)
{
    redirector_stats s = {.size = sizeof s};
    json_number(answer, "status", redirect_stats(&s, (unsigned)command_number(c, "instance", 0)));
#define STAT(name) json_number(answer, #name, (long long)s.name)
    STAT(flows_live);
    STAT(flows_total);
    STAT(flow_table_full);
    STAT(packets_seen);
    STAT(packets_passed);
    STAT(packets_rewritten);
    STAT(packets_held);
    STAT(packets_dropped);
    STAT(packets_malformed);
    STAT(proxy_not_listening);
    STAT(hold_timeouts);
    STAT(hold_overflows);
    STAT(capture_waits);
    STAT(filter_replacements);
    STAT(watchdog_trips);
    STAT(syns_forwarded);
    STAT(link_local_passed);
    STAT(capture_timeouts);
    STAT(self_connections);
    STAT(proxy_connections);
    STAT(decision_waits);
    STAT(decision_timeouts);
    STAT(decision_overflows);
    STAT(priority_shared);
    STAT(led_by_others);
    STAT(firewall_permit);
    STAT(members_forgotten);
    STAT(members_outside);
    STAT(tree_listeners);
    STAT(proofs);
    STAT(steering_replaced);
    STAT(handle_renewals);
    STAT(table_waits);
    STAT(table_timeouts);
    STAT(table_failures);
    STAT(agent_connections);
    STAT(loopback_passed);
    STAT(listener_overflows);
    STAT(processes_unknown);
    STAT(segments_cut);
    STAT(large_segments);
    STAT(udp_flows_live);
    STAT(udp_flows_total);
    STAT(udp_table_full);
    STAT(udp_packets_seen);
    STAT(udp_packets_passed);
    STAT(udp_packets_rewritten);
    STAT(udp_packets_held);
    STAT(udp_packets_dropped);
    STAT(udp_packets_malformed);
    STAT(udp_proxy_not_listening);
    STAT(udp_hold_timeouts);
    STAT(udp_hold_overflows);
    STAT(udp_fragments_passed);
    STAT(udp_errors_translated);
    STAT(udp_uncaptured);
    STAT(connections_blocked);
    STAT(udp_packets_blocked);
    STAT(send_errors);
    STAT(receive_errors);
    STAT(queue_delay_max_us);
    STAT(events_seen);
    STAT(lookups_hit);
    STAT(lookups_missed);
    STAT(log_lines_dropped);
#undef STAT
}
