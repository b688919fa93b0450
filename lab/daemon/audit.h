/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The audit: has every diverted packet that user mode received been injected once, or kept back? And
 * in the order of capture? A program may change addresses, ports and sums of a packet; by the rest a
 * packet is recognised.
 */
#ifndef LAB_AUDIT_H
#define LAB_AUDIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "audit_look.h"

/* What one handle, as the one that received them, or as the injector of its own, has seen of packets. */
struct audit_account {
    uint64_t received;  /* diverted and handed to user mode */
    uint64_t unchanged; /* of them: injected, the same bytes and flags */
    uint64_t changed;   /* of them: injected with other addresses, ports or sums */
    uint64_t twice;     /* injected once more after that */
    uint64_t reordered; /* injected after a packet of the same flow that was captured later */
    uint64_t own;       /* injected, and not known as received */
};

/* An account for a handle of this process; 0: no more to be had, nothing is audited. */
uint32_t audit_join(uint32_t owner);
void audit_leave(uint32_t account);

/* The next place in the order of capture; never 0. */
uint64_t audit_order_new(void);

/* Not a place in that order: the packet has been injected and comes by again, with the place it had. */
#define AUDIT_AGAIN 0

/* The account's handle has diverted this packet; user mode has not received it yet. */
void audit_taken(uint32_t account, uint64_t key, uint64_t order);

/* The place that audit_taken told for the next packet of this key. False: it has not been told yet. */
bool audit_find_taken(uint32_t account, uint64_t key, uint64_t *order);

void audit_received(uint32_t account, const struct packet *packet, const struct wd_address *address, uint64_t order);

/*
 * The account's handle has not received this packet: the driver has injected it, and a handle of lower
 * priority has diverted it.
 */
void audit_given_back(uint32_t account, uint64_t key);

/* `absorbed`: a handle of lower priority has diverted it. */
void audit_injected(uint32_t account, const struct audit_look *look, bool absorbed);

/* Zeroes the accounts; what was received before is recognised and counts no more. */
void audit_reset(void);

/* JSON: one account's members without braces; the rest of the audit, as members of an object. */
void audit_print_account(FILE *out, uint32_t account);
void audit_print(FILE *out);

#endif
