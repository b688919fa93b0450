/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what happens to a datagram that is of no flow.
 *
 *   to a group, to all, or while stopping    passes                                                       (U3)
 *   to the proxy itself                      passes, but its port there must not be mistaken for a flow's (U1)
 *   from the proxy, to nobody                is dropped: it was an answer to a flow that has ended        (U5)
 *   forwarded for another machine            passes
 *   owner unknown                            is held, in line, until an event or the UDP table tells      (U2)
 *   of a stranger, or an answer              passes
 *   blocked by a rule                        is dropped                                                   (R1)
 *   to the agent, or to the sender's own     passes
 *   all others of the tree                   become a flow, if somebody receives on the proxy's port      (U1)
 */
#include "udp_choice.h"

#include "policy.h"

static bool is_to_many(const struct engine *e, const struct tuple *t)
{
    static const uint8_t all[4] = {255, 255, 255, 255};
    const uint8_t *b = t->dst.bytes;
    if (t->family == FAMILY_IP6) {
        return b[0] == 0xff;
    }
    return (b[12] & 0xf0) == 0xe0 || !memcmp(b + 12, all, sizeof all) ||
           (e->own && own_addresses_is_broadcast(e->own, &t->dst, t->family));
}

/* Straight to the proxy's port. */
static bool is_direct(struct engine *e, const struct tuple *t, const struct packet_meta *meta)
{
    ip_addr here = ip_addr_loopback(t->family);
    if (!meta->loopback || be16_to_host(t->dst_port) != e->config.udp_port) {
        return false;
    }
    const struct listener *s = udp_sockets_at(e, t);
    return ip_addr_equal(&t->dst, &here) || (s && udp_sockets_is_agent(e, s->pid));
}

/* From the proxy's port to one where no flow is, and nobody else who could be meant. */
static bool is_stray_answer(struct engine *e, const struct tuple *t, const struct packet_meta *meta)
{
    ip_addr loopback = ip_addr_loopback(t->family);
    if (!meta->loopback || be16_to_host(t->src_port) != e->config.udp_port || !ip_addr_equal(&t->src, &loopback) ||
        !ip_addr_equal(&t->dst, &loopback) || !e->udp->reading.answered_ms) {
        return false;
    }
    const struct listener *s = udp_sockets_at(e, t);
    return !s || (ip_addr_is_any(&s->address, s->family) && s->pid && policy_is_member(e, s->pid));
}

/* Within the machine: to the agent, to the sender's own process, or as a rule about the receiver says. */
static bool is_spared_here(struct engine *e, const struct tuple *t, const struct udp_owner *owner)
{
    const struct listener *s = udp_sockets_at(e, t);
    if (!s || !s->pid) {
        return false;
    }
    if (s->pid == owner->pid || udp_sockets_is_agent(e, s->pid)) {
        return true;
    }
    const struct rule_verdict otherwise = {.action = RULE_REDIRECT};
    return policy_minds_listeners(e) &&
           policy_judge_to(e, owner->pid, t, PROTOCOL_UDP, s->pid, otherwise).action != RULE_REDIRECT;
}

static enum udp_choice choose_of_tree(struct engine *e, const struct tuple *t, const struct arrival *a,
                                      const struct udp_owner *owner)
{
    bool doubtful;
    if (owner->answers || (a->meta->loopback && is_spared_here(e, t, owner))) {
        return CHOOSE_PASS;
    }
    if (!udp_sockets_proxy_receives(e, t->family, a->now_ms, &doubtful)) {
        return doubtful ? WAIT_FOR_PROXY : CHOOSE_NO_PROXY;
    }
    return CHOOSE_REDIRECT;
}

enum udp_choice udp_choice_of(struct engine *e, const struct tuple *t, const struct arrival *a, struct udp_owner *owner)
{
    const struct packet_meta *meta = a->meta;
    *owner = (struct udp_owner){.known = false};
    if (e->stopping || !meta->outbound || is_to_many(e, t)) {
        return CHOOSE_PASS;
    }
    if (is_direct(e, t, meta)) {
        return CHOOSE_DIRECT;
    }
    if (is_stray_answer(e, t, meta)) {
        return CHOOSE_DROP;
    }
    if (meta->loopback && e->config.no_loopback) {
        return CHOOSE_PASS;
    }
    *owner = udp_sockets_owner(e, t, meta->timestamp, a->now_ms);
    if (!owner->known) {
        bool forwarded = !meta->loopback && e->own && !own_addresses_has(e->own, &t->src, t->family);
        return forwarded ? CHOOSE_PASS : WAIT_FOR_OWNER;
    }
    if (owner->blocked && !owner->answers) {
        return CHOOSE_BLOCK;
    }
    return owner->redirected ? choose_of_tree(e, t, a, owner) : CHOOSE_PASS;
}
