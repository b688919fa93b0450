// SPDX-License-Identifier: LGPL-3.0-or-later
//
// SEND: from the caller's buffers into the network.
#ifndef LAB_SEND_H
#define LAB_SEND_H

#include "handle.h"

void send_request(struct handle *handle, const struct lab_request *request, struct lab_reply *reply);

#endif
