/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Which packets a filter of the NETWORK layer may match at all: of TCP alone, or others, too? Pure.
 */
#ifndef LAB_WANTS_OTHERS_H
#define LAB_WANTS_OTHERS_H

#include <stdbool.h>
#include <stddef.h>

#include "abi.h"

struct wants_filter {
    unsigned count;
    struct wd_filter_object objects[WD_FILTER_MAX];
};

/* Copies the `count` objects that the filter claims. False: they are not all there, or too many. */
bool wants_load(struct wants_filter *filter, const void *objects, size_t size);

/* May it match a packet that is not TCP? False only if it surely does not. */
bool wants_others(const struct wants_filter *filter);

#endif
