// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Compiled WinDivert filters: the driver's validation and evaluation.
#ifndef LAB_FILTER_H
#define LAB_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "abi.h"
#include "packet.h"

struct filter {
    unsigned count; // 0 matches nothing
    struct wd_filter_object objects[WD_FILTER_MAX];
};

// Takes the objects over if the driver would; else the filter stays empty.
bool filter_load(struct filter *filter, const void *objects, size_t size, enum wd_layer layer);

// May it match a packet that is not TCP? False only if it surely does not.
bool filter_wants_others(const struct filter *filter);

// `packet` is NULL at layers without packets. A packet that does not parse must not get here.
bool filter_match(const struct filter *filter, const struct wd_address *address, const struct packet *packet);

#endif
