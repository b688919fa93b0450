/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file decisions.h
 * The connections that wait for somebody else's decision: what other threads read of them, and answer.
 *
 * One writer, the engine's thread, asks and withdraws; any number of other threads take what is asked and answer it.
 * The writer never waits for anybody: each place has one word, the connection's id and how far it is, which is changed
 * by atomic exchange alone. So an answer comes to the very connection that was asked about, or is told that it is late.
 *
 *   FREE --ask--> ASKED --take--> TAKEN --decide--> the decision --next--> FREE
 *                   \---------------\--- withdraw ------------------------/
 */
#ifndef ENGINE_DECISIONS_H
#define ENGINE_DECISIONS_H

#include "types.h"

/** At a time. Half as many as SYNs can be held (PENDING_HELD_MAX): the rest is for those whose owner is not known. */
enum { DECISIONS_MAX = 512 };

enum decision {
    DECISION_NONE,
    DECISION_ACCEPT, /* it is redirected */
    DECISION_REFUSE, /* its SYN is answered with RST */
    DECISION_PASS,   /* its SYN leaves as it came */
    DECISION_DROP,   /* its SYN is not answered */
};

/** A connection that waits. */
struct undecided {
    uint64_t id; /* never 0, and never given twice */
    struct tuple tuple;
    uint32_t pid;
    uint32_t upstream; /* of the rule that has it redirected */
};

struct decisions;

struct decisions *decisions_new(void); /* NULL: no memory */
void decisions_free(struct decisions *d);

/* ---- the writer */

bool decisions_have_room(const struct decisions *d);

/** Asks about a connection; there must be room. Returns its id, which is not looked at in what is given. `entry` is what
 * decisions_next() gives back. */
uint64_t decisions_ask(struct decisions *d, const struct undecided *connection, uint32_t entry);

/** It does not wait any more. Returns what was decided meanwhile, for whoever was told that it counts. */
enum decision decisions_withdraw(struct decisions *d, uint64_t id);

/** The next one that was decided; DECISION_NONE: none. It does not wait any more. */
enum decision decisions_next(struct decisions *d, uint32_t *entry);

/* ---- any thread */

/** Takes one that nobody has taken, the oldest. false: none. */
bool decisions_take(struct decisions *d, struct undecided *out);

/** false: it was not taken, is decided already, or does not wait any more. */
bool decisions_decide(struct decisions *d, uint64_t id, enum decision decision);

#endif
