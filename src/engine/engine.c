/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation, the packet's way:
 *
 *   parse -> find flow -> translate                                (translate.c)   a packet of a redirected connection
 *                      -> pass                                                     anything else that is no SYN
 *                      -> SYN: owner known? -> redirect or pass    (connection.c, redirect.c)
 *                              else hold it until it is            (held.c)
 */
#include "engine.h"

#include "bypasses.h"
#include "connection.h"
#include "held.h"
#include "policy.h"
#include "segment_size.h"
#include "sockets.h"
#include "state.h"
#include "tcp_table.h"
#include "translate.h"
#include "udp.h"
#include "udp_events.h"

#include <stdlib.h>

static void add_proxy(struct engine *e, uint16_t port, bool everywhere)
{
    static const uint32_t families[] = {FAMILY_IP4, FAMILY_IP6};
    for (int i = 0; port && i < 2; i++) {
        struct tuple *at = &e->proxies[e->proxy_count++];
        *at = (struct tuple){.dst_port = be16_from_host(port), .family = families[i]};
        at->dst = everywhere ? ip_addr_any(families[i]) : ip_addr_loopback(families[i]);
    }
}

/* Where those listen who must not be redirected (O9). Only over loopback is it known to which address it goes. */
static void note_proxies(struct engine *e, const struct engine_config *config)
{
    add_proxy(e, config->proxy_port, config->reflect);
    add_proxy(e, config->incoming_port, true);
    e->agent_proxies = e->proxy_count;
    for (uint32_t i = 0; i < config->upstream_count && i < ENGINE_UPSTREAMS_MAX; i++) {
        e->proxies[e->proxy_count++] = config->upstreams[i];
    }
    e->config.upstreams = NULL; /* the caller's */
}

struct engine *engine_new(const struct engine_config *config, const struct engine_host *host)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        return NULL;
    }
    e->config = *config;
    e->host = *host;
    e->reflects[0] = e->reflects[1] = config->reflect;
    segment_size_init(e);
    note_proxies(e, config);
    capture_plan_init(&e->capture, config->capture_all);
    e->destinations = destinations_new();
    e->tree = process_tree_new();
    e->decisions = config->decision_timeout_ms ? decisions_new() : NULL;
    bool ok = e->destinations && e->tree && (e->decisions || !config->decision_timeout_ms);
    ok = flow_table_init(&e->flows, config->max_flows, config->seed) && ok;
    ok = pending_init(&e->pending, config->seed) && ok;
    ok = listeners_init(&e->listeners) && ok;
    ok = (!config->udp_port || udp_open(e)) && ok;
    if (!ok) {
        engine_free(e);
        return NULL;
    }
    return e;
}

void engine_free(struct engine *e)
{
    if (!e) {
        return;
    }
    udp_close(e);
    destinations_free(e->destinations);
    decisions_free(e->decisions);
    process_tree_free(e->tree);
    flow_table_free(&e->flows);
    pending_free(&e->pending);
    listeners_free(&e->listeners);
    rules_free(e->rules);
    names_free(e->names);
    own_addresses_free(e->own);
    free(e);
}

/* A segment that may have to do with a flow. */
struct candidate {
    struct packet_place at;
    uint64_t hash;
};

static bool is_first_syn(uint8_t flags)
{
    return (flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

/* No packet of a flow, or one that ends it by beginning another. */
__attribute__((noinline)) static enum verdict judge(struct engine *e, uint32_t id, struct packet *p,
                                                    struct packet_meta *meta, uint64_t now_ms)
{
    if (id != FLOW_NONE) { /* a new SYN on an old tuple is a new connection (L1) */
        if (e->reset) {
            flow_close(&e->flows, id); /* its end was announced when it was reset */
        } else {
            translate_end_flow(e, id);
        }
    }
    if (!is_first_syn(p->flags)) {
        capture_plan_needless(&e->capture, meta->outbound, p->tuple.src_port);
        return VERDICT_PASS;
    }
    return e->stopping ? VERDICT_PASS : connection_syn(e, p, meta, now_ms);
}

static bool begins_anew(const struct engine *e, uint32_t id, enum leg leg, const struct packet *p)
{
    return flow_is_control(p->flags) && is_first_syn(p->flags) && leg == LEG_FORWARD &&
           p->seq != flow_at(&e->flows, id)->isn;
}

/* A SYN, or what is probably a packet of a flow. */
__attribute__((noinline, flatten)) static enum verdict read_packet(struct engine *e, struct packet_meta *meta,
                                                                   uint8_t *data, uint32_t length,
                                                                   const struct candidate *c, uint64_t now_ms)
{
    struct packet p;
    enum leg leg;
    packet_read(data, length, &c->at, &p);
    uint32_t scope = packet_scope(&c->at, meta), id = flow_find_packet(&e->flows, c->hash, &c->at, scope, &leg);
    if (id != FLOW_NONE && !begins_anew(e, id, leg, &p)) {
        return translate_packet(e, id, leg, &p, meta, now_ms);
    }
    packet_read_tuple(&c->at, scope, &p);
    return judge(e, id, &p, meta, now_ms);
}

/*
 * Once per packet that the driver hands over. What it calls in its unit (cmake/sources.cmake) is compiled into it, and
 * a packet of no flow leaves by the shortest way: nothing of it is copied.
 */
__attribute__((flatten)) enum verdict engine_packet(struct engine *e, struct packet_meta *meta, uint8_t *data,
                                                    uint32_t length, uint64_t now_ms)
{
    struct candidate c;
    COUNT(e, packets_seen);
    enum packet_kind kind = packet_locate(data, length, &c.at);
    if (kind == PACKET_TCP) {
        c.hash = flow_hash(&e->flows, &c.at);
        if (flow_may_be(&e->flows, c.hash) || c.at.tcp[13] & TCP_SYN) {
            enum verdict verdict = read_packet(e, meta, data, length, &c, now_ms);
            if (verdict != VERDICT_PASS) {
                return verdict;
            }
        } else {
            capture_plan_needless(&e->capture, meta->outbound, (be16){load_raw16(c.at.tcp)});
        }
    } else if (kind == PACKET_MALFORMED) {
        COUNT(e, packets_malformed);
    }
    COUNT(e, packets_passed);
    return VERDICT_PASS;
}

void engine_process(struct engine *e, struct process_id id)
{
    process_tree_pin(e->tree, id);
    sockets_judge_listeners(e, id.pid);
    udp_events_judge(e, id.pid);
}

bool engine_process_seen(struct engine *e, const struct process_facts *facts)
{
    return process_tree_seen(e->tree, facts);
}

bool engine_has_process(struct engine *e, uint32_t pid)
{
    return policy_is_member(e, pid);
}

void engine_exclude_root(struct engine *e, struct process_id id)
{
    process_tree_mark(e->tree, id);
}

void engine_process_exited(struct engine *e, struct process_id id, uint64_t ended, uint64_t now_ms)
{
    process_tree_tick(e->tree, now_ms);
    process_tree_exit(e->tree, id, ended);
}

void engine_process_gone(struct engine *e, uint32_t pid, uint64_t from, uint64_t to, uint64_t now_ms)
{
    process_tree_tick(e->tree, now_ms);
    process_tree_gone(e->tree, pid, from, to);
}

void engine_listener(struct engine *e, const struct tuple *local, uint32_t pid)
{
    sockets_listener_row(e, local, pid);
}

void engine_socket(struct engine *e, const struct tuple *row)
{
    sockets_row(e, row);
}

void engine_table_end(struct engine *e, const uint32_t *owners, bool whole, uint64_t now_ms)
{
    tcp_table_end(e);
    if (!e->stopping) {
        sockets_table_read(e, whole);
        connection_table_read(e, owners, now_ms);
    }
}

void engine_want_listeners(struct engine *e)
{
    tcp_table_want(e, false);
}

void engine_read_table(struct engine *e, uint64_t now_ms)
{
    if (!e->stopping) {
        tcp_table_begin(e, now_ms);
        udp_events_read_table(e, now_ms);
    }
}

void engine_set_rules(struct engine *e, struct rules *rules)
{
    rules_free(e->rules);
    e->rules = rules;
    sockets_judge_listeners(e, 0);
    udp_events_judge(e, 0);
}

bool engine_tell_name(struct engine *e, const ip_addr *address, uint32_t family, const char *name)
{
    e->names = e->names ? e->names : names_new(e->config.seed);
    if (e->names) {
        names_tell(e->names, address, family, name);
    }
    return e->names;
}

void engine_set_own_addresses(struct engine *e, struct own_addresses *all)
{
    own_addresses_free(e->own);
    e->own = all;
}

void engine_event(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    if (event->protocol == PROTOCOL_UDP) {
        udp_events_take(e, event, now_ms);
        return;
    }
    if (proofs_have_event(&e->proofs, event)) {
        return;
    }
    COUNT(e, events_seen);
    switch (event->kind) {
    case SOCKET_CONNECT:
        connection_event(e, event, now_ms);
        break;
    case SOCKET_LISTEN:
        sockets_listener_opened(e, event, now_ms);
        break;
    case SOCKET_CLOSE:
        if (be16_to_host(event->tuple.dst_port) == 0) {
            sockets_listener_closed(e, event, now_ms);
        } else {
            connection_closed(e, event, now_ms);
        }
        break;
    case SOCKET_BIND:
    case SOCKET_ACCEPT:
        break;
    }
}

void engine_tick(struct engine *e, uint64_t now_ms)
{
    if (e->stopping) {
        return;
    }
    connection_tick(e, now_ms);
    pending_expire(&e->pending, now_ms);
    translate_expire(e, now_ms);
    process_tree_tick(e->tree, now_ms);
    COUNT_SET(e, members_forgotten, process_tree_forgotten(e->tree));
    sockets_tick(e, now_ms);
    udp_events_tick(e, now_ms);
    bypasses_tick(e, now_ms);
}

uint32_t engine_next_tick_ms(const struct engine *e, uint64_t now_ms)
{
    enum { IDLE_MS = 250 }; /* time-outs of flows and verdicts are seconds long: this is exact enough for them */
    uint64_t due = held_next_due_ms(e), udp_due = udp_next_due_ms(e);
    due = udp_due < due ? udp_due : due;
    return due <= now_ms ? 0 : due - now_ms < IDLE_MS ? (uint32_t)(due - now_ms) : IDLE_MS;
}

void engine_stop(struct engine *e, bool reset, uint64_t now_ms)
{
    if (e->stopping) {
        return;
    }
    e->stopping = true;
    held_give_up_all(e, now_ms);
    udp_events_stop(e, now_ms);
    translate_stop(e, reset);
}

uint32_t engine_list_flows(const struct engine *e, uint32_t from, struct flow_view *out, uint32_t *count)
{
    return flow_list_copy(&e->flows, from, out, count);
}

uint64_t engine_replies(const struct engine *e)
{
    return flow_list_replies(&e->flows);
}

struct destinations *engine_destinations(const struct engine *e)
{
    return e->destinations;
}

struct decisions *engine_decisions(const struct engine *e)
{
    return e->decisions;
}

const struct engine_counters *engine_counters(const struct engine *e)
{
    return &e->counters;
}
