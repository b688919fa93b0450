/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file sockets.h
 * The sockets of this machine, by events and by scans of the TCP table: the listeners and whose they are (N1), and the
 * flows that have lost both ends (L1).
 */
#ifndef ENGINE_SOCKETS_H
#define ENGINE_SOCKETS_H

#include "state.h"

/* Listeners, by events. */
void sockets_listener_opened(struct engine *e, const struct socket_event *event, uint64_t now_ms);
void sockets_listener_closed(struct engine *e, const struct socket_event *event, uint64_t now_ms);

/** Events are late, or contradict each other: the TCP table is asked before the next question, and once more later. */
void sockets_doubt_listeners(struct engine *e, uint64_t now_ms);

/** Judges the listeners of one process anew, or of all (pid 0), by the policy. */
void sockets_judge_listeners(struct engine *e, uint32_t pid);

/** Whether events left a doubt about who listens that the TCP table is yet to resolve. */
bool sockets_in_doubt(const struct engine *e);

/**
 * Whether a connection within the machine, opened by `pid`, reaches a listener of that same process and of no other
 * (O8). What is known of the listener must be fresh; where it is not, and the TCP table was not read for a second,
 * OWN_UNSURE.
 */
enum own { OWN_NO, OWN_YES, OWN_UNSURE };
enum own sockets_own_listener(const struct engine *e, const struct tuple *connection, uint32_t pid, uint64_t now_ms);

/**
 * Whether a process serves as a proxy (O9): the agent (I3); or whoever listens at this moment where connections are
 * redirected to. Its connections, also those to a listener of the tree, are left alone.
 */
bool sockets_is_agent(struct engine *e, uint32_t pid);

/** Whether connections of this process are spared for where it listens: at a proxy's place or an upstream's (O9). */
bool sockets_is_proxy(const struct engine *e, uint32_t pid);

/**
 * What becomes of an outgoing connection of this process, whose first packet has this tuple: by the policy; never is
 * that of a proxy or an upstream redirected (O9). *unsure: it is a matter of who listens, which is in doubt.
 */
struct rule_verdict sockets_judge(struct engine *e, uint32_t pid, const struct tuple *t, uint8_t protocol,
                                  bool *unsure);

/**
 * The same of one connection within the machine, by rules about who listens at its other end. `otherwise`: what
 * sockets_judge() has said, which stays where no such rule is about that listener, or where whose it is is not sure.
 * *unsure: that it is not is a matter of a reading of the TCP table.
 */
struct rule_verdict sockets_judge_to(struct engine *e, const struct tuple *connection, uint32_t pid,
                                     struct rule_verdict otherwise, uint64_t now_ms, bool *unsure);

/** What a reading of the TCP table has: a listener; another socket; its end. */
void sockets_listener_row(struct engine *e, const struct tuple *local, uint32_t pid);
void sockets_row(struct engine *e, const struct tuple *row);
void sockets_table_read(struct engine *e, bool whole);

/** Wants readings that are due. */
void sockets_tick(struct engine *e, uint64_t now_ms);

#endif
