/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file lane.h
 * The driver's handles for one protocol, TCP or UDP: one for its socket events, those that capture its packets, and what
 * the engine's thread keeps about both.
 *
 * Theory of operation: the two protocols have handles of their own, so that neither waits for the other's filter, and
 * nothing of UDP is on TCP's way (U5). A lane without a port is closed: none of its packets is captured. Packets of both
 * are sent by one handle, which is nobody's lane.
 */
#ifndef LANE_H
#define LANE_H

#include "packet_handles.h"

enum { LANE_WAIT_MAX = 3 };

struct lane {
    uint8_t protocol; /* PROTOCOL_TCP or PROTOCOL_UDP */
    struct packet_handles packets;
    bool captures;              /* `packets` are open */
    struct divert_ring *events; /* SOCKET: looks on. NULL: none are wanted */

    /* The engine's thread only. */
    uint32_t packet_errors, event_errors; /* in a row */
    bool dry;                             /* no more packets will come */
};

/** Opens the handle of socket events, if the configuration has a use for them. */
bool lane_open_events(struct lane *l, struct divert_api *api, const redirector_config *config, redirector_error *error);

/** Opens the first handle that captures packets, if the configuration redirects this protocol. */
bool lane_open_packets(struct lane *l, struct divert_api *api, int16_t band, const redirector_config *config,
                       const struct capture_set *captured, redirector_error *error);

/** Whether the configuration redirects this protocol. */
bool lane_is_wanted(const struct lane *l, const redirector_config *config);

/** The events to wait for; returns their number. */
DWORD lane_to_wait_for(const struct lane *l, HANDLE out[LANE_WAIT_MAX]);

/** As those of packet_handles.h, for all handles. */
void lane_abandon(struct lane *l);
void lane_settle(struct lane *l);
void lane_close(struct lane *l);

#endif
