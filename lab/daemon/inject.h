// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Injection: what SEND, and the packets left in a closing handle, put on their way.
#ifndef LAB_INJECT_H
#define LAB_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "handle.h"

// Where a captured packet with one of our marks came from.
struct origin {
    uint32_t priority; // of the handle that injected it
    bool outbound;
    uint32_t if_idx, sub_if_idx; // as given by its last inbound injection
};

void inject_open(void);
void inject_close(void);

// Windows' rules (default) or whatever Linux makes of the packet.
void inject_set_strict(bool strict);
bool inject_is_strict(void);

// Remembers the handle's priority for as long as packets with its mark may be around.
void inject_register(const struct handle *handle);

// False: the mark is not that of an injected packet.
bool inject_origin(uint32_t mark, struct origin *origin);

// Changes the packet as the driver changes its copy (sums, hop limit). The result is ST_SUCCESS,
// also when the packet is silently lost, or the error that SEND reports for this packet.
uint32_t inject(struct handle *handle, uint8_t *data, uint32_t length, const struct wd_address *address);

// The same for a packet that goes on because its handle is closing.
void inject_again(struct handle *handle, uint8_t *data, uint32_t length, const struct wd_address *address);

#endif
