/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file process_tree.h
 * Who belongs to the tree (I1, I2).
 *
 * The tree keeps its members only: processes that the kernel says are in our job, and processes whose parent link
 * leads to a member. A member stays known after its exit, so that its children, learned of later, and its last events
 * are still recognised: until its pid is seen with another creation time, or PROCESS_TREE_UNPINNED_MAX others have been
 * added or have ended since. A pid by itself proves nothing: a link counts only if the child was created while the
 * parent lived.
 */
#ifndef ENGINE_PROCESS_TREE_H
#define ENGINE_PROCESS_TREE_H

#include "types.h"

enum {
    PROCESS_TREE_UNPINNED_MAX = 16384, /* members that have ended, or whose end nobody tells: the oldest makes room */
    PROCESS_TREE_RECENT_MS = 60000,    /* events of a pid that is gone are those of the member that had it so lately */
};

struct process_tree;

struct process_tree *process_tree_new(void); /* NULL: no memory */
void process_tree_free(struct process_tree *t);

/** A process is a member: a root, or one that the kernel vouches for. */
void process_tree_add(struct process_tree *t, struct process_id id);

/**
 * A process was a member, and was gone before it could be asked: it was created no earlier, and ended no later, than
 * the given times, on the clock of creation times.
 */
void process_tree_gone(struct process_tree *t, uint32_t pid, uint64_t from, uint64_t to);

/** As process_tree_add(), of a member whose pid no other process gets before its exit is told (created is not 0). */
void process_tree_pin(struct process_tree *t, struct process_id id);
bool process_tree_is_pinned(const struct process_tree *t, uint32_t pid);

/** This member, and no later process with its pid, is to be told apart: see process_tree_is_marked(). */
void process_tree_mark(struct process_tree *t, struct process_id id);
bool process_tree_is_marked(const struct process_tree *t, uint32_t pid);

/** A member has ended, no later than `ended` on the clock of creation times; 0: unknown. */
void process_tree_exit(struct process_tree *t, struct process_id id, uint64_t ended);

/** Whether this live process is a member; one that is found to be is added. */
bool process_tree_learn(struct process_tree *t, const struct process_facts *facts);

/** As process_tree_learn(), of what was seen a while ago: it changes nothing of what is known of a later process. */
bool process_tree_seen(struct process_tree *t, const struct process_facts *facts);

/** Whether a process can be a member that nobody has asked about yet: no member is older than the oldest one. */
bool process_tree_may_hold(const struct process_tree *t, struct process_id id);

/**
 * Whether the process that last had this pid is, as far as we know, a member, and has not been gone for long: for a
 * process that is gone, so that nobody can be asked.
 */
bool process_tree_knows(const struct process_tree *t, uint32_t pid);

/** How many members were forgotten to make room for others. */
uint64_t process_tree_forgotten(const struct process_tree *t);

/** Tells the time. */
void process_tree_tick(struct process_tree *t, uint64_t now_ms);

#endif
