/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file tree.h
 * Whether any process of the redirected trees still runs.
 */
#ifndef CLI_TREE_H
#define CLI_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <winsock2.h>
#include <windows.h>

/** A root, or another process that is not in the tree's job. */
struct tree_process {
    HANDLE process;
    HANDLE job;  /**< of its own; NULL: none, because it is in the tree's job, or Windows lets it into none */
    bool joined; /**< it is in the tree's job */
    bool root;
};

/** One set to zero is empty. */
struct tree {
    HANDLE job; /**< of all that Windows lets into one; NULL: not made yet */
    struct tree_process *processes;
    uint32_t count, room;
};

/** A process, with the rights that tree_add() can use; NULL: GetLastError(). */
HANDLE tree_open(uint32_t pid);

/** Adds a root. `process` becomes the tree's, or is closed. False: no memory. */
bool tree_add(struct tree *t, HANDLE process);

/** Adds the descendants of the roots that run already. */
void tree_add_running(struct tree *t);

/** The process ids of the roots, to be freed; *count: how many. NULL: no memory. */
uint32_t *tree_roots(const struct tree *t, uint32_t *count);

/** Number of processes that run. */
uint32_t tree_alive(const struct tree *t);

/** Whether `pid` is one of them. */
bool tree_has(const struct tree *t, uint32_t pid);

/** Closes what is open; the processes go on. */
void tree_close(struct tree *t);

#endif
