// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Which handles get a packet or a socket event.
#ifndef LAB_CLASSIFY_H
#define LAB_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "events.h"
#include "handle.h"
#include "packet.h"

#define CLASSIFY_ALL UINT64_MAX

// Offers the packet to the handles below this internal priority, highest first. True: the packet
// goes on; false: a handle has taken or blocked it.
bool classify_packet(const struct wd_address *captured, const struct packet *packet, uint64_t below);

// Queues what the item says at the handle, as it is.
void classify_enqueue(struct handle *handle, const struct queue_item *item);

// Offers the event to the FLOW or SOCKET handles. An events_fn.
void classify_event(void *context, const struct sock_event *event);

#endif
