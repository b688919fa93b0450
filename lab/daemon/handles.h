/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Open WinDivert handles, as the kernel side tells of them. For counting, and to know which packets it
 * wants to see. Pure.
 */
#ifndef LAB_HANDLES_H
#define LAB_HANDLES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../windows/wire.h"
#include "abi.h"
#include "counters.h"

struct handle {
    struct handle *next; /* in order of priority, highest first; of equal ones the later comes first */
    uint32_t number;
    uint32_t owner; /* Windows pid of the process that opened it */
    enum wd_layer layer;
    int32_t priority;
    uint64_t flags;
    uint64_t matches; /* filter flags: WD_MATCH_x */
    uint32_t tests;
    bool dead; /* the driver was unloaded under it */
    bool recv_shut, send_shut;

    uint64_t taken, gone; /* how many packets and events have got into its queue, and out of it alive */
    uint64_t lost_before; /* in the queue, before the counters were zeroed */
    struct lab_state state;
    bool state_is_new; /* nothing got in or out since */
    struct counters counters;
    uint32_t account; /* of the audit */
};

/* The handles, for walking; handle->next leads on. */
struct handle *handles_first(void);

/* NULL: none has this number. */
struct handle *handles_find(uint32_t number);

/* What the kernel side tells. What makes no sense, of a handle that there is not, changes nothing. */
void handles_opened(const struct lab_opened *opened);
void handles_shut(const struct lab_shut *shut);
void handles_closed(const struct lab_closed *closed);
void handles_state(const struct lab_state *state);

/* The driver was unloaded under those that are open now. */
void handles_died(void);

/* The kernel side is gone, and all handles with it. */
void handles_forget(void);

/* Can a NETWORK handle want this packet (LAB_OUTBOUND, LAB_IPV6)? */
bool handles_want(uint32_t packet_flags);

/* Is there a SOCKET handle that prevents things? */
bool handles_prevent(void);

static inline uint64_t handle_queued(const struct handle *handle)
{
    return handle->state.queue_count + handle->state.work_count;
}

/* Zeroes their counters. */
void handles_reset(void);

/* JSON: an array of handles with their settings and counters, or of what became of their packets. */
void handles_print(FILE *out);
void handles_print_audit(FILE *out);

#endif
