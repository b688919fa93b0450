/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file capture.h
 * Writes the packets of the redirected connections, as the programs see them, to a file.
 */
#ifndef CLI_CAPTURE_H
#define CLI_CAPTURE_H

#include "windows_redirector.h"

#include <stdbool.h>

struct capture;

/** Begins; `udp`: datagrams are redirected, too. NULL: a message was shown. */
struct capture *capture_start(redirector *r, const char *path, bool udp);

/** Writes what is left and closes the file; the redirector must still run. NULL is fine. */
void capture_stop(struct capture *c);

#endif
