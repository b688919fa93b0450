/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file proof.h
 * The proof that this machine can redirect (S8): in each family a connection of the library's own, through the driver.
 *
 * Theory of operation: it goes to an address at which nobody is, and arrives only if the engine has led it, by the code
 * that leads any other, to a listener that is made for it. Both ends say a word that nobody else knows. Where it does
 * not arrive in the way of redirecting that is configured, the other way is tried beside it; whichever arrives first
 * from then on is the one that is used. That is done once in a family's life: what has worked once is not replaced, but
 * counts as broken when it does not work any more.
 *
 * The sockets are bound before the driver's first filter is made, so that this captures them already. Later proofs ask
 * for the same ports, which the filter may still capture. No packet of a proof leaves the machine, unless the driver
 * does not show it.
 */
#ifndef PROOF_H
#define PROOF_H

#include "engine/engine.h"
#include "engine/proof_plan.h"
#include "error.h"
#include "windows/own_connection.h"

#include <stdatomic.h>
#include <windows.h>

enum { PROOF_FAMILIES = 2, PROOF_OWN_ADDRESSES = 8, PROOF_DETAIL_MAX = 200 };

/** Addresses of this machine, by family. */
struct proof_addresses {
    ip_addr all[PROOF_FAMILIES][PROOF_OWN_ADDRESSES];
    uint32_t count[PROOF_FAMILIES];
};

/** What became of a proof in a family. */
enum proof_result {
    PROOF_RESULT_OPEN,
    PROOF_RESULT_ARRIVED,
    PROOF_RESULT_UNTRIED, /* no way out, or Windows lets nobody out */
    PROOF_RESULT_LED,     /* another redirector leads the connections of this process */
    PROOF_RESULT_FAILED,
};

/** So far, of all processors, in units of 100 ns. */
struct processor_times {
    uint64_t idle, all;
};

struct proof {
    /* Whoever proves: the start, then one proof's thread at a time. */
    struct winsock *winsock;
    struct own_connection all[PROOFS_MAX]; /* by family and way: two of each family, loopback and reflection */
    struct proof_addresses own;
    enum proof_result results[PROOF_FAMILIES];
    bool reflects[PROOF_FAMILIES];      /* the way that is used */
    bool proven[PROOF_FAMILIES];        /* once at least */
    bool worded[PROOF_FAMILIES];        /* this time both ends have heard the other's word */
    uint64_t worded_ms[PROOF_FAMILIES]; /* so long after the beginning */
    bool whole[PROOF_FAMILIES];         /* and the large piece */
    struct processor_times times;       /* of this machine, when it began */
    uint64_t replies;                   /* packets that had come back to programs when it began */
    bool replied;                       /* more have, meanwhile */
    bool hasty;                         /* at the start there was no time for the words */
    bool asked_to_reflect;              /* by the configuration */
    enum proof_outcome outcome;
    char detail[PROOF_DETAIL_MAX]; /* PROOF_FAILED: which step */

    /* Shared. */
    atomic_bool end;     /* it is not worth going on */
    atomic_bool started; /* the start has proven what it could: later proofs may be made */

    /* The engine's thread: proof_task.c. */
    struct proof_addresses newest;
    struct proof_plan plan;
    HANDLE thread; /* of the proof that is under way; NULL: none is */
};

/** Before the first filter is opened: binds and announces. */
void proof_before_start(redirector *r);

/** When the engine's thread runs: proves within half a second, or 1.5 s on a machine that is never idle. false: *error. */
bool proof_at_start(redirector *r, redirector_error *error);

/** The two parts of any proof: binds and announces; proves, with limits, and leaves nothing behind. */
void proof_prepare(redirector *r);
enum proof_outcome proof_make(redirector *r, uint32_t one_way_ms, uint32_t limit_ms);
enum { PROOF_START_WAY_MS = 300, PROOF_START_MS = 480, PROOF_LATER_WAY_MS = 2000, PROOF_LATER_MS = 3000 };
enum { PROOF_LARGE_MS = 250, PROOF_LARGE_BUSY_MS = 600 }; /* for the large pieces, after the words; never idle */
enum { PROOF_BUSY_WAY_MS = 900, PROOF_BUSY_MS = 1500 };   /* of a start, where the processors are never idle */

/** Closes what proof_prepare() has opened, if proof_make() was not reached. */
void proof_close(redirector *r);

/* ---- later proofs (proof_task.c): on the engine's thread */

/** What the next proof may need to know, and a reason to make it soon. */
void proof_task_note_addresses(redirector *r, const struct own_addresses *all);

/** From now on redirection is proven again and again. Any thread. */
void proof_task_begin(redirector *r);

/** Makes a proof when it is due. false: redirection does not work any more; service_fail() was called. */
bool proof_task_poll(redirector *r);

/** Ends the proof that is under way, from any thread. false: its thread hangs in Windows. */
void proof_task_ask_to_end(redirector *r);
bool proof_task_end(redirector *r);

#endif
