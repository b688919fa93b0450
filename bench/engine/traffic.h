/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file traffic.h
 * An engine with some number of redirected connections, and the packets of them.
 *
 * Connection i of family 4 goes from 10.1.x.y:port to 10.2.x.y:443, with a source port of its own; the proxy sees it
 * come from 127.0.0.1 and the same port. Packets are made by hand here, so that what is measured is the engine alone.
 */
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include "world.h"

#include "engine/packet.h"

enum { AGENT = 500, ROOT = 1000, STRANGER = 2000, PROXY_PORT = 8080, UDP_PORT = 8053 };
enum { FLOWS_MAX = 65000, PAYLOAD_MAX = 60000, FIRST_PORT = 500 };

struct traffic {
    struct world world;
    uint32_t family;
    uint32_t flows; /* connections 0..flows-1 are open */
    uint8_t packet[40 + 20 + PAYLOAD_MAX];
    uint32_t length;
    struct packet_meta meta;
};

void traffic_open(struct traffic *t, uint32_t family); /* ends the process when there is no memory */
void traffic_close(struct traffic *t);

/** Opens connections, whole handshakes, until there are so many. */
void traffic_grow(struct traffic *t, uint32_t flows);

/** The 4-tuple of connection i as the program states it, or as the proxy answers it. */
struct tuple traffic_forward(const struct traffic *t, uint32_t i);
struct tuple traffic_reply(const struct traffic *t, uint32_t i);

/** Puts a segment with so much payload into t->packet, its meta beside it; sums right, or the network card's to do. */
void traffic_make(struct traffic *t, const struct tuple *tuple, uint8_t flags, uint32_t payload, bool offloaded);

/** The same with a datagram. */
void traffic_make_udp(struct traffic *t, const struct tuple *tuple, uint32_t payload, bool offloaded);

/** CONNECT of connection i by this process, as the driver tells of it. */
struct socket_event traffic_connect(struct traffic *t, uint32_t i, uint32_t pid);

#endif
