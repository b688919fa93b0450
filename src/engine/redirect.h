/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file redirect.h  A first SYN becomes a flow. */
#ifndef ENGINE_REDIRECT_H
#define ENGINE_REDIRECT_H

#include "state.h"

/** A SYN and what is known about it. */
struct attempt {
    struct packet *packet;
    struct packet_meta *meta;
    uint32_t pid;    /* which process opens the connection; 0: unknown */
    bool redirected; /* its connections are redirected */
    uint64_t now_ms;
};

/**
 * Opens a flow for this SYN and translates it. `pid` is the one that a lookup is to tell. VERDICT_HOLD: nothing was
 * done, because the driver's filter has to be replaced first.
 */
enum verdict redirect_syn(struct engine *e, const struct attempt *a, enum flow_kind kind, uint32_t pid);

/** Answers a SYN with RST, as a closed port would. VERDICT_DROP. */
enum verdict redirect_refuse(struct engine *e, const struct packet *syn, const struct packet_meta *syn_meta);

#endif
