/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file engine.h
 * The engine: one state machine, driven by calls.
 *
 *   packet in -> verdict out      engine_packet()
 *   socket event in               engine_event()
 *   news about processes in       engine_process(), engine_process_exited(), engine_listener()
 *   time in                       engine_tick()
 *
 * It knows no clock, no I/O and no operating system: time, packets, events and process facts are handed in, and what
 * it has to say goes out through `engine_host`. One thread drives it; nothing in it is locked. Other threads may read
 * the destination map and the counters.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "cover.h"
#include "destinations.h"
#include "flow.h"
#include "rules.h"

#include <stdatomic.h>

enum { ENGINE_FLOWS_DEFAULT = 65536, ENGINE_HOLD_MS_DEFAULT = 50, ENGINE_LOOK_MS_DEFAULT = 30000 };

/** What the engine asks of its host. All are called on the engine's thread, from within an engine call. */
struct engine_host {
    void *context;

    /** Facts about a live process; false: it is gone. Called for events and held SYNs, never for any other packet. */
    bool (*process_facts)(void *context, uint32_t pid, struct process_facts *out);

    /** Path of a process' image, UTF-8; "" when unknown. Called only while there are rules that ask for it. */
    void (*process_path)(void *context, uint32_t pid, char *out, uint32_t size);

    /** Owner of a connection by the TCP table; 0: unknown. Called for a held SYN whose event stays away. */
    uint32_t (*socket_owner)(void *context, const struct tuple *tuple);

    /** Sends a packet that is not the one in hand: a SYN that was held, a reset. */
    void (*inject)(void *context, const struct packet_meta *meta, const uint8_t *data, uint32_t length);

    /** Hands in every listening socket there is by engine_listener(); false: not all could be had. NULL: listeners are not looked at, and the proxy is
     *  taken to listen. */
    bool (*list_listeners)(void *context);

    /** Hands in every TCP socket there is by engine_socket(); false: not all could be had. NULL: flows end by their packets only. */
    bool (*list_sockets)(void *context);

    /** A flow begins or has ended; for the log. NULL: nobody cares. */
    void (*flow_news)(void *context, const struct flow *flow, const struct tuple *original, bool ended);

    /** A connection passes, or is refused, because nothing listens where it should have been led. At most once a minute.
     *  NULL: nobody cares. */
    void (*proxy_missing)(void *context, const struct tuple *steered);
};

struct engine_config {
    uint32_t agent_pid;
    uint16_t proxy_port;    /* 0: outgoing off */
    uint16_t incoming_port; /* 0: incoming off */
    bool reflect;           /* steer by swapped addresses, injected inbound, instead of over loopback (O3) */
    bool refuse;            /* refuse connections that have no proxy to go to, instead of letting them pass (O4) */
    uint32_t hold_ms;
    uint32_t look_ms; /* between two looks at the TCP table (L1) */
    uint32_t max_flows;
    bool whole_cover; /* the filter diverts every packet, for good; else see engine_cover_wanted() */
    uint64_t seed;    /* random */
};

/** Counters; see redirector_stats for what they mean. Written by the engine's thread, readable by all. */
#define ENGINE_COUNTERS(X)                                                                                             \
    X(flows_live)                                                                                                      \
    X(flows_total)                                                                                                     \
    X(flows_refused)                                                                                                   \
    X(packets_seen)                                                                                                    \
    X(packets_passed)                                                                                                  \
    X(packets_rewritten)                                                                                               \
    X(packets_held)                                                                                                    \
    X(packets_dropped)                                                                                                 \
    X(packets_malformed)                                                                                               \
    X(proxy_missing) X(hold_timeouts) X(hold_refused) X(events_seen) X(cover_waits) X(filter_swaps)

struct engine_counters {
#define ENGINE_COUNTER_FIELD(name) _Atomic uint64_t name;
    ENGINE_COUNTERS(ENGINE_COUNTER_FIELD)
#undef ENGINE_COUNTER_FIELD
};

enum verdict {
    VERDICT_PASS,    /* send it exactly as it came */
    VERDICT_REWRITE, /* packet and meta were changed: send them */
    VERDICT_HOLD,    /* the engine keeps a copy: do not send it */
    VERDICT_DROP,    /* do not send it (a stated rule; counted) */
};

struct engine;

struct engine *engine_new(const struct engine_config *config, const struct engine_host *host); /* NULL: no memory */
void engine_free(struct engine *e);

/** One captured packet, exactly as long as its header says. Changes data and *meta only for VERDICT_REWRITE. */
enum verdict engine_packet(struct engine *e, struct packet_meta *meta, uint8_t *data, uint32_t length, uint64_t now_ms);

/** One socket event. Hand in the events of a wake-up before its packets. */
void engine_event(struct engine *e, const struct socket_event *event, uint64_t now_ms);

/**
 * A process is a member of the tree (a root; one that the kernel put into our job). created 0: unknown. Its pid must not be
 * given to another process before its exit has been handed in.
 */
void engine_process(struct engine *e, struct process_id id);
void engine_process_exited(struct engine *e, struct process_id id, uint64_t now_ms);

/**
 * A root that is itself not redirected, unless a rule includes it; only its descendants are
 * (REDIRECTOR_DESCENDANTS_ONLY). Before the first packet.
 */
void engine_spare_root(struct engine *e, struct process_id id);

/** One listening socket (src), from within list_listeners(). */
void engine_listener(struct engine *e, const struct tuple *local, uint32_t pid);

/** One TCP socket (src is its local end), from within list_sockets(). */
void engine_socket(struct engine *e, const struct tuple *row);

/** Looks at the listeners: once after the driver was opened and the tree's processes are known; later by itself. */
void engine_look_at_listeners(struct engine *e, uint64_t now_ms);

/** Replaces the rules (I4); takes them over. They apply to new connections, and to the listeners that exist. NULL: none. */
void engine_set_rules(struct engine *e, struct rules *rules);

/**
 * What the driver's filter is to divert from now on, besides first SYNs and the proxies' packets (cover.h); NULL: nothing
 * new. To be asked before the driver is opened (never NULL then) and after each tick. Each answer has to be followed by
 * engine_cover_replaced(), once the new filter is in place beside the old one, or could not be had; before that it is NULL.
 */
const struct cover *engine_cover_wanted(struct engine *e, uint64_t now_ms);
void engine_cover_replaced(struct engine *e, bool ok, uint64_t now_ms);

/** Lets time pass: held packets reach their deadline, flows their linger time. */
void engine_tick(struct engine *e, uint64_t now_ms);

/** How many milliseconds may pass until the next engine_tick() is due. */
uint32_t engine_next_tick_ms(const struct engine *e, uint64_t now_ms);

/**
 * Stops: from now on no new flow begins; held packets pass; every flow is reset at both ends (if `reset`) and its
 * further packets are dropped; all mappings are gone. Other packets still pass.
 */
void engine_stop(struct engine *e, bool reset, uint64_t now_ms);

/** Safe from any thread. */
struct destinations *engine_destinations(const struct engine *e);
const struct engine_counters *engine_counters(const struct engine *e);

#endif
