/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file watch.h
 * Fills the report from the library's list of connections, if the proxy is the user's own.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "report.h"
#include "windows_redirector.h"

struct watch;

/** Of TCP both directions apart; of UDP there is one. */
struct watch_wanted {
    bool outgoing, incoming, udp;
};

/** Watches connections of the kinds wanted. NULL: no memory or no thread. */
struct watch *watch_start(redirector *r, struct report *report, const struct watch_wanted *wanted);

/** Reads the list a last time and ends. NULL is fine. The redirector must still run. */
void watch_stop(struct watch *w);

#endif
