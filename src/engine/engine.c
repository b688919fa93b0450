/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation, the packet's way:
 *
 *   parse -> find flow -> rewrite                                  a packet of a redirected connection
 *                      -> pass                                     anything else that is no SYN
 *                      -> SYN: verdict known? -> redirect or pass  (connection.c)
 *                              else hold it until the owner is known
 *
 * engine.c holds the intake; connection.c decides about new connections; coverage.c says which packets are wanted at all.
 */
#include "engine_internal.h"

#include <stdlib.h>

struct engine *engine_new(const struct engine_config *config, const struct engine_host *host)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        return NULL;
    }
    e->config = *config;
    e->host = *host;
    cover_init(&e->cover, config->whole_cover);
    e->destinations = destinations_new();
    e->tree = process_tree_new();
    bool ok = e->destinations && e->tree;
    ok = flow_table_init(&e->flows, config->max_flows, config->seed) && ok;
    ok = pending_init(&e->pending, config->seed) && ok;
    ok = listeners_init(&e->listeners) && ok;
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
    destinations_free(e->destinations);
    process_tree_free(e->tree);
    flow_table_free(&e->flows);
    pending_free(&e->pending);
    listeners_free(&e->listeners);
    rules_free(e->rules);
    free(e);
}

static void announce_end(struct engine *e, uint32_t id)
{
    const struct flow *f = flow_at(&e->flows, id);
    if (f->kind == FLOW_DIRECT) {
        return;
    }
    if (e->host.flow_news) {
        e->host.flow_news(e->host.context, f, flow_original(&e->flows, id), true);
    }
    COUNT_SET(e, flows_live, --e->redirected_live);
}

void engine_flow_end(struct engine *e, uint32_t id)
{
    destinations_withdraw(e->destinations, be16_to_host(flow_steered(&e->flows, id).src_port));
    announce_end(e, id);
    flow_close(&e->flows, id);
}

static struct packet_meta leg_meta(const struct flow *f, enum leg leg, const struct packet_meta *captured)
{
    struct packet_meta m = *captured;
    m.outbound = f->outbound[leg];
    if (leg == LEG_REPLY) { /* back where the program's packets came from */
        m.if_index = f->if_index;
        m.sub_if_index = f->sub_if_index;
    }
    return m;
}

static void inject_made(struct engine *e, uint32_t id, enum leg leg, const uint8_t *data, uint32_t length)
{
    const struct flow *f = flow_at(&e->flows, id);
    struct packet_meta captured = {
        .if_index = f->if_index,
        .sub_if_index = f->sub_if_index,
        .ip_checksum_valid = true,
        .tcp_checksum_valid = true,
    };
    struct packet_meta meta = leg_meta(f, leg, &captured);
    e->host.inject(e->host.context, &meta, data, length);
}

static void inject_reset(struct engine *e, uint32_t id, enum leg leg, uint32_t seq)
{
    uint8_t rst[RESET_MAX];
    inject_made(e, id, leg, rst, reset_build(&e->flows, id, leg, seq, rst));
}

static void inject_refusal(struct engine *e, uint32_t id)
{
    uint8_t rst[RESET_MAX];
    inject_made(e, id, LEG_REPLY, rst, reset_refuse_flow(&e->flows, id, rst));
}

/* A packet of a flow that stop has reset: its sender did not take the reset, and now says what he expects. */
static enum verdict after_reset(struct engine *e, uint32_t id, enum leg leg, const struct packet *p)
{
    if ((p->flags & (TCP_ACK | TCP_RST)) == TCP_ACK) {
        inject_reset(e, id, leg ^ 1, p->ack);
    }
    COUNT(e, packets_dropped);
    return VERDICT_DROP;
}

/* A direct connection to the proxy that kept its source port: we only watch it. */
static bool goes_on_alone(const struct engine *e, uint32_t id)
{
    if (flow_at(&e->flows, id)->kind != FLOW_DIRECT) {
        return false;
    }
    struct tuple steered = flow_steered(&e->flows, id);
    return tuple_equal(flow_original(&e->flows, id), &steered);
}

enum verdict engine_translate(struct engine *e, uint32_t id, enum leg leg, struct packet *p, struct packet_meta *meta,
                              uint64_t now_ms)
{
    if (e->reset) {
        return after_reset(e, id, leg, p);
    }
    flow_advance(&e->flows, id, leg, p, now_ms);
    if (goes_on_alone(e, id)) {
        return VERDICT_PASS; /* as it came, checksum flags included (O5) */
    }
    const struct flow *f = flow_at(&e->flows, id);
    struct tuple target = flow_target(&e->flows, id, leg);
    struct rewrite_delta delta = leg == LEG_FORWARD ? f->delta : rewrite_delta_reversed(f->delta);
    *meta = leg_meta(f, leg, meta);
    rewrite_apply(p, meta, &target, delta);
    COUNT(e, packets_rewritten);
    return VERDICT_REWRITE;
}

static bool is_first_syn(const struct packet *p)
{
    return (p->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

/* A packet of a flow, or a first SYN. */
__attribute__((noinline, flatten)) static enum verdict
decide(struct engine *e, uint32_t id, enum leg leg, struct packet *p, struct packet_meta *meta, uint64_t now_ms)
{
    bool syn = is_first_syn(p);
    if (id != FLOW_NONE) {
        bool old = syn && leg == LEG_FORWARD && p->seq != flow_at(&e->flows, id)->isn;
        if (!old) {
            return engine_translate(e, id, leg, p, meta, now_ms);
        }
        /* A new SYN on an old tuple is a new connection (L1). */
        if (e->reset) {
            flow_close(&e->flows, id); /* its end was announced by engine_stop() */
        } else {
            engine_flow_end(e, id);
        }
    }
    return syn && !e->stopping ? engine_syn(e, p, meta, now_ms) : VERDICT_PASS;
}

/*
 * Once per packet that the driver hands over. What it calls in its unit (cmake/sources.cmake) is compiled into it, and a
 * stranger's packet leaves by the shortest way.
 */
__attribute__((flatten)) enum verdict engine_packet(struct engine *e, struct packet_meta *meta, uint8_t *data,
                                                    uint32_t length, uint64_t now_ms)
{
    struct packet p;
    enum leg leg = LEG_FORWARD;
    enum verdict verdict = VERDICT_PASS;
    COUNT(e, packets_seen);
    enum packet_kind kind = packet_locate(data, length, &p);
    if (kind == PACKET_TCP) {
        uint32_t id = flow_find(&e->flows, &p.tuple, &leg);
        if (id != FLOW_NONE || is_first_syn(&p)) {
            packet_read(data, length, &p);
            verdict = decide(e, id, leg, &p, meta, now_ms);
        } else {
            cover_stranger(&e->cover, meta->outbound, be16_to_host(p.tuple.src_port));
        }
    } else if (kind == PACKET_MALFORMED) {
        COUNT(e, packets_malformed);
    }
    if (verdict == VERDICT_PASS) {
        COUNT(e, packets_passed);
    }
    return verdict;
}

/* Judges the listeners of one process anew, or of all (pid 0). */
static void judge_listeners(struct engine *e, uint32_t pid)
{
    for (uint32_t i = 0; i < e->listeners.count; i++) {
        struct listener *l = &e->listeners.all[i];
        if (l->pid && (!pid || l->pid == pid)) {
            l->in_tree = engine_owner_redirected(e, l->pid);
        }
    }
    e->listeners_judged = true;
}

void engine_process(struct engine *e, struct process_id id)
{
    process_tree_pin(e->tree, id);
    judge_listeners(e, id.pid);
}

void engine_spare_root(struct engine *e, struct process_id id)
{
    process_tree_mark(e->tree, id);
}

void engine_process_exited(struct engine *e, struct process_id id, uint64_t now_ms)
{
    process_tree_exit(e->tree, id, now_ms);
}

void engine_listener(struct engine *e, const struct tuple *local, uint32_t pid)
{
    listeners_add(&e->listeners, local, pid, pid && engine_owner_redirected(e, pid), true);
    e->listeners_judged = true;
}

static bool may_be_dual_stack(const struct tuple *local)
{
    return local->family == FAMILY_IP6 && ip_addr_is_any(&local->src, local->family);
}

static void listener_opened(struct engine *e, const struct socket_event *event)
{
    listeners_add(&e->listeners, &event->tuple, event->pid, engine_owner_redirected(e, event->pid), false);
    e->listeners_judged = true;
    e->listeners_doubtful = e->listeners_doubtful || may_be_dual_stack(&event->tuple);
}

static void listener_closed(struct engine *e, const struct socket_event *event)
{
    if (listeners_remove(&e->listeners, &event->tuple, event->pid) && may_be_dual_stack(&event->tuple)) {
        /* Then its other half goes without an event; if it was a socket of its own, the look will find it again. */
        struct tuple twin = {.src_port = event->tuple.src_port, .family = FAMILY_IP4};
        twin.src = ip_addr_from_ip4((const uint8_t[4]){0});
        listeners_remove(&e->listeners, &twin, event->pid);
        e->listeners_doubtful = true;
    }
}

void engine_look_at_listeners(struct engine *e, uint64_t now_ms)
{
    e->listeners_looked_ms = now_ms;
    if (e->host.list_listeners) {
        listeners_snapshot_begin(&e->listeners);
        bool whole = e->host.list_listeners(e->host.context);
        listeners_snapshot_end(&e->listeners, whole);
        e->listeners_doubtful = e->listeners_doubtful && !whole;
    }
}

void engine_set_rules(struct engine *e, struct rules *rules)
{
    rules_free(e->rules);
    e->rules = rules;
    judge_listeners(e, 0);
}

void engine_socket(struct engine *e, const struct tuple *row)
{
    flow_look_row(&e->flows, row);
}

/* Ends the flows whose sockets are gone without a word (L1): a program that was killed, a packet that never came by. */
static void look_at_sockets(struct engine *e, uint64_t now_ms)
{
    if (now_ms - e->sockets_looked_ms < e->config.look_ms) {
        return;
    }
    e->sockets_looked_ms = now_ms;
    if (!e->host.list_sockets || !e->flows.live) {
        return;
    }
    if (!e->host.list_sockets(e->host.context)) {
        return; /* half a table proves nothing; what was seen stays seen */
    }
    flow_look_end(&e->flows);
    for (uint32_t id = flow_lost(&e->flows, 0); id != FLOW_NONE; id = flow_lost(&e->flows, id + 1)) {
        engine_flow_end(e, id);
    }
}

void engine_event(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    COUNT(e, events_seen);
    switch (event->kind) {
    case SOCKET_CONNECT:
        engine_connect(e, event, now_ms);
        break;
    case SOCKET_LISTEN:
        listener_opened(e, event);
        break;
    case SOCKET_CLOSE:
        if (be16_to_host(event->tuple.dst_port) == 0) {
            listener_closed(e, event);
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
    engine_held_tick(e, now_ms);
    pending_expire(&e->pending, now_ms);
    for (uint32_t id; (id = flow_expired(&e->flows, now_ms)) != FLOW_NONE;) {
        engine_flow_end(e, id);
    }
    process_tree_tick(e->tree, now_ms);
    if (now_ms - e->listeners_looked_ms >= e->config.look_ms) {
        engine_look_at_listeners(e, now_ms); /* events can be lost */
    }
    look_at_sockets(e, now_ms);
}

uint32_t engine_next_tick_ms(const struct engine *e, uint64_t now_ms)
{
    enum { IDLE_MS = 250 }; /* time-outs of flows and verdicts are seconds long: this is exact enough for them */
    uint64_t due = now_ms + IDLE_MS;
    /* Held SYNs stand in order of deadline, so the oldest one is due first: and the oldest one nobody was asked about. */
    for (uint32_t id = e->pending.held.head; id != PENDING_NONE; id = e->pending.entries[id].next) {
        const struct pending_entry *held = &e->pending.entries[id];
        uint64_t its_due = held->owner_asked ? held->deadline_ms : held->deadline_ms - e->config.hold_ms / 2;
        due = its_due < due ? its_due : due;
        if (!held->owner_asked) {
            break;
        }
    }
    return due > now_ms ? (uint32_t)(due - now_ms) : 0;
}

/* Ends one flow at both of its ends. */
static void reset_flow(struct engine *e, uint32_t id)
{
    const struct flow *f = flow_at(&e->flows, id);
    for (enum leg leg = LEG_FORWARD; leg <= LEG_REPLY; leg++) {
        /* The receiver expects what he acknowledged last, or, if that ACK is still on its way, the end of what he was
         * sent. */
        bool acked = f->acked[leg ^ 1], sent = f->begun[leg];
        if (acked) {
            inject_reset(e, id, leg, f->last_ack[leg ^ 1]);
        } else if (leg == LEG_REPLY) {
            inject_refusal(e, id); /* the program waits for an answer to its SYN */
        }
        if (sent && (acked ? f->next_seq[leg] != f->last_ack[leg ^ 1] : leg == LEG_REPLY)) {
            inject_reset(e, id, leg, f->next_seq[leg]);
        }
    }
}

void engine_stop(struct engine *e, bool reset, uint64_t now_ms)
{
    if (e->stopping) {
        return;
    }
    e->stopping = true;
    engine_held_release_all(e, now_ms);
    for (uint32_t id = 0; id < e->flows.never_used; id++) {
        if (flow_at(&e->flows, id)->state == FLOW_FREE) {
            continue;
        }
        if (!reset || goes_on_alone(e, id)) {
            engine_flow_end(e, id);
        } else {
            reset_flow(e, id);
            announce_end(e, id); /* it stays in the table, so that its last packets are recognised */
        }
    }
    for (uint32_t port = 0; port < 65536; port++) {
        destinations_withdraw(e->destinations, (uint16_t)port);
    }
    e->reset = reset;
}

struct destinations *engine_destinations(const struct engine *e)
{
    return e->destinations;
}

const struct engine_counters *engine_counters(const struct engine *e)
{
    return &e->counters;
}
