/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what happens to a new connection.
 *
 *   from another machine                    the port it goes to decides: a listener of the tree, or not    (N1, N2)
 *   to the proxy itself, or to the agent    passes                                                         (I3)
 *   all others                              the owner decides                                              (O1, O2)
 *
 * The owner is known from the CONNECT event, which mostly comes first; a SYN that overtakes its event is held
 * (pending.h). If the event stays away for half the hold time, the TCP table is asked, once; at the deadline the SYN
 * passes. So identity is decided exactly once per connection, and never on the way of any other packet.
 *
 * A SYN that is to be redirected, but whose port the driver's filter does not divert yet, is held too, until the filter has
 * been replaced (cover.h).
 */
#include "engine_internal.h"

enum { PID_IDLE = 0, PID_SYSTEM = 4 };

enum { RELOOK_MS = 1000, WARN_MS = 60000, PATH_BYTES = 1024, GENERATIONS_MAX = 32, COVER_WAIT_MS = 1000 };

/* A SYN and what is known about it. */
struct attempt {
    struct packet *packet;
    struct packet_meta *meta;
    uint32_t pid;    /* who opens the connection; 0: unknown */
    bool redirected; /* the owner is one whose connections are redirected */
    uint64_t now_ms;
};

/* Whether a live process is a member, by the kernel's word or by its parents, of whom nobody may have been asked yet. */
static bool is_member(struct engine *e, const struct process_facts *facts, int generations)
{
    if (process_tree_learn(e->tree, facts)) {
        return true;
    }
    struct process_facts parent;
    return generations && facts->parent.created && process_tree_may_hold(e->tree, facts->parent) &&
           e->host.process_facts(e->host.context, facts->parent.pid, &parent) &&
           parent.self.created == facts->parent.created && is_member(e, &parent, generations - 1) &&
           process_tree_learn(e->tree, facts);
}

static bool in_tree(struct engine *e, uint32_t pid)
{
    struct process_facts facts;
    if (process_tree_is_pinned(e->tree, pid)) {
        return true; /* nobody need be asked */
    }
    if (e->host.process_facts(e->host.context, pid, &facts)) {
        return is_member(e, &facts, GENERATIONS_MAX);
    }
    return process_tree_knows(e->tree, pid); /* it is gone already: what we knew of it counts */
}

bool engine_owner_redirected(struct engine *e, uint32_t pid)
{
    if (pid == PID_IDLE || pid == PID_SYSTEM || pid == e->config.agent_pid) {
        return false;
    }
    bool member = in_tree(e, pid) && !process_tree_is_marked(e->tree, pid);
    if (!e->rules) {
        return member;
    }
    char path[PATH_BYTES] = "";
    if (rules_want_path(e->rules)) {
        e->host.process_path(e->host.context, pid, path, sizeof path);
    }
    return rules_apply(e->rules, member, pid, path);
}

/* ---- where it is led ---- */

static struct tuple steer(const struct engine *e, const struct tuple *original, enum flow_kind kind, bool reflect,
                          uint16_t port)
{
    struct tuple t = *original;
    t.src_port = be16_from_host(port);
    if (kind == FLOW_INCOMING) {
        t.dst_port = be16_from_host(e->config.incoming_port); /* the proxy sees the real peer (N2) */
    } else if (kind == FLOW_OUTGOING) {
        t.dst_port = be16_from_host(e->config.proxy_port);
        t.src = reflect ? original->dst : ip_addr_loopback(t.family);
        t.dst = reflect ? original->src : ip_addr_loopback(t.family);
    }
    return t;
}

/* Who listens there. After events that leave a doubt, the TCP table is asked first. */
static const struct listener *listener_of(struct engine *e, const struct tuple *connection, uint64_t now_ms)
{
    if (e->listeners_doubtful && e->host.list_listeners) {
        engine_look_at_listeners(e, now_ms);
    }
    return listeners_find(&e->listeners, connection);
}

/* Whether somebody listens where the connection would be led (O4, N4). */
static bool proxy_listens(struct engine *e, const struct tuple *steered, uint64_t now_ms)
{
    if (!e->host.list_listeners || listener_of(e, steered, now_ms)) {
        return true;
    }
    if (now_ms - e->listeners_looked_ms >= RELOOK_MS) { /* a LISTEN event may have been lost */
        engine_look_at_listeners(e, now_ms);
    }
    return listeners_find(&e->listeners, steered) != NULL;
}

static enum verdict without_proxy(struct engine *e, const struct attempt *a, const struct tuple *steered)
{
    COUNT(e, proxy_missing);
    if (e->host.proxy_missing && (!e->warned_ms || a->now_ms - e->warned_ms >= WARN_MS)) {
        e->warned_ms = a->now_ms;
        e->host.proxy_missing(e->host.context, steered);
    }
    if (!e->config.refuse) {
        return VERDICT_PASS;
    }
    uint8_t rst[RESET_MAX];
    uint32_t length = reset_refuse(a->packet, rst);
    struct packet_meta meta = *a->meta;
    meta.outbound = a->meta->loopback || !a->meta->outbound;
    meta.ip_checksum_valid = meta.tcp_checksum_valid = true;
    e->host.inject(e->host.context, &meta, rst, length);
    COUNT(e, packets_dropped);
    return VERDICT_DROP;
}

/* Room in the flow table and a source port that no flow has; closing flows make way. */
static uint16_t make_room(struct engine *e, uint16_t wanted)
{
    uint16_t port = 0;
    while (e->flows.live >= e->flows.capacity || (port = flow_pick_port(&e->flows, wanted)) == 0) {
        uint32_t closing = flow_oldest_closing(&e->flows);
        if (closing == FLOW_NONE) {
            return 0;
        }
        engine_flow_end(e, closing);
    }
    return port;
}

static void announce(struct engine *e, uint32_t id, const struct tuple *steered)
{
    const struct flow *f = flow_at(&e->flows, id);
    const struct tuple *original = flow_original(&e->flows, id);
    struct destination d = {
        .peer = steered->src,
        .address = original->dst,
        .family = original->family,
        .port = be16_to_host(original->dst_port),
        .pid = f->pid,
        .incoming = f->kind == FLOW_INCOMING,
    };
    COUNT_SET(e, flows_live, ++e->redirected_live);
    COUNT(e, flows_total);
    /* Before the SYN leaves: the proxy can never ask too early. */
    destinations_publish(e->destinations, be16_to_host(steered->src_port), &d);
    if (e->host.flow_news) {
        e->host.flow_news(e->host.context, f, original, false);
    }
}

/* Whether the driver will hand over what comes after this SYN. */
static bool is_covered(struct engine *e, const struct attempt *a)
{
    const struct tuple *t = &a->packet->tuple;
    return cover_has(&e->cover, a->meta->outbound, be16_to_host(a->meta->outbound ? t->src_port : t->dst_port));
}

/*
 * Opens a flow for this SYN and translates it. `pid` is the one that the lookup is to tell. VERDICT_HOLD: nothing was done,
 * because the driver's filter has to be replaced first.
 */
static enum verdict redirect(struct engine *e, const struct attempt *a, enum flow_kind kind, uint32_t pid)
{
    bool reflect = kind == FLOW_OUTGOING && e->config.reflect && !a->meta->loopback;
    struct tuple original = a->packet->tuple;
    struct tuple steered = steer(e, &original, kind, reflect, be16_to_host(original.src_port));
    if (kind != FLOW_DIRECT && !proxy_listens(e, &steered, a->now_ms)) {
        return without_proxy(e, a, &steered);
    }
    uint16_t port = make_room(e, be16_to_host(original.src_port));
    if (!port) {
        COUNT(e, flows_refused);
        return VERDICT_PASS; /* L3 */
    }
    steered.src_port = be16_from_host(port);
    struct tuple reply = tuple_reversed(&steered);
    enum leg leg;
    if (flow_find(&e->flows, &original, &leg) != FLOW_NONE || flow_find(&e->flows, &reply, &leg) != FLOW_NONE) {
        COUNT(
            e,
            flows_refused); /* somebody connects from the proxy's own port: his packets would be taken for its replies */
        return VERDICT_PASS;
    }
    bool translated = !tuple_equal(&steered, &original);
    if (translated && !is_covered(e, a)) {
        return VERDICT_HOLD;
    }
    if (translated && a->meta->outbound) {
        cover_flow(&e->cover, a->now_ms);
    }
    uint32_t id = flow_open(&e->flows, &original, &steered, a->now_ms);
    struct flow *f = flow_at(&e->flows, id);
    f->kind = (uint8_t)kind;
    f->isn = a->packet->seq;
    f->pid = pid;
    f->if_index = a->meta->if_index;
    f->sub_if_index = a->meta->sub_if_index;
    /* Loopback packets exist only outbound. Others go on as they came (unless reflected), and their replies the other way:
     * back in where the program's packets went out, or out to the peer that they came from. */
    f->outbound[LEG_FORWARD] = a->meta->outbound && !reflect;
    f->outbound[LEG_REPLY] = a->meta->loopback || !a->meta->outbound;
    if (kind != FLOW_DIRECT) {
        announce(e, id, &steered);
    }
    return engine_translate(e, id, LEG_FORWARD, a->packet, a->meta, a->now_ms);
}

/* ---- who decides ---- */

static bool agent_listens(struct engine *e, const struct attempt *a)
{
    const struct listener *l = listener_of(e, &a->packet->tuple, a->now_ms);
    return l && l->pid == e->config.agent_pid;
}

static const struct listener *tree_listener(struct engine *e, const struct attempt *a)
{
    const struct listener *l = e->config.incoming_port ? listener_of(e, &a->packet->tuple, a->now_ms) : NULL;
    return l && l->in_tree ? l : NULL;
}

/* Straight to a port of the proxy: not redirected (I3), but its source port must not be mistaken for a flow's. */
static bool is_direct(struct engine *e, const struct attempt *a)
{
    const struct tuple *t = &a->packet->tuple;
    uint16_t port = be16_to_host(t->dst_port);
    bool here = a->meta->loopback || !a->meta->outbound;
    if (!here || !port || (port != e->config.proxy_port && port != e->config.incoming_port)) {
        return false;
    }
    ip_addr loopback = ip_addr_loopback(t->family);
    return ip_addr_equal(&t->dst, &loopback) || agent_listens(e, a);
}

/* To whose listener it goes decides. */
static enum verdict lead_to_listener(struct engine *e, const struct attempt *a)
{
    const struct listener *l = tree_listener(e, a);
    return l ? redirect(e, a, FLOW_INCOMING, l->pid) : VERDICT_PASS;
}

/* The owner is known, or known to be unknown. */
static enum verdict carry_out(struct engine *e, const struct attempt *a)
{
    if (is_direct(e, a)) {
        return redirect(e, a, FLOW_DIRECT, 0);
    }
    if (!a->meta->outbound) {
        return lead_to_listener(e, a);
    }
    bool agent = a->pid == e->config.agent_pid;
    const struct listener *l = a->meta->loopback && a->pid && !agent ? tree_listener(e, a) : NULL;
    if (l) {
        return redirect(e, a, FLOW_INCOMING, l->pid); /* also if the tree opened it (N4) */
    }
    if (a->redirected && e->config.proxy_port) {
        return redirect(e, a, FLOW_OUTGOING, a->pid);
    }
    return VERDICT_PASS;
}

static enum verdict hold(struct engine *e, const struct attempt *a)
{
    if (!pending_hold(&e->pending, a->packet, a->meta, a->now_ms + e->config.hold_ms)) {
        COUNT(e, hold_refused);
        return VERDICT_PASS;
    }
    return VERDICT_HOLD;
}

static enum verdict hold_for_owner(struct engine *e, const struct attempt *a)
{
    enum verdict verdict = hold(e, a);
    if (verdict == VERDICT_HOLD) {
        COUNT(e, packets_held);
    }
    return verdict;
}

/* Marks a held SYN: all is known about it, and it waits for the driver's filter. */
static void wait_for_cover(struct engine *e, uint32_t id, uint32_t pid, uint64_t now_ms)
{
    struct pending_entry *held = &e->pending.entries[id];
    if (!held->redirect) {
        held->redirect = held->owner_asked = true;
        held->deadline_ms = now_ms + COVER_WAIT_MS;
        COUNT(e, cover_waits);
    }
    held->pid = pid;
    if (held->meta.outbound) {
        cover_flow(&e->cover, now_ms);
    }
    cover_want(&e->cover, now_ms);
}

static enum verdict hold_for_cover(struct engine *e, const struct attempt *a)
{
    enum verdict verdict = hold(e, a);
    if (verdict == VERDICT_HOLD) {
        wait_for_cover(e, pending_find(&e->pending, &a->packet->tuple), a->pid, a->now_ms);
    }
    return verdict;
}

/* A SYN whose owner decides: the verdict is there already, or it has to wait. */
static enum verdict meet_owner(struct engine *e, struct attempt *a)
{
    uint32_t id = pending_find(&e->pending, &a->packet->tuple);
    if (id == PENDING_NONE) {
        return hold_for_owner(e, a);
    }
    struct pending_entry *known = &e->pending.entries[id];
    uint32_t isn = a->packet->seq;
    if (known->state == PENDING_USED && known->isn != isn) {
        return hold_for_owner(e, a); /* a new connection on an old tuple: its own event is yet to come */
    }
    pending_use(&e->pending, id, isn, a->meta->timestamp, a->now_ms);
    a->pid = known->pid;
    a->redirected = known->redirect;
    enum verdict verdict = carry_out(e, a);
    if (verdict == VERDICT_HOLD) {
        return hold_for_cover(e, a);
    }
    known->redirect = verdict != VERDICT_PASS; /* once it has left as it came, its handshake is under way */
    return verdict;
}

/* A SYN from another machine: whose listener it goes to decides, at once. */
static enum verdict meet_listener(struct engine *e, const struct attempt *a)
{
    uint32_t isn = a->packet->seq, id = pending_find(&e->pending, &a->packet->tuple);
    const struct pending_entry *known =
        id != PENDING_NONE && e->pending.entries[id].isn == isn ? &e->pending.entries[id] : NULL;
    bool passed = known && !known->redirect;
    enum verdict verdict = passed ? VERDICT_PASS : lead_to_listener(e, a);
    if (verdict == VERDICT_HOLD) {
        return hold_for_cover(e, a);
    }
    if (verdict == VERDICT_PASS && listeners_find(&e->listeners, &a->packet->tuple)) {
        /* Somebody answers it: were it led to the proxy when it is sent again, two would. */
        pending_decide(&e->pending, &a->packet->tuple, false, 0, a->now_ms);
        id = pending_find(&e->pending, &a->packet->tuple);
        pending_use(&e->pending, id, isn, a->meta->timestamp, a->now_ms);
    }
    return verdict;
}

enum verdict engine_syn(struct engine *e, struct packet *p, struct packet_meta *meta, uint64_t now_ms)
{
    struct attempt a = {.packet = p, .meta = meta, .now_ms = now_ms};
    uint32_t id = pending_find(&e->pending, &p->tuple);
    if (id != PENDING_NONE && e->pending.entries[id].state == PENDING_HELD) {
        COUNT(e, packets_dropped); /* a retransmission of what is held, or a new attempt that replaces it */
        if (e->pending.entries[id].isn == p->seq) {
            return VERDICT_DROP;
        }
        pending_release(&e->pending, id, false, 0, now_ms);
    }
    if (meta->outbound) {
        cover_syn(&e->cover, be16_to_host(p->tuple.src_port));
    }
    if (is_direct(e, &a)) {
        enum verdict verdict = redirect(e, &a, FLOW_DIRECT, 0);
        return verdict == VERDICT_HOLD ? hold_for_cover(e, &a) : verdict;
    }
    if (!meta->outbound) {
        return meet_listener(e, &a);
    }
    if (meta->loopback && agent_listens(e, &a)) {
        return VERDICT_PASS;
    }
    if (!e->config.proxy_port && !(meta->loopback && tree_listener(e, &a))) {
        return VERDICT_PASS; /* only incoming is on, and this is none */
    }
    return meet_owner(e, &a);
}

/* ---- held SYNs ---- */

static void leave(struct engine *e, uint32_t id, enum verdict verdict, struct packet_meta *meta, uint32_t pid,
                  uint64_t now_ms)
{
    uint32_t length = e->pending.entries[id].length;
    uint8_t *data =
        pending_release(&e->pending, id, verdict != VERDICT_PASS, pid, now_ms); /* so with its retransmissions */
    if (verdict == VERDICT_PASS) {
        COUNT(e, packets_passed);
    }
    if (verdict != VERDICT_DROP) {
        e->host.inject(e->host.context, meta, data, length);
    }
}

/* The owner of a held SYN is known now: it leaves, unless the driver's filter has to be replaced first. */
static void let_go(struct engine *e, uint32_t id, bool redirected, uint32_t pid, uint64_t now_ms)
{
    struct packet_meta meta = e->pending.entries[id].meta;
    struct packet p;
    enum verdict verdict = VERDICT_PASS;
    if (packet_parse(pending_bytes(&e->pending, id), e->pending.entries[id].length, &p) == PACKET_TCP) {
        struct attempt a = {&p, &meta, pid, redirected, now_ms};
        verdict = carry_out(e, &a);
    }
    if (verdict == VERDICT_HOLD) {
        wait_for_cover(e, id, pid, now_ms);
    } else {
        leave(e, id, verdict, &meta, pid, now_ms);
    }
}

/* A held SYN leaves as it came: nobody knows whose it is, or the driver's filter could not be replaced. */
static void give_up(struct engine *e, uint32_t id, uint64_t now_ms)
{
    struct packet_meta meta = e->pending.entries[id].meta;
    COUNT(e, hold_timeouts);
    leave(e, id, VERDICT_PASS, &meta, 0, now_ms);
}

void engine_connect(struct engine *e, const struct socket_event *event, uint64_t now_ms)
{
    if (e->stopping) {
        return;
    }
    uint32_t id = pending_find(&e->pending, &event->tuple);
    const struct pending_entry *known = id != PENDING_NONE ? &e->pending.entries[id] : NULL;
    if (known && event->timestamp && event->timestamp <= known->syn_time) {
        return; /* too late, or a second one: its SYN has left, and must not be redirected in mid-handshake */
    }
    bool redirected = engine_owner_redirected(e, event->pid);
    if (known && known->state == PENDING_HELD) {
        let_go(e, id, redirected, event->pid, now_ms);
    } else {
        pending_decide(&e->pending, &event->tuple, redirected, event->pid, now_ms);
    }
}

void engine_held_tick(struct engine *e, uint64_t now_ms)
{
    uint32_t next;
    for (uint32_t id = e->pending.held.head; id != PENDING_NONE; id = next) {
        struct pending_entry *held = &e->pending.entries[id];
        next = held->next;
        uint32_t pid = 0;
        if (!held->owner_asked && held->deadline_ms - e->config.hold_ms / 2 <= now_ms) {
            held->owner_asked = true;
            pid = e->host.socket_owner(e->host.context, &e->pending.map.keys[id]);
        }
        if (pid) {
            let_go(e, id, engine_owner_redirected(e, pid), pid, now_ms);
        } else if (held->deadline_ms <= now_ms) {
            give_up(e, id, now_ms);
        }
    }
}

void engine_held_retry(struct engine *e, bool covered, uint64_t now_ms)
{
    uint32_t next;
    for (uint32_t id = e->pending.held.head; id != PENDING_NONE; id = next) {
        const struct pending_entry *held = &e->pending.entries[id];
        next = held->next;
        if (held->redirect && covered) {
            let_go(e, id, true, held->pid, now_ms);
        } else if (held->redirect) {
            give_up(e, id, now_ms);
        }
    }
}

void engine_held_release_all(struct engine *e, uint64_t now_ms)
{
    while (e->pending.held.head != PENDING_NONE) {
        give_up(e, e->pending.held.head, now_ms);
    }
}
