/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * By what the audit recognises packets. Pure.
 */
#ifndef LAB_AUDIT_LOOK_H
#define LAB_AUDIT_LOOK_H

#include <stdint.h>

#include "abi.h"
#include "packet.h"

/* A packet as user mode gets it from Recv or gives it to Send. */
struct audit_look {
    uint64_t key;   /* by what a program leaves alone */
    uint64_t whole; /* by everything */
};

uint64_t audit_key(const struct packet *packet);

/* Of its tuple; never 0. */
uint64_t audit_flow(const struct packet *packet);

/*
 * Of a sum that the address does not say to be right only that is looked at, and of an impostor neither
 * the hops: the driver changes them in its copy.
 */
struct audit_look audit_look(const struct packet *packet, const struct wd_address *address);

#endif
