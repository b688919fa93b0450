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

enum { TREE_ROOTS_MAX = 64 };

struct tree {
    struct tree_root {
        HANDLE process;
        HANDLE job; /**< NULL: Windows does not let the process into one */
    } roots[TREE_ROOTS_MAX];
    uint32_t count;
};

/** Adds a root and its descendants that run. `process` becomes the tree's. False: there are too many. */
bool tree_add(struct tree *t, HANDLE process);

/** Number of processes that run. */
uint32_t tree_alive(const struct tree *t);

/** Whether `pid` is one of them. */
bool tree_has(const struct tree *t, uint32_t pid);

/** Closes what is open; the processes go on. */
void tree_close(struct tree *t);

#endif
