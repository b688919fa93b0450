/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file flow_list.h
 * The flows of the table as others may see them, copied in portions.
 */
#ifndef ENGINE_FLOW_LIST_H
#define ENGINE_FLOW_LIST_H

#include "flow.h"

/** A flow at one moment. Legs: LEG_FORWARD is from the end that opened the connection. */
struct flow_view {
    struct tuple original; /* as the end that opened it sees it */
    ip_addr peer;          /* as the proxy sees it */
    uint16_t peer_port;    /* host order */
    uint8_t kind;          /* enum flow_kind, one of which others are told */
    uint8_t state;         /* enum flow_state, never FLOW_FREE */
    uint32_t pid;
    uint32_t scope;                /* of the addresses that are link-local, the peer's too; 0: not known, or none is */
    uint64_t bytes[2], packets[2]; /* by leg */
    uint64_t opened_ms;
};

/** The most slots of the table that one call looks at: some tens of microseconds. */
enum { FLOW_LIST_SLOTS = 512 };

/**
 * Copies the redirected flows of the slots from `from` (0 first) on: FLOW_LIST_SLOTS slots, so `out` has room for as
 * many. *count says how many flows were found. Returns the slot to go on with; FLOW_NONE: that was all.
 */
uint32_t flow_list_copy(const struct flow_table *t, uint32_t from, struct flow_view *out, uint32_t *count);

/** How many packets have come back to the programs whose flows live. Looks at all slots. */
uint64_t flow_list_replies(const struct flow_table *t);

#endif
