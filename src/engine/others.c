/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "others.h"

/* Whether `seen` is what another redirector can have made of the SYN of `original`. */
static bool may_be_made_of(const struct engine *e, const struct tuple *seen, const struct tuple *original)
{
    uint16_t port = be16_to_host(original->dst_port);
    if (port == e->config.proxy_port || port == e->config.incoming_port) {
        return false; /* straight to our proxy: its SYN has passed without a trace here */
    }
    if (seen->src_port.wire != original->src_port.wire || seen->family != original->family ||
        tuple_equal(seen, original)) {
        return false;
    }
    bool same = ip_addr_equal(&seen->src, &original->src) && ip_addr_equal(&seen->dst, &original->dst) &&
                seen->dst_port.wire != original->dst_port.wire;
    return same || tuple_is_steered(seen, original);
}

static void remember_agent(struct engine *e, const struct tuple *original, const struct tuple *seen)
{
    const struct listener *target = listeners_find(&e->listeners, original);
    const struct listener *agent = listeners_find(&e->listeners, seen);
    if (e->config.incoming_port && target && target->in_tree && agent && agent->pid && !others_agent(e, agent->pid)) {
        e->inner_agents[e->next_inner_agent++ % INNER_AGENTS_MAX] = agent->pid;
    }
}

bool others_agent(const struct engine *e, uint32_t pid)
{
    for (uint32_t i = 0; i < INNER_AGENTS_MAX; i++) {
        if (pid && e->inner_agents[i] == pid) {
            return true;
        }
    }
    return false;
}

/* The connection of this entry, whose event is known, is led by another redirector, by this SYN. */
static void note(struct engine *e, uint32_t id, const struct tuple *seen, uint32_t isn, int64_t syn_time,
                 uint64_t now_ms)
{
    struct pending_entry *entry = &e->pending.entries[id];
    bool ours = entry->redirect;
    uint32_t pid = entry->pid;
    entry->redirect = false; /* if the other one ends, its SYN is sent again in the middle of a handshake */
    pending_use(&e->pending, id, isn, syn_time, now_ms);
    remember_agent(e, &e->pending.map.keys[id], seen);
    if (!ours) {
        return;
    }
    COUNT(e, led_by_others);
    if (e->host.led_by_other && !e->led_by_other_told) {
        e->led_by_other_told = true;
        e->host.led_by_other(e->host.context, &e->pending.map.keys[id], pid);
    }
}

bool others_lead(struct engine *e, const struct attempt *a)
{
    const struct tuple *seen = &a->packet->tuple;
    uint32_t id = pending_newest_of_port(&e->pending, seen);
    if (id == PENDING_NONE || !may_be_made_of(e, seen, &e->pending.map.keys[id])) {
        return false;
    }
    const struct pending_entry *entry = &e->pending.entries[id];
    if (entry->state == PENDING_DECIDED) {
        note(e, id, seen, a->packet->seq, a->meta->timestamp, a->now_ms);
        return true;
    }
    return entry->state == PENDING_USED && entry->isn == a->packet->seq; /* sent again */
}

uint32_t others_event(struct engine *e, const struct socket_event *event, const struct tuple *tuple, bool redirected,
                      uint64_t now_ms)
{
    uint32_t held = pending_newest_of_port(&e->pending, tuple);
    const struct pending_entry *entry = held == PENDING_NONE ? NULL : &e->pending.entries[held];
    bool made = entry && pending_is_held(entry) && entry->state != HELD_FOR_DECISION &&
                may_be_made_of(e, &e->pending.map.keys[held], tuple) && event->timestamp <= entry->meta.timestamp;
    uint32_t isn = made ? entry->isn : 0;
    struct tuple seen = made ? e->pending.map.keys[held] : (struct tuple){0};
    struct packet_meta meta = made ? entry->meta : (struct packet_meta){0};
    if (made) {
        held_leave(e, held, VERDICT_PASS, &meta, 0, now_ms);
    }
    uint32_t id = pending_decide(&e->pending, tuple, redirected, event->pid, now_ms);
    if (made && id != PENDING_NONE) {
        note(e, id, &seen, isn, meta.timestamp, now_ms);
    }
    return id;
}
