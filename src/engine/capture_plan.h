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
 *   - a wide set excludes the ports of *strangers*: other processes that have sent CAPTURE_HEAVY packets since they
 *     opened their connection. Where these are so many that the set would have too many ranges, the gaps between them
 *     are left out as well: a connection that the tree opens from there waits for the next filter.
 *
 * Or it is everything, from the start on, for those who pay any price for not depending on a replacement.
 *
 * Replacing a filter costs milliseconds and must pay. A new stranger is worth it at once, whatever came before, because
 * its next packets cost as much; but only so often in a row (capture_plan.c: IN_A_ROW), so that many who end soon after
 * cannot have it replaced all the time. For packets of those who send little a plan is made less and less often, and a
 * plan that finds nothing better replaces nothing.
 *
 *                capture_plan_end()             capture_plan_replaced(true)
 *   IN PLACE  ───────────────────→  REPLACING  ───────────────────────────→  IN PLACE
 *   `active` is captured            both are captured, then only             `next` has become `active`
 *                                   `next`: what is in both is sure
 */
#ifndef ENGINE_CAPTURE_PLAN_H
#define ENGINE_CAPTURE_PLAN_H

#include "capture_set.h"

enum { CAPTURE_HEAVY = 32 };

/** Zeroed at first, then capture_plan_init(). */
struct capture_plan {
    struct capture_set active, next;
    bool always_wide; /* of UDP, whose sockets send wherever they like at any time: no set is narrow */
    bool all;         /* everything is captured, at all times: the filter is never replaced */
    bool in_place;    /* there is a filter */
    bool replacing;
    bool wide;              /* what is being planned */
    bool renewed;           /* the next plan replaces the filter, though it may be the same */
    bool wanted;            /* a port that has to be captured is not */
    bool intruded;          /* there is a stranger of whom the last plan knew nothing */
    uint64_t needless;      /* packets of no flow that were captured since the last plan */
    uint64_t planned_ms;    /* when the last plan was made */
    uint64_t plan_again_ms; /* the next not before, unless one is wanted or there is a new stranger */
    uint64_t pause_ms;      /* how long the next pause between plans will be */
    uint64_t paid_ms;       /* until then the replacements for strangers' sake are paid for; ahead by OWED_MS at most */
    uint64_t flow_ms;       /* when the newest flow was opened */
    uint64_t quiet_ms;      /* so long without a new flow, and the tree counts as quiet */
    uint64_t narrowed_ms;   /* when the set was last made narrow */
    uint32_t stranger_count;
    struct port_set strangers;
    struct port_set alive;    /* strangers that the TCP table has shown, or that are newer than its last reading */
    uint8_t sent[PORT_COUNT]; /* by port as it stands in packets: those of no flow that left from there, up to
                                 CAPTURE_HEAVY */
};

void capture_plan_init(struct capture_plan *c, bool all);

/** Whether a flow may rely on this port's packets: they are captured now, and will be. */
static inline bool capture_plan_has(const struct capture_plan *c, bool outbound, uint16_t port)
{
    const struct port_set *active = outbound ? &c->active.outbound : &c->active.inbound;
    const struct port_set *next = outbound ? &c->next.outbound : &c->next.inbound;
    return port_set_has(active, port) && (!c->replacing || port_set_has(next, port));
}

/** Strangers' packets come that no port tells of: a plan is due. */
static inline void capture_plan_intrude(struct capture_plan *c)
{
    c->intruded = true;
}

/** From this port CAPTURE_HEAVY packets have left that are of no flow. */
void capture_plan_heavy(struct capture_plan *c, uint16_t port);

/** A packet of no flow, and no SYN, was captured. */
static inline void capture_plan_needless(struct capture_plan *c, bool outbound, be16 port)
{
    c->needless++;
    if (outbound && ++c->sent[port.wire] == CAPTURE_HEAVY) { /* inbound ports are the tree's own listeners' */
        capture_plan_heavy(c, be16_to_host(port));
    }
}

/** A first SYN from this port: its former owner is gone. */
void capture_plan_syn(struct capture_plan *c, uint16_t port);

/** The TCP table has a socket with this local port; and when all of them have been told. */
static inline void capture_plan_alive(struct capture_plan *c, uint16_t port)
{
    if (port_set_has(&c->strangers, port)) {
        port_set_add(&c->alive, port);
    }
}
void capture_plan_forget_dead(struct capture_plan *c);

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
 * Begins a plan: the caller adds every port of flows, of held SYNs and of listeners to c->next, and calls
 * capture_plan_end(), which adds what the tree's pace suggests and is true when the filter is to be replaced by c->next.
 */
void capture_plan_begin(struct capture_plan *c, uint64_t now_ms);
bool capture_plan_end(struct capture_plan *c, uint64_t now_ms);

/** After capture_plan_end() was true: the new filter is in place beside the old one, or could not be had. */
void capture_plan_replaced(struct capture_plan *c, bool ok, uint64_t now_ms);

#endif
