/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file process_tree.h
 * Who belongs to the tree (I1, I2).
 *
 * The tree keeps its members only: processes that the kernel says are in our job, and processes whose parent link
 * leads to a member. A member stays known after its exit, so that its children, learned of later, and its last events
 * are still recognised. A pid by itself proves nothing: a link counts only if parent and child lived at the same
 * time.
 */
#ifndef ENGINE_PROCESS_TREE_H
#define ENGINE_PROCESS_TREE_H

#include "types.h"

enum { PROCESS_TREE_FORGET_MS = 60000 }; /* an exited member is forgotten after this long */

struct process_tree;

struct process_tree *process_tree_new(void); /* NULL: no memory */
void process_tree_free(struct process_tree *t);

/**
 * A process is a member: a root, or one that the kernel vouches for. created 0: it was gone before it could be asked.
 */
void process_tree_add(struct process_tree *t, struct process_id id);

/** As process_tree_add(), of a member whose pid no other process gets before its exit is told (created is not 0). */
void process_tree_pin(struct process_tree *t, struct process_id id);
bool process_tree_is_pinned(const struct process_tree *t, uint32_t pid);

/** This member, and no later process with its pid, is to be told apart: see process_tree_is_marked(). */
void process_tree_mark(struct process_tree *t, struct process_id id);
bool process_tree_is_marked(const struct process_tree *t, uint32_t pid);

/** A member has exited. */
void process_tree_exit(struct process_tree *t, struct process_id id, uint64_t now_ms);

/** Whether this live process is a member; one that is found to be is added. */
bool process_tree_learn(struct process_tree *t, const struct process_facts *facts);

/** Whether a process can be a member that nobody has asked about yet: no member is older than the oldest one. */
bool process_tree_may_hold(const struct process_tree *t, struct process_id id);

/**
 * Whether the process that last had this pid is, as far as we know, a member: for a process that is gone, so that
 * nobody can be asked.
 */
bool process_tree_knows(const struct process_tree *t, uint32_t pid);

/** Forgets members that exited long ago. */
void process_tree_tick(struct process_tree *t, uint64_t now_ms);

#endif
