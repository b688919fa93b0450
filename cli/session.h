/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file session.h
 * Redirection from start to end: relay, redirector, and their observers.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "options.h"
#include "tree.h"

#include <stdbool.h>
#include <stdint.h>
#include <winsock2.h>
#include <windows.h>

struct session;

/**
 * Prepares all that does not need the programs: proxies are tried, the relay listens.
 *
 * @param quiet_terminal  no other program writes to the terminal, so that a live list may use it
 * @return NULL: a message was shown; *status is the exit status
 */
struct session *session_open(struct options *o, bool quiet_terminal, DWORD *status);

/** Redirects this tree of one root or more, which must outlive the session. 0, or the exit status after a
 * message was shown. */
DWORD session_start(struct session *s, const struct tree *t);

/** Shows a message, once each, if redirecting has ended by itself, does not reach all that the tree does, or another
 * redirector leads connections. To be called regularly while it runs. */
void session_check(struct session *s);

/** Waits until all processes of the tree have ended, no later one of the names given runs or may come, and no relayed
 * connection is open. False: Ctrl-C came first. `left_behind`: the program has ended; a message says which processes
 * redirector still waits for. */
bool session_wait(struct session *s, bool left_behind);

/** Ends it, shows the summary if wanted, and frees. Possible in every state; NULL is fine. */
void session_close(struct session *s, bool summary);

/** For `run` and `attach`: reads the options, shows the help or does the work; the exit status. */
DWORD session_command(enum command_id command, wchar_t **arguments, DWORD (*work)(struct options *o));

#endif
