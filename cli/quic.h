/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file quic.h
 * No QUIC for the redirected programs, so that those with HTTP/3 fall back to TCP.
 */
#ifndef CLI_QUIC_H
#define CLI_QUIC_H

#include "rules_state.h"
#include "tree.h"

struct quic;

/** Begins to drop what the processes of the tree, as the rules refine it, send by UDP to port 443. A redirector must
 * run. NULL: a message was shown. `t` and `rules` must outlive it. */
struct quic *quic_start(const struct tree *t, struct rules_state *rules);

/** NULL is fine. */
void quic_stop(struct quic *q);

#endif
