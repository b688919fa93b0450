/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file capture_plan.h
 * When the driver's filter is replaced, and by what, so that other processes' packets stay in the kernel.
 *
 * The filter captures every first SYN, every packet that the proxies send, and besides these only what the *capture
 * set* names: packets that leave from certain source ports, and (with incoming on) packets that come in to certain
 * destination ports. A filter cannot be changed, but it can be replaced while running. So the set decides cost, never
 * correctness:
 *
 *   - every flow's port is in it: a SYN that is to be redirected and whose port is not captured is held until a filter
 *     that captures it is in place;
 *   - it is *wide*, all ports, while the tree opens connections, so that only the first of them waits;
 *   - it is *narrow*, the ports of live flows alone, when the tree has been quiet and other packets keep coming;
 *   - a wide set excludes the ports of other processes that send much.
 *
 * Or it is everything, from the start on, for those who pay any price for not depending on a replacement.
 *
 * Replacing a filter costs milliseconds and must pay: it is done when BUDGET packets were captured needlessly, and,
 * when one replacement follows another, less and less often.
 *
 *                capture_plan_end()             capture_plan_replaced(true)
 *   IN PLACE  ───────────────────→  REPLACING  ───────────────────────────→  IN PLACE
 *   `active` is captured            both are captured, then only             `next` has become `active`
 *                                   `next`: what is in both is sure
 */
#ifndef ENGINE_CAPTURE_PLAN_H
#define ENGINE_CAPTURE_PLAN_H

#include "capture_set.h"

enum { CAPTURE_EXCLUDED_MAX = 40, CAPTURE_SUSPECTS = 256, CAPTURE_SAMPLE = 8 };

struct capture_suspect {
    uint32_t port;
    uint32_t packets; /* of the sampled ones, about: another port in the same place takes away from it */
};

struct capture_plan {
    struct capture_set active, next;
    bool all;      /* everything is captured, at all times: the filter is never replaced */
    bool in_place; /* there is a filter */
    bool replacing;
    bool helped;            /* the last plan changed something */
    bool renewed;           /* the next plan replaces the filter, though it may be the same */
    bool wanted;            /* a port that has to be captured is not */
    uint64_t needless;      /* packets of no flow that were captured since the last plan */
    uint64_t planned_ms;    /* when the last plan was made */
    uint64_t plan_again_ms; /* the next not before, unless one is wanted */
    uint64_t pause_ms;      /* how long the next pause between plans will be */
    uint64_t flow_ms;       /* when the newest flow was opened */
    uint64_t quiet_ms;      /* so long without a new flow, and the tree counts as quiet */
    uint64_t narrowed_ms;   /* when the set was last made narrow */
    struct capture_suspect suspects[CAPTURE_SUSPECTS];
    uint16_t excluded[CAPTURE_EXCLUDED_MAX]; /* ports of others that send much; 0: none. The oldest is replaced first */
    uint32_t next_excluded;
};

void capture_plan_init(struct capture_plan *c, bool all);

/** Whether a flow may rely on this port's packets: they are captured now, and will be. */
static inline bool capture_plan_has(const struct capture_plan *c, bool outbound, uint16_t port)
{
    const struct port_set *active = outbound ? &c->active.outbound : &c->active.inbound;
    const struct port_set *next = outbound ? &c->next.outbound : &c->next.inbound;
    return port_set_has(active, port) && (!c->replacing || port_set_has(next, port));
}

/** A packet of no flow, and no SYN, was captured. One of CAPTURE_SAMPLE is looked at. */
static inline void capture_plan_needless(struct capture_plan *c, bool outbound, uint16_t port)
{
    if (++c->needless % CAPTURE_SAMPLE || !outbound) {
        return; /* inbound ports are the tree's own listeners' */
    }
    struct capture_suspect *s = &c->suspects[port % CAPTURE_SUSPECTS];
    if (s->port == port) {
        s->packets++;
    } else if (s->packets) {
        s->packets--;
    } else {
        *s = (struct capture_suspect){port, 1};
    }
}

/** A first SYN from this port: its former owner is gone. */
void capture_plan_syn(struct capture_plan *c, uint16_t port);

/** A flow was opened, or is about to be. */
static inline void capture_plan_flow(struct capture_plan *c, uint64_t now_ms)
{
    c->flow_ms = now_ms;
}

/** Something is not captured that has to be. */
void capture_plan_want(struct capture_plan *c, uint64_t now_ms);

/** A plan is due, and this is no sign of the tree's pace. `renew`: the filter is replaced in any case. */
void capture_plan_again(struct capture_plan *c, bool renew);

/** Whether it is time to plan. */
bool capture_plan_is_due(const struct capture_plan *c, uint64_t now_ms);

/**
 * Begins a plan: c->next is filled with what other processes' packets and the tree's pace suggest. The caller adds
 * every port of flows, of held SYNs and of listeners, and calls capture_plan_end(), which is true when the filter is to
 * be replaced by c->next.
 */
void capture_plan_begin(struct capture_plan *c, uint64_t now_ms);
bool capture_plan_end(struct capture_plan *c, uint64_t now_ms);

/** After capture_plan_end() was true: the new filter is in place beside the old one, or could not be had. */
void capture_plan_replaced(struct capture_plan *c, bool ok, uint64_t now_ms);

#endif
