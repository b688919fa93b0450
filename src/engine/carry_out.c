/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what connection.c says of a SYN comes true here: by whom it is, where it goes, and who listens
 * there. Where that is in doubt the SYN waits.
 */
#include "carry_out.h"

#include "others.h"
#include "policy.h"
#include "sockets.h"

static bool agent_listens(struct engine *e, const struct attempt *a)
{
    const struct listener *l = listeners_find(&e->listeners, &a->packet->tuple);
    return l && sockets_is_agent(e, l->pid);
}

static const struct listener *tree_listener(struct engine *e, const struct attempt *a)
{
    const struct listener *l = e->config.incoming_port ? listeners_find(&e->listeners, &a->packet->tuple) : NULL;
    return l && l->in_tree && !sockets_is_agent(e, l->pid) ? l : NULL;
}

bool carry_out_waits_for_listener(struct engine *e, struct attempt *a)
{
    bool matters = a->meta->loopback ? !e->config.no_loopback : !a->meta->outbound && e->config.incoming_port;
    return matters && sockets_in_doubt(e) && redirect_waits_for_table(e, a);
}

bool carry_out_is_left_alone(struct engine *e, const struct attempt *a)
{
    if (a->meta->loopback && e->config.no_loopback) {
        COUNT(e, loopback_passed);
        return true;
    }
    if (a->meta->loopback && agent_listens(e, a)) {
        COUNT(e, agent_connections);
        return true;
    }
    return !e->config.proxy_port && !a->blocked &&
           !(a->meta->loopback && tree_listener(e, a)); /* only incoming is on */
}

bool carry_out_is_direct(struct engine *e, const struct attempt *a)
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

static enum verdict block(struct engine *e, const struct attempt *a)
{
    COUNT(e, connections_blocked);
    return redirect_refuse(e, a->packet, a->meta);
}

/* To a listener of the tree: it is led, unless a rule about that says otherwise (R1). A port that was named needs none. */
static enum verdict lead_in(struct engine *e, struct attempt *a, const struct listener *l)
{
    struct rule_verdict verdict = {.action = RULE_REDIRECT};
    if (policy_minds_places(e) && policy_may_concern(e, l->pid, PROTOCOL_TCP, RULE_INCOMING)) {
        verdict = policy_judge(e, l->pid, &a->packet->tuple, PROTOCOL_TCP, RULE_INCOMING);
    }
    a->upstream = verdict.upstream;
    return verdict.action == RULE_BLOCK  ? block(e, a)
           : verdict.action == RULE_PASS ? VERDICT_PASS
                                         : redirect_syn(e, a, FLOW_INCOMING, l->pid);
}

enum verdict carry_out_incoming(struct engine *e, struct attempt *a)
{
    if (carry_out_waits_for_listener(e, a)) {
        return VERDICT_HOLD;
    }
    const struct listener *l = tree_listener(e, a);
    return l ? lead_in(e, a, l) : VERDICT_PASS;
}

void carry_out_take_verdict(struct attempt *a, struct rule_verdict verdict)
{
    a->redirected = verdict.action == RULE_REDIRECT;
    a->blocked = verdict.action == RULE_BLOCK;
    a->upstream = verdict.upstream;
}

enum verdict carry_out_owned(struct engine *e, struct attempt *a)
{
    bool within = a->meta->loopback && a->pid && a->pid != e->config.agent_pid;
    bool unsure = false;
    struct rule_verdict verdict = carry_out_verdict_of(a->redirected, a->blocked, a->upstream);
    if (within && e->config.proxy_port) {
        verdict = sockets_judge_to(e, &a->packet->tuple, a->pid, verdict, a->now_ms, &unsure);
    }
    bool outgoing = verdict.action == RULE_REDIRECT && e->config.proxy_port;
    const struct listener *l = within ? tree_listener(e, a) : NULL;
    enum own own = within && (l || outgoing) ? sockets_own_listener(e, &a->packet->tuple, a->pid, a->now_ms) : OWN_NO;
    bool doubtful = unsure || own == OWN_UNSURE || (a->unsure && sockets_in_doubt(e));
    if (doubtful && redirect_waits_for_table(e, a)) {
        return VERDICT_HOLD;
    }
    carry_out_take_verdict(a, verdict);
    if (a->blocked) {
        return block(e, a);
    }
    if (own == OWN_YES) {
        COUNT(e, self_connections);
        return VERDICT_PASS;
    }
    if (l && !sockets_is_agent(e, a->pid)) {
        if (others_agent(e, a->pid)) {
            return VERDICT_PASS; /* the program is to get it (O7) */
        }
        return lead_in(e, a, l); /* also if the tree opened it (N4) */
    }
    return outgoing ? redirect_syn(e, a, FLOW_OUTGOING, a->pid) : VERDICT_PASS;
}

enum verdict carry_out_turn_away(struct engine *e, enum decision decision, const struct packet *syn,
                                 const struct packet_meta *meta)
{
    switch (decision) {
    case DECISION_REFUSE:
        return redirect_refuse(e, syn, meta);
    case DECISION_DROP:
        COUNT(e, packets_dropped);
        return VERDICT_DROP;
    default:
        return VERDICT_PASS;
    }
}
