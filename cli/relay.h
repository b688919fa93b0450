/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay.h
 * The built-in proxy: accepts what the redirector sends its way, and passes it on to where it was going.
 */
#ifndef CLI_RELAY_H
#define CLI_RELAY_H

#include "report.h"
#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct relay relay;

/** Listens on 127.0.0.1 and [::1], on one and the same free port. NULL: the Winsock or Windows error is in *error. */
relay *relay_open(report *report, uint32_t *error);

/** The port it listens on. */
uint16_t relay_port(const relay *r);

/** Begins to serve, asking `redirector` about each peer. False: Windows error in *error. */
bool relay_start(relay *r, redirector *redirector, uint32_t *error);

/** Waits until no connection has been live for a moment. False: the Windows handle `until` was signalled first. */
bool relay_wait_idle(relay *r, void *until);

/** Resets all connections, waits for the relay's thread, and frees. Also right for a relay that never served. */
void relay_close(relay *r);

#endif
