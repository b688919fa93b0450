// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The value that a filter's test looks at.
#ifndef LAB_VALUE_H
#define LAB_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "packet.h"

// A 128-bit number, word 0 least significant, and its sign.
struct value {
    uint32_t words[4];
    bool negative;
};

// `value` must be zero. False: the packet has no such header, or is too short for the index.
bool value_fetch(struct value *value, const struct wd_filter_object *object, const struct wd_address *address,
                 const struct packet *packet);

#endif
