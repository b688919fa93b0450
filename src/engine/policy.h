/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file policy.h  Whose connections are redirected. */
#ifndef ENGINE_POLICY_H
#define ENGINE_POLICY_H

#include "state.h"

/**
 * What becomes of a connection of this process: a member of the tree (I1, I2) is redirected, as the rules say of it and
 * of where it goes (I4, R1); PID 0, PID 4 and the agent pass. `t` is the tuple of its first packet. Asks the host for
 * facts and paths, so it is for events, held SYNs and listeners, never for any other packet.
 */
struct rule_verdict policy_judge(struct engine *e, uint32_t pid, const struct tuple *t, uint8_t protocol,
                                 enum rule_direction direction);

/** Whether some connection of this process may be anything but passed. Asks as policy_judge() does. */
bool policy_may_concern(struct engine *e, uint32_t pid, uint8_t protocol, enum rule_direction direction);

/** Whether rules ask where a connection goes. */
bool policy_minds_places(const struct engine *e);

/** Whether rules ask who listens at the other end of a connection within this machine. */
bool policy_minds_listeners(const struct engine *e);

/**
 * Where policy_minds_listeners(): what becomes of an outgoing connection of `pid` that reaches a socket of
 * `listener`; `otherwise` if no rule is about that one. Asks the host for paths.
 */
struct rule_verdict policy_judge_to(struct engine *e, uint32_t pid, const struct tuple *t, uint8_t protocol,
                                    uint32_t listener, struct rule_verdict otherwise);

/** false: never, whatever tree and rules say. Asks nobody. */
bool policy_may_redirect(const struct engine *e, uint32_t pid);

/** Whether a process belongs to the tree, whatever the rules say. Asks the host for facts. */
bool policy_is_member(struct engine *e, uint32_t pid);

#endif
