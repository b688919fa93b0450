/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file bypasses.h
 * Which ways around the proxy are taken that should not be (S9), and for how long. Each has a counter; here it is
 * noticed that one goes up, so that somebody is told: now and then, not for each connection.
 *
 * The ways that redirect.c and held.c tell of by themselves (no proxy, no filter in time, another redirector) are not
 * among them, nor are those that are meant (docs/bypasses.md has them all).
 */
#ifndef ENGINE_BYPASSES_H
#define ENGINE_BYPASSES_H

#include "state.h"

/** Calls host.bypassed() where a counter has gone up. */
void bypasses_tick(struct engine *e, uint64_t now_ms);

#endif
