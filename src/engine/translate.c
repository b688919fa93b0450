/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a packet of a flow gets the flow's other 4-tuple and leaves in the direction that the flow says.
 * A flow ends by its packets, by a time-out, or by the TCP table (sockets.c); at stop it is reset, and what still comes
 * of it is answered with another reset, because its sender did not take the first.
 */
#include "translate.h"

#include "reset.h"
#include "segment_size.h"

static void announce_end(struct engine *e, uint32_t id)
{
    const struct flow *f = flow_at(&e->flows, id);
    if (!flow_is_told(f->kind)) {
        return;
    }
    if (e->host.flow_event) {
        e->host.flow_event(e->host.context, f, flow_original(&e->flows, id), true);
    }
    COUNT_SET(e, flows_live, --e->redirected_live);
}

static void withdraw(struct engine *e, uint32_t id)
{
    destinations_withdraw(e->destinations, be16_to_host(flow_steered(&e->flows, id).src_port));
}

void translate_end_flow(struct engine *e, uint32_t id)
{
    withdraw(e, id);
    announce_end(e, id);
    flow_close(&e->flows, id);
}

void translate_expire(struct engine *e, uint64_t now_ms)
{
    for (uint32_t id; (id = flow_expired(&e->flows, now_ms)) != FLOW_NONE;) {
        translate_end_flow(e, id);
    }
}

/* ---- resets */

static void inject_made(struct engine *e, uint32_t id, enum leg leg, const uint8_t *data, uint32_t length)
{
    const struct flow *f = flow_at(&e->flows, id);
    struct packet_meta meta = {
        .if_index = f->if_index,
        .sub_if_index = f->sub_if_index,
        .ip_checksum_valid = true,
        .transport_checksum_valid = true,
    };
    flow_lead(f, leg, &meta);
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

/* A packet of a flow that was reset: its sender did not take the reset, and now says what it expects. */
__attribute__((noinline)) static enum verdict after_reset(struct engine *e, uint32_t id, enum leg leg,
                                                          const struct packet *p)
{
    if ((p->flags & (TCP_ACK | TCP_RST)) == TCP_ACK) {
        inject_reset(e, id, leg ^ 1, p->ack);
    }
    COUNT(e, packets_dropped);
    return VERDICT_DROP;
}

/* Ends one flow at both of its ends. */
static void reset_flow(struct engine *e, uint32_t id)
{
    const struct flow *f = flow_at(&e->flows, id);
    for (enum leg leg = LEG_FORWARD; leg <= LEG_REPLY; leg++) {
        /* The receiver expects what it acknowledged last, or, if that ACK is still on its way, the end of what it was
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

/* ---- packets */

static inline void lead(const struct flow *f, enum leg leg, const struct tuple *answer, struct packet *p,
                        struct packet_meta *meta)
{
    flow_lead(f, leg, meta);
    rewrite_apply(p, meta, answer, f->delta[leg]);
}

/* Flows of which nobody is told. */
__attribute__((noinline)) static enum verdict translate_untold(struct engine *e, uint32_t id, enum leg leg,
                                                               struct packet *p, struct packet_meta *meta)
{
    const struct flow *f = flow_at(&e->flows, id);
    if (flow_is_only_watched(&e->flows, id)) {
        return VERDICT_PASS; /* as it came, checksum flags included (O5) */
    }
    lead(f, leg, flow_answer(&e->flows, id, leg), p, meta);
    if (f->kind == FLOW_PROOF) {
        if (p->flags & TCP_SYN) {
            segment_size_offer(e, id, leg, p, meta);
        }
        COUNT_BY(e, packets_seen, -1); /* it is none of the user's packets */
        proofs_mark(&e->proofs, f->pid, leg == LEG_REPLY ? PROOF_ANSWERED : PROOF_CAPTURED);
    } else {
        COUNT(e, packets_rewritten);
    }
    return VERDICT_REWRITE;
}

static inline enum verdict translate(struct engine *e, uint32_t id, enum leg leg, struct packet *p,
                                     struct packet_meta *meta, uint64_t now_ms, bool control)
{
    if (e->reset) {
        return after_reset(e, id, leg, p);
    }
    const struct flow *f = flow_at(&e->flows, id);
    const struct tuple *answer = flow_answer(&e->flows, id, leg);
    const bool syn = control && p->flags & TCP_SYN;
    flow_advance(&e->flows, id, leg, p, now_ms);
    if (!flow_is_told(f->kind)) {
        return translate_untold(e, id, leg, p, meta);
    }
    lead(f, leg, answer, p, meta);
    COUNT(e, packets_rewritten);
    if (syn) {
        segment_size_offer(e, id, leg, p, meta);
    }
    bool large = f->segment_size && p->payload > f->segment_size && leg == LEG_REPLY;
    return large && segment_size_cut(e, id, p, meta) ? VERDICT_DROP : VERDICT_REWRITE;
}

/* Few packets of a connection; kept out of the way of the others. */
__attribute__((noinline)) static enum verdict translate_control(struct engine *e, uint32_t id, enum leg leg,
                                                                struct packet *p, struct packet_meta *meta,
                                                                uint64_t now_ms)
{
    return translate(e, id, leg, p, meta, now_ms, true);
}

enum verdict translate_packet(struct engine *e, uint32_t id, enum leg leg, struct packet *p, struct packet_meta *meta,
                              uint64_t now_ms)
{
    if (flow_is_control(p->flags)) {
        return translate_control(e, id, leg, p, meta, now_ms);
    }
    return translate(e, id, leg, p, meta, now_ms, false);
}

void translate_stop(struct engine *e, bool reset)
{
    for (uint32_t id = 0; id < e->flows.never_used; id++) {
        if (flow_at(&e->flows, id)->state == FLOW_FREE) {
            continue;
        }
        if (!reset || flow_is_only_watched(&e->flows, id)) {
            translate_end_flow(e, id);
        } else {
            reset_flow(e, id);
            withdraw(e, id);
            announce_end(e, id);
        }
    }
    e->reset = reset;
}
