/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file held.h
 * The SYNs that wait inside the engine, and how they leave. The table itself is pending.h.
 *
 *   HELD_FOR_OWNER   for whose connection it is. Ends with its CONNECT event, or when half of the hold time-out is over:
 *                    then the TCP table is asked.
 *   HELD_FOR_TABLE   for the TCP table, which is being read: for its owner, or because it is in doubt who listens. Ends
 *                    with the answer of a reading that has begun after it came, or with the CONNECT event; or after
 *                    TCP_TABLE_PATIENCE_MS: then it is decided by what is known.
 *   HELD_FOR_EVENT   for the same, of which the TCP table knows nothing. Ends with its CONNECT event, or with the hold
 *                    time-out: then it passes.
 *   HELD_FOR_        for somebody's decision whether it is redirected (decisions.h). Ends with that, or with the CLOSE
 *   DECISION         event of a program that has given up, or with the decision time-out: then it is redirected.
 *   HELD_FOR_FILTER  for a filter that captures its port. Ends when the filter is replaced, or could not be, or after
 *                    HELD_FOR_FILTER_MS: then it passes, or is refused if so configured.
 */
#ifndef ENGINE_HELD_H
#define ENGINE_HELD_H

#include "redirect.h"

enum { HELD_FOR_FILTER_MS = 5000 };

/**
 * Holds a SYN. VERDICT_HOLD; or, because there is no room, VERDICT_PASS. One that is to be redirected is then refused
 * if so configured: VERDICT_DROP.
 */
enum verdict held_for_owner(struct engine *e, const struct attempt *a);

/** The same for one that waits for what redirect_syn() says. */
enum verdict held_for_redirection(struct engine *e, const struct attempt *a);

/** A held SYN waits for that from now on; one that did so already keeps its deadline. */
void held_wait_for_redirection(struct engine *e, uint32_t id, const struct attempt *a);

/** Those of which the TCP table is to be asked now wait for it. */
void held_ask_table(struct engine *e, uint64_t now_ms);

/** The next one that the reading of this number answers. false: none. */
bool held_next_answered(const struct engine *e, uint32_t reading, uint32_t *id);

/** The next one that has waited for the TCP table in vain; counted. false: none. */
bool held_next_unanswered(struct engine *e, uint32_t *id, uint64_t now_ms);

/** The TCP table does not know its owner. */
void held_wait_for_event(struct engine *e, uint32_t id, uint64_t now_ms);

/** It leaves: `verdict` says how, and how its retransmissions will. Not VERDICT_HOLD. */
void held_leave(struct engine *e, uint32_t id, enum verdict verdict, struct packet_meta *meta, uint32_t pid,
                uint64_t now_ms);

/** It never leaves: its program has given up, or begins a new connection. Counted as dropped. */
void held_forget(struct engine *e, uint32_t id, uint64_t now_ms);

/** What becomes of the next SYN that was decided, or whose time for that is up. DECISION_NONE: none. */
enum decision held_next_decision(struct engine *e, uint32_t *id, uint64_t now_ms);

/**
 * It has waited in vain. It leaves as it came; if it is to be redirected, and only the driver's filter was missing, it
 * is refused instead, if so configured. Except when stopping: then everything passes.
 */
void held_give_up(struct engine *e, uint32_t id, uint64_t now_ms);

/** Gives up those whose deadline has come. */
void held_expire(struct engine *e, uint64_t now_ms);
void held_give_up_all(struct engine *e, uint64_t now_ms);

/** When the next one is due for something; UINT64_MAX: none is held. */
uint64_t held_next_due_ms(const struct engine *e);

#endif
