/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file engine_types.h
 * What the calls of engine.h take and give: the configuration, what the engine asks of its host, counters, verdicts.
 */
#ifndef ENGINE_ENGINE_TYPES_H
#define ENGINE_ENGINE_TYPES_H

#include "flow.h"
#include "types.h"

#include <stdatomic.h>

/** Each of proxy_port and incoming_port is two, one in each family. */
enum { ENGINE_UPSTREAMS_MAX = 64, ENGINE_PROXIES_MAX = ENGINE_UPSTREAMS_MAX + 4 };
enum { ENGINE_LISTEN_PORTS_MAX = 64 };
enum { ENGINE_UDP_FLOWS_DEFAULT = 16384, ENGINE_UDP_IDLE_MS_DEFAULT = 60000 };
enum { ENGINE_FLOWS_DEFAULT = 65536, ENGINE_HOLD_TIMEOUT_MS_DEFAULT = 50, ENGINE_SCAN_INTERVAL_MS_DEFAULT = 30000 };

/** Ways around the proxy that somebody should know of (bypasses.h). */
enum bypass {
    BYPASS_OWNER_UNKNOWN,
    BYPASS_PROCESS_UNKNOWN,
    BYPASS_TABLE_LATE,
    BYPASS_UDP_OWNER_UNKNOWN,
    BYPASS_UDP_FRAGMENTS,
    BYPASS_UDP_UNCAPTURED,
    BYPASS_LIMITS, /* from here on: that were reached */
    BYPASS_HELD_FULL = BYPASS_LIMITS,
    BYPASS_FLOWS_FULL,
    BYPASS_LISTENERS_FULL,
    BYPASS_UDP_HELD_FULL,
    BYPASS_UDP_FLOWS_FULL,
    BYPASSES,
};

/** What a reading of the TCP table is to find, besides the listeners. */
struct table_wanted {
    const struct tuple *owners_of; /* connections, at most PENDING_HELD_MAX; without scope: any. During the call only */
    uint32_t count;
    bool sockets; /* all that do not listen */
};

/**
 * What the engine asks of its host. All are called on the engine's thread, from within an engine call. Which engine
 * calls they may make in turn is said with each; no others are allowed there.
 */
struct engine_host {
    void *context;

    /**
     * Facts about a live process; false: it is gone. Called for events, held SYNs and listeners, never for any other
     * packet. May call engine_process() and the calls below it, so that what the kernel has reported by now is
     * known before the process is judged.
     */
    bool (*process_facts)(void *context, uint32_t pid, struct process_facts *out);

    /** Path of a process' image, UTF-8; "" when unknown. Called only while rules ask for it. No calls. */
    void (*process_path)(void *context, uint32_t pid, char *out, uint32_t size);

    /** Sends a packet that is not the one in hand: a SYN that was held, a reset. No calls. */
    void (*inject)(void *context, const struct packet_meta *meta, const uint8_t *data, uint32_t length);

    /**
     * Begins to read the TCP table, beside the engine's thread. What it finds is handed in later, in as many slices as
     * the host likes: every listening socket by engine_listener(), if so wanted every other by engine_socket(), and at
     * the end, which has to come in any case, engine_table_end(). Not called again before that. No calls. NULL: there
     * is no table.
     */
    void (*read_table)(void *context, const struct table_wanted *wanted);

    /**
     * Begins to read the table of UDP sockets, likewise: every one is handed in by engine_udp_socket(), and at the end
     * engine_udp_table_end() has to come in any case. No calls. NULL: there is no table.
     */
    void (*read_udp_table)(void *context);
    bool owners_only; /* the table tells owners alone: the proxy is taken to listen, flows end by their packets only */

    /** A flow begins or has ended; for the log. No calls. NULL: nobody wants to know. */
    void (*flow_event)(void *context, const struct flow *flow, const struct tuple *original, bool ended);

    /**
     * A connection passes, or is refused, because nothing listens where it would have been redirected to. At most once
     * a minute. No calls. NULL: nobody wants to know.
     */
    void (*proxy_not_listening)(void *context, uint8_t protocol, const struct tuple *steered);

    /**
     * A connection passes, or is refused, because the filter that captures its port was not in place in time, or could
     * not be had. At most once a minute. No calls. NULL: nobody wants to know.
     */
    void (*filter_too_late)(void *context, const struct tuple *original);

    /**
     * A connection of the tree passes, because its process listens where a proxy does (proxy->dst). Not twice in a row
     * for the same process. No calls. NULL: nobody wants to know.
     */
    void (*proxy_spared)(void *context, uint8_t protocol, uint32_t pid, const struct tuple *proxy);

    /** A connection waits for a decision: decisions_take() has it. No calls. NULL: nobody wants to know. */
    void (*decision_wanted)(void *context);

    /**
     * A connection that would have been redirected is led by another redirector, which stands above this one. The first
     * time only. No calls. NULL: nobody wants to know.
     */
    void (*led_by_other)(void *context, const struct tuple *original, uint32_t pid);

    /** Incoming is on, and for some time nothing has listened that counts as the tree's. Once. No calls. NULL: as above. */
    void (*no_listener)(void *context);

    /**
     * So many connections have taken this way since it was last told of; of UDP's ways datagrams, fragments, or
     * (BYPASS_UDP_UNCAPTURED) sockets. At most once a minute for each way. No calls. NULL: nobody wants to know.
     */
    void (*bypassed)(void *context, enum bypass way, uint64_t times);

    /**
     * Replies larger than the program's interface takes do not reach it on this machine: connections have lost them.
     * Once. No calls. NULL: nobody wants to know.
     */
    void (*segments_lost)(void *context);
};

struct engine_config {
    uint32_t agent_pid;
    uint16_t proxy_port;    /* 0: outgoing off */
    uint16_t incoming_port; /* 0: incoming off */
    bool reflect;        /* at first: redirect by swapped addresses, injected inbound, instead of over loopback (O3) */
    bool fail_closed;    /* refuse connections that have no proxy to go to, or wait for the filter in vain, instead of
                         letting them pass (O4) */
    bool no_loopback;    /* connections within the machine are left alone */
    bool small_segments; /* connections keep the MSS that they ask for */
    bool capture_all;    /* the filter captures every packet at all times: no SYN waits for it */
    uint32_t hold_timeout_ms;
    uint32_t scan_interval_ms; /* between two scans of the TCP table (L1) */
    uint32_t max_flows;
    uint64_t seed;                 /* random */
    const struct tuple *upstreams; /* (dst) on this machine: who listens there is not redirected (O9); copied */
    uint32_t upstream_count;       /* at most ENGINE_UPSTREAMS_MAX */
    uint32_t decision_timeout_ms;  /* how long a connection waits for a decision; 0: nobody decides */
    uint16_t listen_ports[ENGINE_LISTEN_PORTS_MAX]; /* whose listeners count as the tree's, whoever owns them (N1) */
    uint32_t listen_port_count;
    uint16_t udp_port;    /* where the agent receives datagrams of the tree; 0: UDP is left alone, and costs nothing */
    uint32_t udp_idle_ms; /* a UDP flow ends when nothing has come of it for so long (U5) */
    uint32_t max_udp_flows;
};

/** Counters; redirector_stats says what they mean, and has them under the same names. */
#define ENGINE_COUNTERS(X)                                                                                             \
    X(flows_total)                                                                                                     \
    X(flow_table_full)                                                                                                 \
    X(packets_seen)                                                                                                    \
    X(packets_passed)                                                                                                  \
    X(packets_rewritten)                                                                                               \
    X(packets_held)                                                                                                    \
    X(packets_dropped)                                                                                                 \
    X(packets_malformed)                                                                                               \
    X(proxy_not_listening)                                                                                             \
    X(hold_timeouts)                                                                                                   \
    X(hold_overflows)                                                                                                  \
    X(events_seen)                                                                                                     \
    X(capture_waits)                                                                                                   \
    X(filter_replacements)                                                                                             \
    X(syns_forwarded)                                                                                                  \
    X(link_local_passed)                                                                                               \
    X(capture_timeouts)                                                                                                \
    X(self_connections)                                                                                                \
    X(proxy_connections)                                                                                               \
    X(decision_waits)                                                                                                  \
    X(decision_timeouts)                                                                                               \
    X(decision_overflows)                                                                                              \
    X(led_by_others)                                                                                                   \
    X(members_forgotten)                                                                                               \
    X(tree_listeners)                                                                                                  \
    X(table_waits)                                                                                                     \
    X(table_timeouts)                                                                                                  \
    X(agent_connections)                                                                                               \
    X(loopback_passed)                                                                                                 \
    X(listener_overflows)                                                                                              \
    X(processes_unknown)                                                                                               \
    X(segments_cut)                                                                                                    \
    X(connections_blocked)                                                                                             \
    X(large_segments)                                                                                                  \
    X(udp_flows_live)                                                                                                  \
    X(udp_flows_total)                                                                                                 \
    X(udp_table_full)                                                                                                  \
    X(udp_packets_seen)                                                                                                \
    X(udp_packets_passed)                                                                                              \
    X(udp_packets_rewritten)                                                                                           \
    X(udp_packets_held)                                                                                                \
    X(udp_packets_dropped)                                                                                             \
    X(udp_packets_malformed)                                                                                           \
    X(udp_proxy_not_listening)                                                                                         \
    X(udp_hold_timeouts)                                                                                               \
    X(udp_hold_overflows)                                                                                              \
    X(udp_fragments_passed)                                                                                            \
    X(udp_errors_translated)                                                                                           \
    X(udp_uncaptured)                                                                                                  \
    X(udp_packets_blocked)

/** Written by the engine's thread, readable by all. */
struct engine_counters {
    _Atomic uint32_t flows_live; /* of which others are told */
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

#endif
