/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file session.h
 * One time of redirecting, whoever is redirected: relay, redirector, and all that looks at them.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "options.h"
#include "tree.h"

#include <stdbool.h>
#include <stdint.h>
#include <winsock2.h>
#include <windows.h>

typedef struct session session;

/**
 * Makes ready what does not need the programs: proxies are tried, the relay listens.
 *
 * @param quiet_terminal  nobody but us writes to the terminal, so a live list may take it
 * @return NULL: the user has been told why; *status is the exit status
 */
session *session_open(options *o, bool quiet_terminal, DWORD *status);

/** Redirects this tree of one root or more, which must outlive the session. 0, or the exit status after the user has
 * been told why. */
DWORD session_start(session *s, const tree *t);

/** Tells the user, once, if redirecting has ended by itself. To be called now and then while it runs. */
void session_check(session *s);

/** Waits until nobody of the tree lives and no relayed connection is open. False: Ctrl-C came first. `left_behind`: the
 * program has ended, so if others go on the user is told whom redirector waits for. */
bool session_wait(session *s, bool left_behind);

/** Ends it, shows the summary if wanted, and frees. Right in every state; NULL is fine. */
void session_close(session *s, bool summary);

/** For `run` and `attach`: reads the options, shows the help or does the work; the exit status. */
DWORD session_command(command_id command, wchar_t **arguments, DWORD (*work)(options *o));

#endif
