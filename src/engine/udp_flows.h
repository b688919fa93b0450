/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file udp_flows.h
 * Flows of UDP: they are opened, their packets translated, their fragments led after their first, and they end (U1, U4,
 * U5).
 */
#ifndef ENGINE_UDP_FLOWS_H
#define ENGINE_UDP_FLOWS_H

#include "udp_sockets.h"

/** The flow of a datagram or first fragment, or of what an error quotes, and its leg; FLOW_NONE: none. */
uint32_t udp_flows_find(const struct engine *e, const struct arrival *a, enum leg *leg);

/** Opens a flow for this datagram. FLOW_NONE: there is no room, counted. */
uint32_t udp_flows_open(struct engine *e, const struct arrival *a, const struct tuple *original,
                        const struct udp_owner *owner, enum flow_kind kind);

/** A datagram, or first fragment, of this leg of the flow. */
enum verdict udp_flows_translate(struct engine *e, uint32_t id, enum leg leg, struct arrival *a);

/** A later fragment of what was redirected. */
enum verdict udp_flows_follow(struct engine *e, const struct fragment_entry *first, struct arrival *a);

/** An error about what was redirected: VERDICT_REWRITE, or VERDICT_PASS where it is about anything else. */
enum verdict udp_flows_error(struct engine *e, struct arrival *a);

/** Whether a packet is still of this flow, which may have ended: then it is made room for another, if not. */
bool udp_flows_still(struct engine *e, uint32_t id, enum leg leg, const struct arrival *a);

/** The flow is over. What was sent until `closed_at` (time stamp; INT64_MIN: nothing) is still of it. */
void udp_flows_end(struct engine *e, uint32_t id, int64_t closed_at, uint64_t now_ms);

/** A socket has closed, or sends: the flows of it, or of others with the same tuple, end. */
void udp_flows_socket_closed(struct engine *e, const struct socket_event *event, uint64_t now_ms);
void udp_flows_socket_sends(struct engine *e, const struct socket_event *event, const struct tuple *scoped,
                            uint64_t now_ms);

/** Ends the flows whose sockets the UDP table does not have any more. */
void udp_flows_table_read(struct engine *e, uint64_t now_ms);

/** Ends those whose time is up, and forgets those that have ended. */
void udp_flows_expire(struct engine *e, uint64_t now_ms);
void udp_flows_stop(struct engine *e);

/** Sends an error to the program whose flow has this port. false: there is no such flow. */
bool udp_flows_unreachable(struct engine *e, uint16_t peer_port);

#endif
