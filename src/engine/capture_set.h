/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file capture_set.h  What the driver's filter captures besides first SYNs and the proxies' packets. */
#ifndef ENGINE_CAPTURE_SET_H
#define ENGINE_CAPTURE_SET_H

#include "port_set.h"

/** The most ranges of ports that a set has when it becomes a filter. */
enum {
    CAPTURE_RANGES = 64,         /* two tests each, of the 255 that a filter may have */
    CAPTURE_INBOUND_RANGES = 24, /* listeners are few */
};

struct capture_set {
    struct port_set outbound;    /* by source port */
    struct port_set inbound;     /* by destination port */
    uint32_t without_link_local; /* 1: nothing from or to link-local addresses, but over loopback */
    uint32_t fragments;          /* 1: of UDP, fragments too */
};

#endif
