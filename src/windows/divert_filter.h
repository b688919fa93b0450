/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file divert_filter.h  The packet layer's filter, in WinDivert's filter language. */
#ifndef WINDOWS_DIVERT_FILTER_H
#define WINDOWS_DIVERT_FILTER_H

#include "engine/capture_set.h"

/** Room for any filter, with its NUL. */
enum { DIVERT_FILTER_MAX = 16 * 1024 };

/**
 * Writes a filter that diverts:
 *
 *   outbound  first SYNs; what leaves from proxy_port and incoming_port; what leaves from ports of captured->outbound
 *   inbound   only if incoming_port is not 0: first SYNs; what goes to ports of captured->inbound
 *
 * Without incoming_port it names nothing inbound, so that the driver installs no inbound callout at all. Ports are in
 * host order; 0 is none. The set must be coarse: at most CAPTURE_RANGES and CAPTURE_INBOUND_RANGES ranges.
 */
void divert_filter_write(const struct capture_set *captured, uint16_t proxy_port, uint16_t incoming_port,
                         char out[DIVERT_FILTER_MAX]);

/**
 * Writes a filter that diverts, outbound only and nothing of TCP:
 *
 *   UDP        over loopback what leaves from udp_port; what leaves from ports of captured->outbound; but nothing to
 *              multicast addresses or 255.255.255.255
 *   fragments  of UDP but the first, if captured->fragments; they have no ports
 *   ICMP       over loopback: that a destination cannot be reached
 */
void divert_filter_write_udp(const struct capture_set *captured, uint16_t udp_port, char out[DIVERT_FILTER_MAX]);

#endif
