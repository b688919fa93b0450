// SPDX-License-Identifier: LGPL-3.0-or-later
//
// RECV: from a handle's queue into the caller's buffers.
#ifndef LAB_RECV_H
#define LAB_RECV_H

#include "handle.h"

// Answers the request from the queue, or leaves it pending.
void recv_request(struct handle *handle, const struct lab_request *request, struct lab_reply *reply);

// Completes pending requests as far as the queue, or its shutdown, allows. To be called whenever
// either changes.
void recv_service(struct handle *handle);

// False: no pending request of this handle has that id.
bool recv_cancel(struct handle *handle, uint64_t id);

// How many requests wait.
unsigned recv_pending(const struct handle *handle);

void recv_fail_all(struct handle *handle, uint32_t status);

#endif
