/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file flow.h
 * The flow table: every redirected connection, found by either end's packets in one probe.
 *
 * A flow has two 4-tuples: `original`, as the program's own packets state it, and `steered`, as the proxy sees it. A
 * packet that matches `original` goes FORWARD and gets `steered`; a packet that matches the reverse of `steered` is a
 * REPLY and gets the reverse of `original`. Outgoing, incoming, loopback and reflected flows are all this one thing.
 *
 * One steered source port means one flow, whatever the family, address or direction (O3): the table hands out the
 * ports.
 *
 * UDP has a table of its own of the same kind (udp_flows.h), with its own ports, time-outs and ends.
 *
 * Life of a flow (L1), and what may be done in each state:
 *
 *   FLOW_OPENING  SYN seen, not answered.   Ends when it was not answered for FLOW_OPENING_MS after the last SYN.
 *   FLOW_OPEN     answered.                 Never ends by idleness; a half-closed connection stays here.
 *   FLOW_CLOSING  RST seen, or both FINs.   Still translates, for the linger time: last ACKs and retransmissions. The
 *                                           SYN of a refused connection, sent again, opens it anew.
 */
#ifndef ENGINE_FLOW_H
#define ENGINE_FLOW_H

#include "rewrite.h"
#include "tuple_map.h"

enum { FLOW_OPENING_MS = 30000, FLOW_LINGER_FIN_MS = 10000, FLOW_LINGER_RST_MS = 1000 };

/** UDP: shares of the idle time, how long a flow is kept after its end, and into how many steps the idle time is cut:
 * within one, a packet moves its flow to no other place in its queue. */
enum { FLOW_UNANSWERED_SHARE = 2, FLOW_ANSWERED_SHARE = 6, FLOW_LINGER_UDP_MS = 10000, FLOW_IDLE_STEPS = 64 };

#define FLOW_NONE UINT32_MAX

enum flow_state { FLOW_FREE, FLOW_OPENING, FLOW_OPEN, FLOW_CLOSING };

enum leg { LEG_FORWARD = 0, LEG_REPLY = 1 };

enum flow_kind {
    FLOW_OUTGOING, /* opened by the tree */
    FLOW_INCOMING, /* opened to a listener of the tree */
    FLOW_DIRECT,   /* somebody's own connection to the proxy's port: here only because it takes a source port there */
    FLOW_PROOF,    /* the library's own (proofs.h); its pid is the proof's number */
    FLOW_ENDED,    /* of UDP, over: here only because the proxy may still look it up, or send to its port */
};

/** Whether flows of this kind are redirected ones, of which others are told. */
static inline bool flow_is_told(uint8_t kind)
{
    return kind <= FLOW_INCOMING;
}

/** Flows that wait for the same time-out stand in one queue, oldest first. */
enum flow_queue {
    FLOW_QUEUE_NONE,
    FLOW_QUEUE_OPENING,
    FLOW_QUEUE_FIN, /* of UDP: those that have ended */
    FLOW_QUEUE_RST,
    FLOW_QUEUE_ANSWERED, /* UDP alone: those of one question and its answer; */
    FLOW_QUEUE_IDLE,     /* and all others that were answered */
    FLOW_QUEUES,
};

struct flow {
    uint64_t opened_ms;
    uint64_t deadline_ms; /* while in a queue */
    uint64_t bytes[2];    /* of the stream, by leg: what is sent again counts once */
    uint64_t packets[2];  /* by leg */
    union {
        struct {
            uint32_t last_ack[2]; /* by leg: newest acknowledgement number: what the sender expects to receive next */
            uint32_t next_seq[2]; /* by leg: end of what was sent, SYN and FIN counted */
        };
        struct {
            uint64_t last_ms; /* UDP: when its last packet was seen */
            union {
                uint64_t endpoint; /* UDP: the socket that sends; 0: unknown */
                int64_t closed_at; /* UDP, once ended: what was sent until then is still of it, by time stamp */
            };
        };
    };
    uint32_t isn; /* of the SYN that opened it */
    uint32_t pid;
    uint32_t if_index, sub_if_index; /* where the original packets were captured; replies go back in there */
    uint32_t scope;                  /* of its link-local addresses, the interface's index; 0: not known, or none is */
    uint32_t queue_prev, queue_next;
    struct rewrite_delta delta[2]; /* by leg */
    uint8_t state;                 /* enum flow_state */
    uint8_t kind;                  /* enum flow_kind */
    uint8_t queue;                 /* enum flow_queue */
    uint8_t fin_seen;              /* bit per leg */
    bool outbound[2];              /* by leg: direction in which its packets leave */
    bool acked[2];                 /* by leg: last_ack is meaningful */
    bool begun[2];                 /* by leg: next_seq is meaningful */
    bool seen;                     /* in the TCP table, in the scan that is under way */
    bool unkeyed;                  /* UDP: flow_find() does not find it by its original tuple any more */
    uint8_t protocol;              /* PROTOCOL_TCP or PROTOCOL_UDP */
    uint8_t missed;                /* scans, in a row, that found neither end */
    uint8_t segment_sent;          /* how often the watched reply was sent; 0: none is watched (segment_size.c) */
    bool segments_arrive;          /* a large reply was acknowledged */
    bool segments_cut;             /* large replies are cut */
    bool segments_offered;         /* the program's SYN was raised */
    uint16_t segment_size;         /* what it said before; 0: it said nothing, or the flow has none of this */
    uint32_t segment_watched;      /* sequence number of that reply */
};

struct flow_table {
    struct tuple_map map; /* number 2*flow+leg -> tuple of the packets that match that leg */
    struct flow *flows;
    uint32_t capacity, live;
    uint32_t first_free; /* chained through queue_next */
    uint32_t never_used; /* flows from here on were never touched */
    uint32_t next_port;  /* where the search for a free port goes on */
    uint8_t protocol;    /* of all its flows */
    uint32_t queue_time_ms[FLOW_QUEUES];
    struct {
        uint32_t head, tail;
    } queues[FLOW_QUEUES];
    uint32_t port_owner[PORT_COUNT]; /* steered source port -> flow plus 1; 0: free */
};

bool flow_table_init(struct flow_table *t, uint32_t capacity, uint64_t seed); /* false: no memory */

/** Makes it one of UDP, of which nothing has been opened yet: flows end when nothing has come of them for so long (U5). */
void flow_table_for_udp(struct flow_table *t, uint32_t idle_ms);
void flow_table_free(struct flow_table *t);

/** The flow that a packet with this tuple belongs to, and its leg; FLOW_NONE: none. */
uint32_t flow_find(const struct flow_table *t, const struct tuple *tuple, enum leg *leg);

/** The hash by which a packet's flow is found. */
static inline uint64_t flow_hash(const struct flow_table *t, const struct packet_place *at)
{
    return tuple_map_hash(&t->map, at->family, at->addresses, at->tcp);
}

/** Whether a packet may belong to a flow; false for most that do not. Cheaper than flow_find_packet(). */
static inline bool flow_may_be(const struct flow_table *t, uint64_t hash)
{
    return tuple_map_may_have(&t->map, hash);
}

/** flow_find() of such a packet. */
uint32_t flow_find_packet(const struct flow_table *t, uint64_t hash, const struct packet_place *at, uint32_t scope,
                          enum leg *leg);

/** A steered source port that no flow has: `wanted` if it is free. 0: all are taken. */
uint16_t flow_pick_port(struct flow_table *t, uint16_t wanted);

/**
 * Opens a flow in FLOW_OPENING. `original` must be in no flow, and the steered source port must come from
 * flow_pick_port(). The caller fills in what is not tuple or time. FLOW_NONE: the table is full.
 */
uint32_t flow_open(struct flow_table *t, const struct tuple *original, const struct tuple *steered, uint64_t now_ms);

/** Whether a packet may change its flow's state by its flags: few do. */
static inline bool flow_is_control(uint8_t flags)
{
    return flags & (TCP_SYN | TCP_FIN | TCP_RST);
}

/** Takes note of one packet: counters and state. Call before rewriting. */
void flow_advance(struct flow_table *t, uint32_t id, enum leg leg, const struct packet *p, uint64_t now_ms);

/** The same of a datagram, or a fragment of one, with so much payload. */
void flow_advance_datagram(struct flow_table *t, uint32_t id, enum leg leg, uint32_t payload, uint64_t now_ms);

/** A flow of UDP has ended: it stays in the table for FLOW_LINGER_UDP_MS, so that its port is not used again at once. */
void flow_linger(struct flow_table *t, uint32_t id, int64_t closed_at, uint64_t now_ms);

/** A lingering one is found by the proxy's packets alone from now on. */
void flow_unkey(struct flow_table *t, uint32_t id);

/** Of UDP: the flow of which nothing has come for the longest time, give or take the grain; FLOW_NONE: none lives. */
uint32_t flow_most_idle(const struct flow_table *t);

/** Of UDP: the one behind `id` (FLOW_NONE: the first) of those that have not ended. FLOW_NONE: there is no more. */
uint32_t flow_next_living(const struct flow_table *t, uint32_t id);

void flow_close(struct flow_table *t, uint32_t id);

/** The oldest flow whose time is up; FLOW_NONE: none. */
uint32_t flow_expired(struct flow_table *t, uint64_t now_ms);

/**
 * A scan of the TCP table: every row of it (either end of a connection; src is the local one), then the end, then
 * flow_lost(), which gives the lost flows from `from` on one by one, then FLOW_NONE. A flow is lost when two scans in a
 * row found neither of its ends; one that was opened after `begun_ms`, when the scan began, is not yet to be found.
 */
void flow_scan_row(struct flow_table *t, const struct tuple *row); /* with its scope */
void flow_scan_end(struct flow_table *t, uint64_t begun_ms);
uint32_t flow_lost(const struct flow_table *t, uint32_t from);

/** The oldest closing flow, to make room; FLOW_NONE: none. */
uint32_t flow_oldest_closing(const struct flow_table *t);

static inline struct flow *flow_at(const struct flow_table *t, uint32_t id)
{
    return &t->flows[id];
}

static inline const struct tuple *flow_original(const struct flow_table *t, uint32_t id)
{
    return &t->map.keys[2 * id + LEG_FORWARD];
}

/** The tuple of packets that answer what a packet of this leg becomes: the other leg's. */
static inline const struct tuple *flow_answer(const struct flow_table *t, uint32_t id, enum leg leg)
{
    return &t->map.keys[(2 * id | leg) ^ 1u];
}

/** What a packet of this leg becomes. */
static inline struct tuple flow_target(const struct flow_table *t, uint32_t id, enum leg leg)
{
    return tuple_reversed(flow_answer(t, id, leg));
}

static inline struct tuple flow_steered(const struct flow_table *t, uint32_t id)
{
    return flow_target(t, id, LEG_FORWARD);
}

/** Where a packet of this leg goes on, in place of where it came from. */
static inline void flow_lead(const struct flow *f, enum leg leg, struct packet_meta *m)
{
    m->outbound = f->outbound[leg];
    if (leg == LEG_REPLY) { /* back where the program's packets came from */
        m->if_index = f->if_index;
        m->sub_if_index = f->sub_if_index;
    }
}

/** A direct one to the proxy that kept its source port: nothing is rewritten. */
static inline bool flow_is_only_watched(const struct flow_table *t, uint32_t id)
{
    if (flow_at(t, id)->kind != FLOW_DIRECT) {
        return false;
    }
    const struct tuple steered = flow_steered(t, id);
    return tuple_equal(flow_original(t, id), &steered);
}

#endif
