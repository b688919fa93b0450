/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file proof_plan.h
 * When redirection is proven again (S8), and what follows from it.
 *
 * Theory of operation: a connection of the tree that is redirected proves more than one of the library's own can, so
 * while there are such ones none is made. Else it is proven every PROOF_PERIOD_MS; and soon after there was a reason for
 * doubt: the machine's addresses have changed, or the thread that asks every moment was away for long, as it is while
 * the machine sleeps. A proof that fails has the driver's handle opened anew, because that mends some of what can be
 * wrong; if the next one fails, too, redirection is over.
 */
#ifndef ENGINE_PROOF_PLAN_H
#define ENGINE_PROOF_PLAN_H

#include <stdbool.h>
#include <stdint.h>

/* A build for tests proves all the time (as with capture_plan.c). */
#ifdef CAPTURE_RESTLESS
enum { PROOF_PERIOD_MS = 500 };
#else
enum { PROOF_PERIOD_MS = 60000 };
#endif

enum {
    PROOF_SETTLE_MS = 1000, /* after the addresses have changed: they do so several times in a row */
    PROOF_AWAY_MS = 1500,   /* between two questions: the thread asks four times a second at least */
};

enum proof_outcome {
    PROOF_MADE,    /* in each family that could be tried */
    PROOF_UNTRIED, /* no family could: there is no way out of this machine, or Windows lets nobody out */
    PROOF_FAILED,  /* in one family at least */
};

enum proof_consequence {
    PROOF_GO_ON,
    PROOF_MENDED, /* as the former, after PROOF_OPEN_ANEW */
    PROOF_OPEN_ANEW,
    PROOF_GIVE_UP,
};

struct proof_plan {
    uint64_t due_ms;
    uint64_t asked_ms; /* when it was asked last */
    uint64_t flows;    /* how many connections had been redirected by then */
    bool doubted;      /* connections that are redirected meanwhile are not proof enough */
    bool opened_anew;  /* because the last proof has failed */
};

void proof_plan_init(struct proof_plan *p, uint64_t now_ms);

/** Something has happened that may have ended redirection: it is proven within so many milliseconds. */
void proof_plan_doubt(struct proof_plan *p, uint64_t within_ms, uint64_t now_ms);

/** Whether a proof is due. To be asked often. `flows`: connections redirected since the start. */
bool proof_plan_is_due(struct proof_plan *p, uint64_t flows, uint64_t now_ms);

/** One has ended. */
enum proof_consequence proof_plan_ended(struct proof_plan *p, enum proof_outcome outcome, uint64_t now_ms);

#endif
