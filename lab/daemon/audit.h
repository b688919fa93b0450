// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The audit: has every diverted packet that user mode received been injected once, or kept back? And
// in the order of capture? A program may change addresses, ports and sums of a packet; by the rest a
// packet is recognised.
#ifndef LAB_AUDIT_H
#define LAB_AUDIT_H

#include <stdint.h>
#include <stdio.h>

#include "abi.h"
#include "packet.h"

// What one handle, as the one that received them, or as the injector of its own, has seen of packets.
struct audit_account {
    uint64_t received;  // diverted and handed to user mode
    uint64_t unchanged; // of them: injected, the same bytes and flags
    uint64_t changed;   // of them: injected with other addresses, ports or sums
    uint64_t twice;     // injected once more after that
    uint64_t reordered; // injected after a packet of the same flow that was captured later
    uint64_t own;       // injected, and not known as received
};

// A packet as user mode gives it to Send, before the driver has changed its copy.
struct audit_look {
    uint64_t key;   // by what a program leaves alone
    uint64_t whole; // by everything
};

// An account for a handle of this process; 0: no more to be had, nothing is audited.
uint32_t audit_join(uint32_t owner);
void audit_leave(uint32_t account);

// The place of a packet in the order of capture, when it is captured anew; or the one it had, when
// it was injected and comes by again.
uint64_t audit_order_new(void);
uint64_t audit_order_again(const struct packet *packet);

void audit_received(uint32_t account, const struct packet *packet, const struct wd_address *address, uint64_t order);

struct audit_look audit_look(const struct packet *packet, const struct wd_address *address);
void audit_injected(uint32_t account, const struct audit_look *look);

// Zeroes the accounts; what was received before is recognised and counts no more.
void audit_reset(void);

// JSON: one account's members without braces; the rest of the audit, as members of an object.
void audit_print_account(FILE *out, uint32_t account);
void audit_print(FILE *out);

#endif
