// SPDX-License-Identifier: LGPL-3.0-or-later
//
// INITIALIZE and STARTUP: what the driver accepts.
#ifndef LAB_OPENING_H
#define LAB_OPENING_H

#include "handle.h"

// Takes layer, priority and flags over. The caller then puts the handle in its place.
uint32_t opening_initialize(struct handle *handle, const struct lab_request *request, uint32_t *information);

// Takes the filter over; the handle is open from here on, also with a bad filter.
uint32_t opening_startup(struct handle *handle, const struct lab_request *request);

#endif
