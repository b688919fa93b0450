/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file session_names.h  What of a session hangs on the names that are in its rules. */
#ifndef CLI_SESSION_NAMES_H
#define CLI_SESSION_NAMES_H

#include "options.h"

/** Whether processes are redirected by their name alone, or may be yet: those that started after the session. "run" ends
 * with its own. */
bool session_waits_for_names(const struct options *o);

/** Whether rules name hosts, but answers of the DNS do not pass the relay. */
bool session_lacks_names(const struct options *o);

#endif
