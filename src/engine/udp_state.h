/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file udp_state.h  What the engine keeps of UDP: nothing of it exists without a udp_port. */
#ifndef ENGINE_UDP_STATE_H
#define ENGINE_UDP_STATE_H

#include "datagram.h"
#include "fragments.h"
#include "state.h"
#include "udp_held.h"
#include "udp_peers.h"

struct udp {
    struct flow_table flows;
    struct destinations *destinations;
    struct capture_plan capture;
    struct listeners sockets; /* bound ones, by BIND and CLOSE events and the UDP table */
    struct udp_peers peers;
    struct fragments fragments;
    struct udp_held held;
    uint16_t *flows_from; /* by local port: how many flows have it */
    struct {
        uint32_t number;      /* of the reading of the UDP table that began last */
        uint64_t begun_ms;    /* when that was */
        uint64_t answered_ms; /* when the last one that has ended began; 0: none has */
        bool under_way, wanted;
    } reading;
    uint64_t warned_ms;        /* when proxy_not_listening() was last called for UDP; 0: never */
    uint32_t stray_fragments;  /* of strangers, and */
    uint32_t wanted_fragments; /* of the tree, since the last plan */
    bool no_fragments;         /* they are left out of the filter */
};

/** A packet of UDP, and what is known of it. */
struct arrival {
    struct datagram d;
    enum datagram_kind kind;
    uint32_t scope;
    struct packet_meta *meta;
    uint64_t now_ms;
};

#endif
