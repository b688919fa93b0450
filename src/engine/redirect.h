/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file redirect.h  A first SYN becomes a flow. */
#ifndef ENGINE_REDIRECT_H
#define ENGINE_REDIRECT_H

#include "state.h"

/** A SYN and what is known about it. */
struct attempt {
    struct packet *packet;
    struct packet_meta *meta;
    uint32_t pid;      /* which process opens the connection; 0: unknown */
    bool redirected;   /* it is redirected, by its owner */
    bool blocked;      /* a rule blocks it */
    uint32_t upstream; /* of the rule that decided */
    uint64_t now_ms;
    uint64_t decision_id;         /* somebody was asked to decide it; 0: nobody was */
    bool decided;                 /* it is to be redirected without asking */
    bool owned;                   /* `pid` and `redirected` are known; else nothing is known of its owner */
    bool unsure;                  /* `redirected` was found while it was in doubt who listens (sockets.h) */
    bool held;                    /* the SYN is held already */
    bool asked;                   /* it does not wait for the TCP table (any more) */
    enum pending_state waits_for; /* out, with VERDICT_HOLD: HELD_FOR_TABLE, _DECISION or _FILTER */
};

/**
 * Opens a flow for this SYN and translates it. `pid` is the one that a lookup is to tell. VERDICT_HOLD: nothing was
 * done, because somebody has to decide first, or the TCP table or the driver's filter has to be there.
 */
enum verdict redirect_syn(struct engine *e, struct attempt *a, enum flow_kind kind, uint32_t pid);

/** The same for the SYN of a proof, which never passes: VERDICT_REWRITE or VERDICT_DROP. */
enum verdict redirect_proof(struct engine *e, struct attempt *a, uint32_t which);

/** Whether the driver will hand over all packets of a proof. */
bool redirect_captures_proof(const struct engine *e, const struct proof_route *route);

/** Whether the SYN, about which there is a doubt that the TCP table can resolve, waits for it: once at most. */
bool redirect_waits_for_table(struct engine *e, struct attempt *a);

/** Answers a SYN with RST, as a closed port would. VERDICT_DROP, counted. */
enum verdict redirect_refuse(struct engine *e, const struct packet *syn, const struct packet_meta *captured);

#endif
