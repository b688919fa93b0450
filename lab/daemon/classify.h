// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Which handles get a packet or a socket event.
#ifndef LAB_CLASSIFY_H
#define LAB_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "events.h"
#include "packet.h"

#define CLASSIFY_ALL UINT64_MAX

// Offers the packet to the handles below this internal priority, highest first. True: the packet
// goes on; false: a handle has taken or blocked it.
bool classify_packet(const struct wd_address *address, const struct packet *packet, uint64_t below);

// Offers the event to the socket handles. An events_fn.
void classify_event(void *context, const struct sock_event *event);

#endif
