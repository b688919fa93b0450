/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file proofs.h
 * Connections of the library's own, by which it proves that this machine can redirect (S8).
 *
 * Theory of operation: a connection is announced by its exact tuple before its SYN can come, together with the port of
 * the listener that it is to be led to. Its SYN opens a flow (FLOW_PROOF) by the code that redirects any other, and its
 * packets are translated as those of any other flow; but no rule is asked, no one is told, and nothing is counted. The
 * flow outlives the announcement for the linger time, so that its last packets do not leave the machine.
 */
#ifndef ENGINE_PROOFS_H
#define ENGINE_PROOFS_H

#include "flow.h"

#include <stdatomic.h>

enum { PROOFS_MAX = 4 }; /* two families, two ways of redirecting */

#define PROOF_NONE UINT32_MAX

/** A connection as its own end states it, and where it is led. */
struct proof_route {
    struct tuple original;
    uint16_t listener_port;
    bool reflect;
};

/** How far one has come. */
enum proof_mark {
    PROOF_CAPTURABLE = 1, /* the filter captures its packets: now it may connect */
    PROOF_CAPTURED = 2,   /* its SYN has come, and was sent on to the listener */
    PROOF_ANSWERED = 4,   /* the listener's answer has come, and was sent back */
    PROOF_LED = 8,        /* another redirector, which stands above, leads it */
};

struct proofs {
    struct proof_route routes[PROOFS_MAX];
    bool announced[PROOFS_MAX];
    uint32_t count;                     /* how many are announced */
    _Atomic uint32_t marks[PROOFS_MAX]; /* written by the engine's thread, readable by all */
};

void proofs_announce(struct proofs *p, uint32_t which, const struct proof_route *route);
void proofs_forget_all(struct proofs *p);

static inline void proofs_mark(struct proofs *p, uint32_t which, enum proof_mark mark)
{
    atomic_fetch_or_explicit(&p->marks[which], (uint32_t)mark, memory_order_relaxed);
}

/** The one whose SYN has this tuple; or, in *led, one that another redirector has given this tuple. PROOF_NONE: none. */
uint32_t proofs_of_syn(const struct proofs *p, const struct tuple *syn, bool *led);

/** Whether an event is about a socket of one of them. */
bool proofs_have_event(const struct proofs *p, const struct socket_event *event);

/** Whether this (src) is where one of them is led. */
bool proofs_have_listener(const struct proofs *p, const struct tuple *local);

#endif
