/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file policy.h  Whose connections are redirected. */
#ifndef ENGINE_POLICY_H
#define ENGINE_POLICY_H

#include "state.h"

/**
 * Whether connections of this process are redirected: a member of the tree (I1, I2), as the rules refine it (I4); never
 * PID 0, PID 4 or the agent. Asks the host for facts and paths, so it is for events, held SYNs and listeners, never for
 * any other packet.
 */
bool policy_redirects(struct engine *e, uint32_t pid);

/** Whether rules ask who listens at the other end of a connection within this machine. */
bool policy_minds_listeners(const struct engine *e);

/**
 * Where policy_minds_listeners(): whether a connection of `pid` is redirected, which reaches a listener of `listener`;
 * `otherwise` if no rule is about that one. Asks the host for paths.
 */
bool policy_redirects_to(struct engine *e, uint32_t pid, uint32_t listener, bool otherwise);

/** false: never, whatever tree and rules say. Asks nobody. */
bool policy_may_redirect(const struct engine *e, uint32_t pid);

/** Whether a process belongs to the tree, whatever the rules say. Asks the host for facts. */
bool policy_is_member(struct engine *e, uint32_t pid);

#endif
