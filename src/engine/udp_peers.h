/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file udp_peers.h
 * What socket events have told of pairs of a UDP socket and an address: who sends (CONNECT), and who was sent to first
 * (ACCEPT); and of whom nothing could be found out a moment ago. Bounded: what is not used gives way (U2).
 */
#ifndef ENGINE_UDP_PEERS_H
#define ENGINE_UDP_PEERS_H

#include "tuple_map.h"

enum { UDP_PEERS_MAX = 4096, UDP_PEER_CHAINS = 1024 };

enum udp_peer_kind {
    UDP_PEER_NONE,
    UDP_PEER_SENDS,   /* the socket has sent first */
    UDP_PEER_ANSWERS, /* the peer has: what the socket sends there is an answer */
    UDP_PEER_UNKNOWN, /* its owner could not be found out; until then, nobody asks again */
};

struct udp_peer {
    uint64_t endpoint;  /* of the socket; 0: unknown */
    int64_t closed_at;  /* by time stamp: what is sent later is not of this socket. 0: it lives */
    uint64_t told_ms;   /* when this was found out */
    uint64_t closed_ms; /* when that was told */
    uint32_t pid;
    uint16_t next; /* of those with such a local port, plus 1; 0: none */
    uint8_t kind;
    uint8_t judged;    /* enum udp_judged */
    uint32_t upstream; /* of the rule that has decided; with that */
    bool used;         /* since it was last spared */
};

struct udp_peers {
    struct tuple_map map;
    struct udp_peer *all;
    uint32_t hand; /* the next that may have to give way */
    uint16_t chains[UDP_PEER_CHAINS];
};

bool udp_peers_init(struct udp_peers *p, uint64_t seed); /* false: no memory */
void udp_peers_free(struct udp_peers *p);

/** NULL: there is none. */
struct udp_peer *udp_peers_find(struct udp_peers *p, const struct tuple *tuple);

/** Makes one, or makes it anew: all zero but its place, and used. */
struct udp_peer *udp_peers_put(struct udp_peers *p, const struct tuple *tuple);

/** The socket has closed. */
void udp_peers_close(struct udp_peers *p, uint16_t port, uint64_t endpoint, uint32_t pid, int64_t closed_at,
                     uint64_t now_ms);

/** What is known of this process' sockets is to be judged anew (pid 0: of all). */
void udp_peers_judge_anew(struct udp_peers *p, uint32_t pid);

#endif
