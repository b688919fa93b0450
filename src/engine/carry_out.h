/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file carry_out.h  A first SYN of which all is known is redirected, passed or refused. */
#ifndef ENGINE_CARRY_OUT_H
#define ENGINE_CARRY_OUT_H

#include "redirect.h"

/** Straight to a port of the proxy: not redirected (I3), but its source port must not be mistaken for a flow's. */
bool carry_out_is_direct(struct engine *e, const struct attempt *a);

/** An outbound SYN that is left alone because of where it goes, whoever opened it. Counted. */
bool carry_out_is_left_alone(struct engine *e, const struct attempt *a);

/** Whether whose listener it goes to decides, and that is in doubt: then it waits. */
bool carry_out_waits_for_listener(struct engine *e, struct attempt *a);

/** Whose listener it goes to decides. VERDICT_HOLD: it has to wait for what a->waits_for says. */
enum verdict carry_out_incoming(struct engine *e, struct attempt *a);

/** The owner is known, or known to be unknown. VERDICT_HOLD: likewise. */
enum verdict carry_out_owned(struct engine *e, struct attempt *a);

/** What was decided about a SYN that is not redirected. */
enum verdict carry_out_turn_away(struct engine *e, enum decision decision, const struct packet *syn,
                                 const struct packet_meta *meta);

/** What the rules say of its owner; and what they have said, as it is kept. */
void carry_out_take_verdict(struct attempt *a, struct rule_verdict verdict);

static inline struct rule_verdict carry_out_verdict_of(bool redirected, bool blocked, uint32_t upstream)
{
    return (struct rule_verdict){blocked ? RULE_BLOCK : redirected ? RULE_REDIRECT : RULE_PASS, RULE_NONE, upstream};
}

#endif
