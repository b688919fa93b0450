/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the flow table is an array, so all flows are found by going through its slots. That is done in
 * portions, each taken between two batches of packets; a flow keeps its slot, so none is seen twice or skipped, except
 * those that begin or end meanwhile.
 */
#include "flow_list.h"

uint32_t flow_list_copy(const struct flow_table *t, uint32_t from, struct flow_view *out, uint32_t *count)
{
    uint32_t end = t->never_used;
    uint32_t until = from < end && end - from > FLOW_LIST_SLOTS ? from + FLOW_LIST_SLOTS : end;
    *count = 0;
    for (uint32_t id = from; id < until; id++) {
        const struct flow *f = flow_at(t, id);
        bool ended = f->kind == FLOW_ENDED; /* of UDP: it may have lived for a moment only */
        if (f->state == FLOW_FREE || (!flow_is_told(f->kind) && !ended)) {
            continue;
        }
        struct tuple steered = flow_steered(t, id);
        out[(*count)++] = (struct flow_view){
            .original = *flow_original(t, id),
            .peer = steered.src,
            .peer_port = be16_to_host(steered.src_port),
            .kind = ended ? FLOW_OUTGOING : f->kind,
            .state = f->state,
            .pid = f->pid,
            .scope = f->scope,
            .bytes = {f->bytes[LEG_FORWARD], f->bytes[LEG_REPLY]},
            .packets = {f->packets[LEG_FORWARD], f->packets[LEG_REPLY]},
            .opened_ms = f->opened_ms,
        };
    }
    return until < end ? until : FLOW_NONE;
}

uint64_t flow_list_replies(const struct flow_table *t)
{
    uint64_t replies = 0;
    for (uint32_t id = 0; id < t->never_used; id++) {
        const struct flow *f = flow_at(t, id);
        replies += f->state != FLOW_FREE && flow_is_told(f->kind) ? f->packets[LEG_REPLY] : 0;
    }
    return replies;
}
