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

#include "destinations.h"
#include "flow.h"

#include <stdatomic.h>

enum { ENGINE_FLOWS_DEFAULT = 65536, ENGINE_HOLD_MS_DEFAULT = 50 };

/** What the engine asks of its host. All are called on the engine's thread, from within an engine call. */
struct engine_host {
    void *context;

    /** Facts about a live process; false: it is gone. Called for CONNECT events only, never for a packet. */
    bool (*process_facts)(void *context, uint32_t pid, struct process_facts *out);

    /** Owner of a connection by the TCP table; 0: unknown. Called for a held SYN whose event stays away. */
    uint32_t (*socket_owner)(void *context, const struct tuple *tuple);

    /** Sends a packet that is not the one in hand: a SYN that was held, a reset. */
    void (*inject)(void *context, const struct packet_meta *meta, const uint8_t *data, uint32_t length);

    /** A flow begins or has ended; for the log. NULL: nobody cares. */
    void (*flow_news)(void *context, const struct flow *flow, const struct tuple *original, bool ended);
};

struct engine_config {
    uint32_t agent_pid;
    uint16_t proxy_port; /* 0: outgoing off */
    bool reflect;        /* steer by swapped addresses, injected inbound, instead of over loopback (O3) */
    uint32_t hold_ms;
    uint32_t max_flows;
    uint64_t seed; /* random */
};

/** Counters; see redirector_stats for what they mean. Written by the engine's thread, readable by all. */
#define ENGINE_COUNTERS(X)                                                                                             \
    X(flows_live)                                                                                                      \
    X(flows_total)                                                                                                     \
    X(flows_refused) X(packets_seen) X(packets_passed) X(packets_rewritten) X(packets_held) X(packets_dropped)         \
        X(packets_malformed) X(hold_timeouts) X(hold_refused) X(events_seen)

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

/** A process is a member of the tree (a root; one that the kernel put into our job). created 0: unknown. */
void engine_process(struct engine *e, struct process_id id);
void engine_process_exited(struct engine *e, struct process_id id, uint64_t now_ms);

/** A socket that was listening already when the driver was opened. */
void engine_listener(struct engine *e, const struct tuple *local, uint32_t pid);

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
