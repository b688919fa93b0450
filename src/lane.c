/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "lane.h"

#include "engine/engine.h"

#include <stdio.h>

enum { PORT_TEXT = sizeof " or localPort == 65535", FILTER_MAX = 240 + PORT_TEXT * (1 + ENGINE_UPSTREAMS_MAX) };

/*
 * Each event wakes the engine's thread, so only those are requested that matter. A CLOSE matters if it ends a listener
 * on the proxy's port or an upstream's, or with incoming connections on any port. (Another listener of the agent stays known until the
 * next scan, or until another process listens there; a connection to it is refused meanwhile, redirected or not.) Where
 * connections wait for a decision, that of each connection does, because a program may have given up; but not of the
 * agent's, which are as many as the tree's. With no port of TCP's, it is only to be known who listens as an upstream.
 */
static bool write_tcp_filter(const redirector_config *config, char out[FILTER_MAX])
{
    char ports[PORT_TEXT * (1 + ENGINE_UPSTREAMS_MAX)] = "true";
    char connections[sizeof "processId != 4294967295"] = "false";
    bool redirects = config->proxy_port || config->incoming_port;
    if (!config->incoming_port) {
        size_t used = (size_t)snprintf(ports, sizeof ports, "localPort == %u", (unsigned)config->proxy_port);
        for (uint32_t i = 0; i < config->upstream_count; i++) {
            used += (size_t)snprintf(ports + used, sizeof ports - used, " or localPort == %u",
                                     (unsigned)config->upstreams[i].port);
        }
    }
    if (config->decision_timeout_ms) {
        snprintf(connections, sizeof connections, "processId != %lu", (unsigned long)config->agent_pid);
    }
    snprintf(out, FILTER_MAX, "tcp and (%sevent == LISTEN or (event == CLOSE and (remotePort == 0 ? (%s) : %s)))",
             redirects ? "event == CONNECT or " : "", ports, connections);
    return redirects || config->upstream_count;
}

/*
 * Of UDP, BIND and CLOSE tell who owns a port, CONNECT (of the first datagram to each address) whose it is, and ACCEPT (of
 * the first one from each) who has sent first, which nobody asks of the proxy's own peers. What goes to multicast
 * addresses is not captured, so nobody asks whose it is.
 */
static bool write_udp_filter(const redirector_config *config, char out[FILTER_MAX])
{
    snprintf(
        out, FILTER_MAX,
        "udp and (event == BIND or event == CLOSE or (event == ACCEPT and localPort != %u) or (event == CONNECT and "
        "remoteAddr < ff00:: and (remoteAddr < 224.0.0.0 or remoteAddr > 255.255.255.255)))",
        (unsigned)config->udp_port);
    return config->udp_port;
}

bool lane_open_events(struct lane *l, struct divert_api *api, const redirector_config *config, redirector_error *error)
{
    char filter[FILTER_MAX];
    if (!(l->protocol == PROTOCOL_TCP ? write_tcp_filter : write_udp_filter)(config, filter)) {
        return true;
    }
    l->events = divert_open(api, filter, DIVERT_LAYER_SOCKET, DIVERT_PRIORITY_EVENTS, error);
    return l->events;
}

bool lane_is_wanted(const struct lane *l, const redirector_config *config)
{
    return l->protocol == PROTOCOL_TCP ? config->proxy_port || config->incoming_port : config->udp_port;
}

bool lane_open_packets(struct lane *l, struct divert_api *api, int16_t band, const redirector_config *config,
                       const struct capture_set *captured, redirector_error *error)
{
    bool tcp = l->protocol == PROTOCOL_TCP;
    struct packet_filter ports = {
        .proxy_port = (uint16_t)(tcp ? config->proxy_port : 0),
        .incoming_port = (uint16_t)(tcp ? config->incoming_port : 0),
        .udp_port = (uint16_t)(tcp ? 0 : config->udp_port),
    };
    l->captures = packet_handles_open(&l->packets, api, band, &ports, captured, error);
    return l->captures;
}

DWORD lane_to_wait_for(const struct lane *l, HANDLE out[LANE_WAIT_MAX])
{
    DWORD count = 0;
    if (l->events) {
        out[count++] = divert_wait_handle(l->events);
    }
    if (l->captures) {
        count += packet_handles_to_wait_for(&l->packets, out + count);
    }
    return count;
}

void lane_abandon(struct lane *l)
{
    packet_handles_abandon(&l->packets);
    if (l->events) {
        divert_abandon(l->events);
    }
}

void lane_settle(struct lane *l)
{
    if (l->captures) {
        packet_handles_settle(&l->packets);
    }
    if (l->events) {
        divert_settle(l->events);
    }
}

void lane_close(struct lane *l)
{
    packet_handles_close(&l->packets);
    divert_close(l->events);
    l->events = NULL;
    l->captures = false;
}
