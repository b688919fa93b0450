/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file state.h
 * The engine's state, and the staircase: the order of the engine's files. A file includes and calls only what stands
 * below it, so that it can be read without those above. scripts/check_engine_order.py holds the engine to this list.
 *
 *   engine_udp     the same door as engine, for UDP
 *   engine_filter  the same, for the driver's filter and proofs
 *   engine         the door: packets, events, time and configuration in; verdicts out
 *   udp_events     what concerns UDP besides packets
 *   udp            a packet of UDP is led, held, released
 *   udp_choice     what is to become of a datagram of no flow
 *   udp_flows      flows of UDP: opened, translated, ended
 *   udp_sockets    who sends and receives UDP
 *   udp_state      struct udp
 *   bypasses       ways around the proxy, and since when
 *   connection     a first SYN is decided
 *   carry_out      what was decided about a first SYN comes true
 *   capture_needs  what of flows, held SYNs and listeners the filter has to capture
 *   others         connections that another redirector leads
 *   held           SYNs that wait: for their owner, for a decision, for the filter
 *   redirect       opens a flow
 *   sockets        listeners and the TCP table
 *   tcp_table      when the TCP table is read, and what that can answer
 *   translate      packets of a flow, resets, the end of a flow
 *   segment_size   larger segments from the proxy to the program
 *   policy         whose connections are redirected
 *   state          struct engine, counting
 *   table_talk     question and answer between engine and who reads the TCP table
 *   engine_types   configuration, host, counters, verdicts
 *   flow_list      flows as others may see them
 *   udp_held       datagrams that wait for their owner
 *   udp_peers      pairs of a UDP socket and an address
 *   fragments      what became of a datagram's first fragment
 *   icmp           errors about datagrams
 *   proofs         connections of the library's own
 *   reset          builds RST segments
 *   pending        the table in which a SYN and its event meet
 *   decisions      connections that others decide
 *   listeners      the table of listening sockets
 *   destinations   the map that proxies read
 *   process_tree   the members of the tree
 *   rules          whose connections to where are redirected, passed or blocked
 *   rule_texts     which rules' patterns match a text
 *   rule_set       a set of rules
 *   pattern        `*` and `?`
 *   capture_plan   when the filter is replaced, and by what
 *   proof_plan     when redirection is proven again
 *   flow           the flow table
 *   rewrite        new addresses and ports for a packet
 *   checksum       sums in full and by difference
 *   names          under which names addresses were looked up
 *   tuple_map      4-tuple to number
 *   datagram       from bytes to facts, of UDP
 *   packet         from bytes to facts
 *   capture_set    what the filter captures
 *   own_addresses  the addresses of this machine
 *   port_set       a set of ports
 *   types          addresses, ports, tuples, events, processes
 *
 * Other rooms include engine.h and, of what is below, only what they exchange with it or use by itself: types, packet,
 * rules, destinations, decisions, flow_list, proofs, capture_set, proof_plan, own_addresses, port_set, table_talk, names.
 */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include "capture_plan.h"
#include "destinations.h"
#include "engine_types.h"
#include "listeners.h"
#include "names.h"
#include "own_addresses.h"
#include "pending.h"
#include "process_tree.h"
#include "proofs.h"
#include "rules.h"

/** tcp_table.h */
struct table_readings {
    uint32_t number;             /* of the one that began last */
    uint64_t begun_ms;           /* when that was */
    uint64_t answered_ms;        /* when the last one that has ended began */
    bool under_way, sockets;     /* the one of all sockets */
    bool wanted, wanted_sockets; /* one that is yet to begin */
};

/** bypasses.h */
struct bypass_watch {
    uint64_t seen, told; /* what the counter was when it was last looked at, and told of */
    uint64_t told_ms;    /* 0: never */
    uint32_t checks;     /* in a row that it had gone up in */
};

enum { INNER_AGENTS_MAX = 16 };

struct segment_state {
    uint32_t flows_lost; /* in a row, that got no large reply through */
    bool lost;           /* that were SEGMENT_FLOWS_LOST: no flow is offered large segments */
    bool refused[2];     /* by family: a proof has seen that they do not arrive */
};

struct engine {
    struct engine_config config;
    struct engine_host host;
    struct flow_table flows;
    struct pending pending;
    struct listeners listeners;
    struct capture_plan capture;
    struct destinations *destinations;
    struct decisions *decisions; /* NULL: nobody decides */
    struct process_tree *tree;
    struct udp *udp;           /* NULL: there is no udp_port */
    struct rules *rules;       /* NULL: none */
    struct names *names;       /* NULL: nobody has told any */
    struct own_addresses *own; /* NULL: not known yet */
    struct engine_counters counters;
    struct bypass_watch bypasses[BYPASSES];
    uint64_t bypasses_checked_ms;
    bool process_unknown; /* the process that was judged last is gone, and nothing was known of it */
    struct table_readings readings;
    struct tuple questions[PENDING_HELD_MAX]; /* whose owners the reading that is under way is to find */
    struct proofs proofs;
    bool reflects[2];              /* by family: redirect by swapped addresses, injected inbound */
    bool listeners_judged;         /* a listener of the tree came, or may have: is its port captured? */
    bool listeners_doubtful;       /* events left a doubt that only the TCP table resolves, */
    uint32_t doubted_in;           /* and this reading had begun before the last of it */
    uint64_t listeners_doubted_ms; /* since when, at first; 0: not, or it has been asked once more since */
    int64_t newest_listener_event; /* the latest time stamp of LISTEN and CLOSE so far */
    uint32_t spared_pid;           /* the one of which proxy_spared() was last called */
    struct tuple
        proxies[ENGINE_PROXIES_MAX]; /* (dst) where proxies listen, and behind agent_proxies of them upstreams */
    uint32_t agent_proxies, proxy_count;
    uint64_t sockets_scanned_ms;             /* when all sockets were last asked for */
    uint64_t listeners_counted_ms;           /* when those of the tree were counted */
    uint64_t listeners_none_ms;              /* since when there have been none; UINT64_MAX: nothing is left to say */
    uint64_t warned_ms;                      /* when proxy_not_listening() was last called; 0: never */
    uint64_t filter_warned_ms;               /* when filter_too_late() was; 0: never */
    uint32_t redirected_live;                /* flows of which others are told */
    uint32_t inner_agents[INNER_AGENTS_MAX]; /* others.h; 0: none */
    uint32_t next_inner_agent;
    struct segment_state segments;
    bool led_by_other_told; /* led_by_other() was called */
    bool stopping;          /* no new flow begins */
    bool reset;             /* flows were reset: what still comes of them is dropped */
};

/* One writer: a plain load and store, no locked instruction. */
#define COUNT_SET(e, name, value) atomic_store_explicit(&(e)->counters.name, (value), memory_order_relaxed)
#define COUNT_BY(e, name, by)                                                                                          \
    COUNT_SET(e, name, atomic_load_explicit(&(e)->counters.name, memory_order_relaxed) + (uint64_t)(by))
#define COUNT(e, name) COUNT_BY(e, name, 1)

static inline bool *state_reflects(struct engine *e, uint32_t family)
{
    return &e->reflects[family == FAMILY_IP6];
}

#endif
