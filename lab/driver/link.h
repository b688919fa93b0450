// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The driver's connection to windivert-labd (see ../daemon/protocol.h).
#ifndef LAB_DRIVER_LINK_H
#define LAB_DRIVER_LINK_H

#include <stdbool.h>

#include "protocol.h"

// Called on the link's own thread.
typedef void link_completion_fn(const struct lab_reply *reply);
typedef void link_lost_fn(void);

void link_init(link_completion_fn *completion, link_lost_fn *lost);

// Connects unless connected. False: no daemon in this network namespace.
bool link_open(void);

// Sends and waits for the daemon's answer. False: the daemon is gone.
bool link_call(const struct lab_request *request, struct lab_reply *reply);

// Sends without waiting.
void link_notify(const struct lab_request *request);

// Ends the link's thread; nothing of the driver runs afterwards.
void link_close(void);

#endif
