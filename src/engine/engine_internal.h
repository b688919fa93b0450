/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file engine_internal.h  What the parts of the engine proper share: engine, connection, owner, steering, coverage. */
#ifndef ENGINE_ENGINE_INTERNAL_H
#define ENGINE_ENGINE_INTERNAL_H

#include "engine.h"
#include "listeners.h"
#include "pending.h"
#include "process_tree.h"
#include "reset.h"

struct engine {
    struct engine_config config;
    struct engine_host host;
    struct flow_table flows;
    struct pending pending;
    struct listeners listeners;
    struct cover_state cover;
    struct destinations *destinations;
    struct process_tree *tree;
    struct rules *rules; /* NULL: none */
    struct engine_counters counters;
    bool listeners_judged;        /* a listener of the tree came, or may have: is its port covered? */
    bool listeners_doubtful;      /* a wildcard IPv6 socket came or went: dual-stack or not, only the TCP table knows */
    uint64_t listeners_looked_ms; /* when the listeners were last asked for */
    uint64_t sockets_looked_ms;   /* when all sockets were */
    uint64_t warned_ms;           /* when proxy_missing() was last called; 0: never */
    uint32_t redirected_live;     /* flows without FLOW_DIRECT */
    bool stopping;                /* no new flow begins */
    bool reset;                   /* flows were reset: what still comes of them is dropped */
};

/* One writer: a plain load and store, no locked instruction. */
#define COUNT_SET(e, name, value) atomic_store_explicit(&(e)->counters.name, (value), memory_order_relaxed)
#define COUNT(e, name) COUNT_SET(e, name, atomic_load_explicit(&(e)->counters.name, memory_order_relaxed) + 1)

/* engine.c */
enum verdict engine_translate(struct engine *e, uint32_t id, enum leg leg, struct packet *p, struct packet_meta *meta,
                              uint64_t now_ms);
void engine_flow_end(struct engine *e, uint32_t id);

/** A SYN and what is known about it. */
struct attempt {
    struct packet *packet;
    struct packet_meta *meta;
    uint32_t pid;    /* who opens the connection; 0: unknown */
    bool redirected; /* the owner is one whose connections are redirected */
    uint64_t now_ms;
};

/* steering.c */

/**
 * Opens a flow for this SYN and translates it. `pid` is the one that the lookup is to tell. VERDICT_HOLD: nothing was done,
 * because the driver's filter has to be replaced first.
 */
enum verdict engine_redirect(struct engine *e, const struct attempt *a, enum flow_kind kind, uint32_t pid);

/** Who listens there. After events that leave a doubt, the TCP table is asked first. */
const struct listener *engine_listener_of(struct engine *e, const struct tuple *connection, uint64_t now_ms);

/* owner.c */
bool engine_owner_redirected(struct engine *e, uint32_t pid);

/* connection.c */
enum verdict engine_syn(struct engine *e, struct packet *p, struct packet_meta *meta, uint64_t now_ms);
void engine_connect(struct engine *e, const struct socket_event *event, uint64_t now_ms);
void engine_held_tick(struct engine *e, uint64_t now_ms);
void engine_held_release_all(struct engine *e, uint64_t now_ms);
void engine_held_retry(struct engine *e, bool covered, uint64_t now_ms);

#endif
