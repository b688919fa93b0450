/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file translate.h  What is done with a flow that exists: its packets are translated, it is reset, it ends. */
#ifndef ENGINE_TRANSLATE_H
#define ENGINE_TRANSLATE_H

#include "state.h"

/** A packet of this leg of the flow. */
enum verdict translate_packet(struct engine *e, uint32_t id, enum leg leg, struct packet *p, struct packet_meta *meta,
                              uint64_t now_ms);

/** The flow is over: its mapping and its source port are free again. */
void translate_end_flow(struct engine *e, uint32_t id);

/** Ends the flows whose time is up (L1). */
void translate_expire(struct engine *e, uint64_t now_ms);

/** Ends all flows; with `reset` at both ends, and they stay in the table, so that their last packets are recognised. */
void translate_stop(struct engine *e, bool reset);

#endif
