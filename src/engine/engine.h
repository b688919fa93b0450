/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file engine.h
 * The engine: one state machine, driven by calls.
 *
 *   packet in -> verdict out          engine_packet()
 *   UDP packet in -> verdict out      engine_datagram()
 *   socket event in                   engine_event()
 *   process and listener events in    engine_process(), engine_process_exited(), engine_process_gone(),
 *                                     engine_listener()
 *   time in                           engine_tick()
 *
 * It knows no clock, no I/O and no operating system: time, packets, events and process facts are handed in, and what it
 * asks and says goes out through `engine_host`. One thread drives it; nothing in it is locked. Other threads may read
 * the destination map and the counters.
 *
 * From inside a call of the host only these may be called, and only where engine_types.h says so: engine_process(),
 * engine_process_exited(), engine_process_gone(), engine_process_seen(). Any other call there would change what the
 * engine is working on.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "capture_set.h"
#include "decisions.h"
#include "destinations.h"
#include "engine_types.h"
#include "flow_list.h"
#include "own_addresses.h"
#include "proofs.h"
#include "rules.h"

struct engine;

struct engine *engine_new(const struct engine_config *config, const struct engine_host *host); /* NULL: no memory */
void engine_free(struct engine *e);

/** One captured packet, exactly as long as its header says. Changes data and *meta only for VERDICT_REWRITE. */
enum verdict engine_packet(struct engine *e, struct packet_meta *meta, uint8_t *data, uint32_t length, uint64_t now_ms);

/**
 * One packet of the UDP filter, likewise: a datagram, a fragment, or an ICMP error. Only with a udp_port. What it calls
 * on the host is as in engine_packet().
 */
enum verdict engine_datagram(struct engine *e, struct packet_meta *meta, uint8_t *data, uint32_t length,
                             uint64_t now_ms);

/** One socket event. Hand in the events of a wake-up before its packets. */
void engine_event(struct engine *e, const struct socket_event *event, uint64_t now_ms);

/**
 * A process is a member of the tree (a root; one that the kernel put into our job). created 0: unknown. Its pid must
 * not be given to another process before its exit has been handed in.
 */
void engine_process(struct engine *e, struct process_id id);

/** A member has ended, no later than `ended`, a time as those of creation; 0: unknown. id.created 0: whichever it is. */
void engine_process_exited(struct engine *e, struct process_id id, uint64_t ended, uint64_t now_ms);

/** A member was gone before it could be asked: it lived between these times, which are as those of creation. */
void engine_process_gone(struct engine *e, uint32_t pid, uint64_t from, uint64_t to, uint64_t now_ms);

/**
 * A process as it was at one moment, maybe a while ago. true: it is a member, by its parents. Of those of one moment the
 * oldest first. At any time at which engine_process() may be called.
 */
bool engine_process_seen(struct engine *e, const struct process_facts *facts);

/** Whether a process belongs to the tree, whatever the rules say. */
bool engine_has_process(struct engine *e, uint32_t pid);

/**
 * A root that is itself not redirected, unless a rule includes it; only its descendants are
 * (REDIRECTOR_DESCENDANTS_ONLY). Before the first packet.
 */
void engine_exclude_root(struct engine *e, struct process_id id);

/** One listening socket (src), while read_table() is being answered. */
void engine_listener(struct engine *e, const struct tuple *local, uint32_t pid);

/** One other TCP socket (src is its local end), likewise. */
void engine_socket(struct engine *e, const struct tuple *row);

/**
 * The answer to read_table() ends: owners[] are those of the connections that were asked for, 0 for unknown (NULL: all
 * are); `whole`: all listeners, and if so wanted all sockets, have been handed in.
 */
void engine_table_end(struct engine *e, const uint32_t *owners, bool whole, uint64_t now_ms);

/** One UDP socket (src is its local end), while read_udp_table() is being answered; and the end of it. */
void engine_udp_socket(struct engine *e, const struct tuple *local, uint32_t pid);
void engine_udp_table_end(struct engine *e, bool whole, uint64_t now_ms);

/** Wants to know all listeners: once after the driver was opened and the tree's processes are known; later by itself. */
void engine_want_listeners(struct engine *e);

/** Has the TCP table read, if that is wanted: after the packets, events and ticks of a wake-up. */
void engine_read_table(struct engine *e, uint64_t now_ms);

/** Replaces the rules (I4), and takes them over; NULL: none. They apply to new connections and to all listeners. */
void engine_set_rules(struct engine *e, struct rules *rules);

/**
 * An address was found under this name (R2), which has 1 to 253 bytes and counts for new connections. false: no memory.
 */
bool engine_tell_name(struct engine *e, const ip_addr *address, uint32_t family, const char *name);

/**
 * All addresses of this machine, which it takes over: before the first packet, and again whenever they have changed.
 * Until then no connection counts as one that is only forwarded, and the event of a link-local one is not recognised.
 */
void engine_set_own_addresses(struct engine *e, struct own_addresses *all);

/**
 * What the driver's filter is to capture from now on, besides first SYNs and the proxies' packets (capture_plan.h);
 * NULL: nothing new. To be asked before the driver is opened (never NULL then) and after each tick. Each answer has to
 * be followed by engine_capture_replaced(), once the new filter is in place beside the old one, or could not be had;
 * before that it is NULL.
 */
const struct capture_set *engine_capture_wanted(struct engine *e, uint64_t now_ms);
void engine_capture_replaced(struct engine *e, bool ok, uint64_t now_ms);

/**
 * The same for the filter of UDP: the source ports from which datagrams are captured, besides those that the proxy
 * sends, and whether fragments are. NULL without a udp_port.
 */
const struct capture_set *engine_udp_capture_wanted(struct engine *e, uint64_t now_ms);
void engine_udp_capture_replaced(struct engine *e, bool ok, uint64_t now_ms);

/**
 * Tells the program of the UDP flow that has this peer port that its destination cannot be reached (ICMP port
 * unreachable, from there). false: there is no such flow.
 */
bool engine_udp_unreachable(struct engine *e, uint16_t peer_port);

/**
 * Announces a connection of the library's own, as number `which` of PROOFS_MAX. It may connect once it is marked
 * PROOF_CAPTURABLE; engine_prove_no_more() ends it, after its sockets were closed. false: its source port belongs to
 * another flow; take another one.
 */
bool engine_prove(struct engine *e, uint32_t which, const struct proof_route *route);
void engine_prove_no_more(struct engine *e);
uint32_t engine_proof_marks(const struct engine *e, uint32_t which); /* enum proof_mark, or'ed. Any thread */

/** How connections of a family that are not loopback are redirected from now on: by reflection or over loopback. */
void engine_set_steering(struct engine *e, uint32_t family, bool reflect);

/**
 * Whether replies that are larger than the program's interface takes arrive, as a proof has seen: from now on the
 * connections of this family are offered them or not (O6). Where real connections have lost them they are not.
 */
void engine_set_large_segments(struct engine *e, uint32_t family, bool arrive);

/** Has the filter replaced, though it may be the same: a new handle, where the old one may have gone bad. */
void engine_renew_filter(struct engine *e);

/** Lets time pass: held packets reach their deadline, flows their linger time. */
void engine_tick(struct engine *e, uint64_t now_ms);

/** How many milliseconds may pass until the next engine_tick() is due. */
uint32_t engine_next_tick_ms(const struct engine *e, uint64_t now_ms);

/**
 * Stops: from now on no new flow begins; held packets pass; every flow is reset at both ends (if `reset`) and its
 * further packets are dropped; all mappings are gone. Other packets still pass.
 */
void engine_stop(struct engine *e, bool reset, uint64_t now_ms);

/** The flows, a portion per call: see flow_list_copy(). */
uint32_t engine_list_flows(const struct engine *e, uint32_t from, struct flow_view *out, uint32_t *count);
uint32_t engine_list_udp_flows(const struct engine *e, uint32_t from, struct flow_view *out, uint32_t *count);

/** How many packets have come back to the programs whose flows live. It takes a fraction of a millisecond. */
uint64_t engine_replies(const struct engine *e);

/** Safe from any thread. */
struct destinations *engine_destinations(const struct engine *e);
struct destinations *engine_udp_destinations(const struct engine *e); /* NULL: UDP is left alone */
struct decisions *engine_decisions(const struct engine *e); /* NULL: nobody decides. Answers count at the next tick */
const struct engine_counters *engine_counters(const struct engine *e);

#endif
