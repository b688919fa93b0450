/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file cover.h
 * Which ports the driver's filter has to divert, so that strangers' packets stay in the kernel.
 *
 * The filter takes every first SYN, every packet that the proxies send, and besides these only what the *cover* names:
 * packets that leave from certain source ports, and (with incoming on) packets that come in to certain destination ports. A
 * filter cannot be changed, but it can be replaced while running. So the cover decides cost, never correctness:
 *
 *   - every flow's port is in it: a SYN that is to be redirected and whose port is not covered is held until a filter that
 *     covers it is in place;
 *   - it is *wide*, all ports, while the tree opens connections, so that only the first of them waits;
 *   - it is *narrow*, the ports of live flows alone, when the tree has been quiet and strangers' packets keep coming;
 *   - in a wide cover, strangers that send much get a hole each.
 *
 * Replacing a filter costs milliseconds and must pay: it is done when BUDGET packets came by for nothing, and, when one
 * follows the other, less and less often.
 *
 *                cover_plan_end()               cover_replaced(true)
 *   IN PLACE  ───────────────────→  REPLACING  ──────────────────────→  IN PLACE
 *   `active` is diverted            both are diverted, then only        `next` has become `active`
 *                                   `next`: what is in both is sure
 */
#ifndef ENGINE_COVER_H
#define ENGINE_COVER_H

#include "port_set.h"

enum {
    COVER_RANGES = 48,         /* two tests each, of the 255 that a filter may have */
    COVER_INBOUND_RANGES = 24, /* listeners are few */
    COVER_HOLES = 40,
    COVER_SUSPECTS = 256,
    COVER_SAMPLE = 8,
};

/** What the driver's filter diverts besides first SYNs and the proxies' packets. */
struct cover {
    struct port_set outbound; /* by source port */
    struct port_set inbound;  /* by destination port */
};

struct cover_suspect {
    uint32_t port;
    uint32_t packets; /* of those looked at, more or less: another port in the same place takes away from it */
};

struct cover_state {
    struct cover active, next;
    bool in_place; /* there is a filter */
    bool replacing;
    bool helped;            /* the last plan changed something */
    bool wanted;            /* a port that has to be covered is not */
    bool whole;             /* everything is covered for good: nobody replaces filters */
    uint64_t strangers;     /* packets that came by for nothing since the last plan */
    uint64_t planned_ms;    /* when the last plan was made */
    uint64_t plan_again_ms; /* the next not before, unless one is wanted */
    uint64_t pause_ms;      /* how long the next pause between plans will be */
    uint64_t flow_ms;       /* when the newest flow was opened */
    uint64_t quiet_ms;      /* so long without a new flow, and the tree counts as quiet */
    uint64_t narrowed_ms;   /* when the cover was last made narrow */
    struct cover_suspect suspects[COVER_SUSPECTS];
    uint16_t holes[COVER_HOLES]; /* ports of strangers that send much; 0: none. The oldest is replaced first */
    uint32_t next_hole;
};

void cover_init(struct cover_state *c, bool whole);

/** Whether a flow may rely on this port's packets: they are diverted now, and will be. */
static inline bool cover_has(const struct cover_state *c, bool outbound, uint16_t port)
{
    const struct port_set *active = outbound ? &c->active.outbound : &c->active.inbound;
    const struct port_set *next = outbound ? &c->next.outbound : &c->next.inbound;
    return c->whole || (port_set_has(active, port) && (!c->replacing || port_set_has(next, port)));
}

/** A packet of no flow, and no SYN, came by. One of COVER_SAMPLE is looked at. */
static inline void cover_stranger(struct cover_state *c, bool outbound, uint16_t port)
{
    if (++c->strangers % COVER_SAMPLE || !outbound) {
        return; /* inbound ports are the tree's own listeners' */
    }
    struct cover_suspect *s = &c->suspects[port % COVER_SUSPECTS];
    if (s->port == port) {
        s->packets++;
    } else if (s->packets) {
        s->packets--;
    } else {
        *s = (struct cover_suspect){port, 1};
    }
}

/** A first SYN from this port: whoever had it before is gone. */
void cover_syn(struct cover_state *c, uint16_t port);

/** A flow was opened, or is about to be. */
static inline void cover_flow(struct cover_state *c, uint64_t now_ms)
{
    c->flow_ms = now_ms;
}

/** Something is not covered that has to be. */
void cover_want(struct cover_state *c, uint64_t now_ms);

/** Whether it is time to plan. */
bool cover_is_due(const struct cover_state *c, uint64_t now_ms);

/**
 * Begins a plan: c->next is filled with what strangers and the tree's pace suggest. The caller adds every port of flows, of
 * held SYNs and of listeners, and calls cover_plan_end(), which is true when the filter is to be replaced by c->next.
 */
void cover_plan_begin(struct cover_state *c, uint64_t now_ms);
bool cover_plan_end(struct cover_state *c, uint64_t now_ms);

/** After cover_plan_end() was true: the new filter is in place beside the old one, or could not be had. */
void cover_replaced(struct cover_state *c, bool ok, uint64_t now_ms);

#endif
