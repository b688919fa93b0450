/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file own_addresses.h
 * The addresses of this machine, and the interface that each belongs to. A set is made whole, by any thread, and does
 * not change: when the addresses do, another takes its place.
 */
#ifndef ENGINE_OWN_ADDRESSES_H
#define ENGINE_OWN_ADDRESSES_H

#include "types.h"

/** A unicast address of an interface, in whatever state. */
struct own_address {
    ip_addr address;
    uint32_t family;
    uint32_t if_index;
    uint8_t prefix_length; /* of the network on its link; 0: not known */
};

struct own_addresses;

struct own_addresses *own_addresses_new(const struct own_address *all, uint32_t count); /* NULL: no memory */
void own_addresses_free(struct own_addresses *l);

bool own_addresses_equal(const struct own_addresses *a, const struct own_addresses *b); /* NULL: equal to NULL */

bool own_addresses_has(const struct own_addresses *l, const ip_addr *address, uint32_t family);

/** Whether it is the broadcast address of a network that this machine is in: IPv4 alone has them. */
bool own_addresses_is_broadcast(const struct own_addresses *l, const ip_addr *address, uint32_t family);

/**
 * The tuple that the packets of a socket event have: an event tells no scope, but its local address belongs to an
 * interface. An address that several have tells nothing. NULL: nothing is known.
 */
struct tuple own_addresses_scoped(const struct own_addresses *l, const struct tuple *of_event);

/** What the link-local addresses of a packet that was sent mean to its program: the interface that has, or leads to, them;
 * over loopback, where packets have no scope, too. 0: none, or not known. `l`: NULL: nothing is known. */
uint32_t own_addresses_scope_of(const struct own_addresses *l, const struct tuple *original);

/** Addresses of a family that other machines may know: not loopback, not link-local. At most `room`; how many. */
uint32_t own_addresses_global(const struct own_addresses *l, uint32_t family, ip_addr *out, uint32_t room);

/** The interface that has this IPv6 address. 0: none has it, or several have. */
uint32_t own_addresses_interface(const struct own_addresses *l, const ip_addr *address);

/** Whether several interfaces have one and the same link-local address. */
bool own_addresses_link_local_doubled(const struct own_addresses *l);

#endif
