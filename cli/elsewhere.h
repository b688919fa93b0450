/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file elsewhere.h
 * Programs of the tree that let others work for them in another kernel or machine: there nothing is redirected.
 */
#ifndef CLI_ELSEWHERE_H
#define CLI_ELSEWHERE_H

#include "tree.h"

/** Zero it. */
struct elsewhere {
    uint32_t told;    /**< those that were told of, a bit each */
    uint64_t next_ms; /**< when it is worth another look */
};

/** Shows a message for each kind of them that is in the tree and was not told of. To be called often. */
void elsewhere_check(struct elsewhere *e, const struct tree *t);

#endif
