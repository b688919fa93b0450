/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file rules_watch.h
 * The file of rules while redirector runs: when it changes, its rules take the place of the former ones (R3).
 */
#ifndef CLI_RULES_WATCH_H
#define CLI_RULES_WATCH_H

#include "rules_state.h"

struct rules_watch;

/** Begins to watch the file that the state was opened with, by its absolute path. What it finds is told by messages.
 * NULL: a message was shown. */
struct rules_watch *rules_watch_start(struct rules_state *s, redirector *r, const wchar_t *path);

/** NULL is fine. */
void rules_watch_stop(struct rules_watch *w);

#endif
